"""What an answer says: one number, or quantiles; at which levels, and what these are called.

GRPO's rewards read completions by this module: an edit trains GRPO again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from workflow_scripts.holdings.texts.targets import TargetName

AnswerName = Literal["number", "quantiles"]
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def quantile_name(level: float) -> str:
    """The name of a quantile, in answers and as a column: q and the percentage.

    >>> [quantile_name(level) for level in (0.05, 0.5, 0.975)]
    ['q05', 'q50', 'q97.5']
    """
    return f"q{round(100 * level, 9):02g}"


QUANTILES = tuple(map(quantile_name, LEVELS))
# The place of the median, which is the forecast wherever one number is needed.
MIDDLE = LEVELS.index(0.5)
MEDIAN = QUANTILES[MIDDLE]


@dataclass(frozen=True)
class Contract:
    """What a completion must look like: the number that is asked for, whether a think block comes before the answer,
    and whether the answer is that number or its quantiles."""

    target: TargetName = "holding_delta"
    think: bool = True
    answer: AnswerName = "number"


def quantile_object(numbers: Iterable[str]) -> str:
    """Numbers at LEVELS, as text, in the form in which an answer says them.

    >>> quantile_object("1234567")
    '{"q05": 1, "q10": 2, "q25": 3, "q50": 4, "q75": 5, "q90": 6, "q95": 7}'
    """
    return "{" + ", ".join(f'"{name}": {number}' for name, number in zip(QUANTILES, numbers, strict=True)) + "}"
