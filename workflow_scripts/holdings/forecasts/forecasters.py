"""Which forecasters the workflow knows by name; all others are the user's own: adapters and files of forecasts."""

from collections.abc import Iterable

from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.stages import STAGES

# What a simulated panel's own law forecasts.
ORACLE = "oracle"
KNOWN = (*BASELINES, *STAGES, ORACLE)


def own_forecasters(names: Iterable[str]) -> list[str]:
    """The names of the user's own forecasters, each once, in their order.

    >>> own_forecasters(["no_change", "theirs", "sft", "theirs"])
    ['theirs']
    """
    return [name for name in dict.fromkeys(names) if name not in KNOWN]
