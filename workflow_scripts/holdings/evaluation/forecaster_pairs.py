"""Which forecasters are compared with each other."""

from collections.abc import Sequence

from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.forecasters import own_forecasters
from workflow_scripts.holdings.forecasts.stages import STAGES, stage_pairs


def forecaster_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """(baseline, candidate) for the forecasters of a run, whose `names` are given.

    The stages with each other, each with no-change, and the last one with every baseline; each of the user's own with
    no-change and with the last stage, or with every baseline where no stage is evaluated. Each pair more costs power,
    because the summary corrects for all of them.

    >>> forecaster_pairs(["no_change", "ridge", "sft", "mine"])
    [('no_change', 'sft'), ('ridge', 'sft'), ('no_change', 'mine'), ('mine', 'sft')]
    """
    baselines, stages = ([name for name in group if name in names] for group in (BASELINES, STAGES))
    own = own_forecasters(names)
    earlier, last = stages[:-1], stages[-1:]
    pairs = [
        *stage_pairs(stages),
        *(("no_change", stage) for stage in earlier),
        *((baseline, stage) for stage in last for baseline in baselines),
        *(("no_change", one) for one in own),
        *((one, stage) for stage in last for one in own),
    ]
    if not stages:
        pairs += [(baseline, one) for one in own for baseline in baselines if baseline != "no_change"]
    return pairs
