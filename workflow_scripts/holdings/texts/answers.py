"""What an answer says: one number, or quantiles; at which levels, and what these are called.

A quantile of m numbers at level p is the one at place (m + 1) p in their order, between two by straight line, the first
or the last outside (definition 6 of Hyndman and Fan 1996): a truth that is drawn as they were falls below it with
probability p, where m is at least 1 / p - 1 (and 1 / (1 - p) - 1). The usual definition 7 is narrower.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def row_quantiles(values: ArrayLike) -> NDArray[np.float64]:
    """Quantiles of each row at LEVELS, shape (n, levels), of numbers of shape (n, m); NaN is no number.

    A row without a number has no quantiles: NaN.
    """
    ordered = np.sort(np.asarray(values, float), axis=1)  # NaN comes last
    if not ordered.shape[1]:
        return np.full((len(ordered), len(LEVELS)), np.nan)
    count = (~np.isnan(ordered)).sum(axis=1, keepdims=True)
    place = np.clip((count + 1) * np.array(LEVELS) - 1, 0, np.maximum(count - 1, 0))
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low, high = (np.take_along_axis(ordered, at, axis=1) for at in (below, above))
    return low + (place - below) * (high - low)
