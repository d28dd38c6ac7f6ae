"""Forecasts as distributions: at which levels they say quantiles, what these are called, and where they come from.

A forecaster's table of predictions has them in the columns QUANTILES, $ million of the target's change. Models get them
from their sampled completions, baselines from what they were wrong by before the test quarters, users' files bring
their own. A quantile of m numbers at level p is the one at place (m + 1) p in their order, between two by straight
line, the first or the last outside (definition 6 of Hyndman and Fan 1996): a truth that is drawn as they were falls
below it with probability p, where m is at least 1 / p - 1 (and 1 / (1 - p) - 1). The usual definition 7 is narrower.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
# The ends of the central band whose coverage and width are told, and the share that it is to hold.
BAND = (0.1, 0.9)
BAND_SHARE = 0.8


def quantile_name(level: float) -> str:
    """The column of a quantile: q and the percentage.

    >>> [quantile_name(level) for level in (0.05, 0.5, 0.975)]
    ['q05', 'q50', 'q97.5']
    """
    return f"q{round(100 * level, 9):02g}"


QUANTILES = tuple(map(quantile_name, LEVELS))


def row_quantiles(values: ArrayLike) -> Array:
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


def with_quantiles(predictions: pd.DataFrame, quantiles: Array) -> pd.DataFrame:
    """A table of predictions with quantiles of shape (n, levels), $ million."""
    return predictions.assign(**dict(zip(QUANTILES, quantiles.T, strict=True)))


def missing_quantiles(columns: Iterable[str]) -> list[str]:
    """The QUANTILES that a table of predictions lacks; with any of them missing it is no distribution to score."""
    return [name for name in QUANTILES if name not in set(columns)]
