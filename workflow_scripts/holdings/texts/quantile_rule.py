"""The one rule by which quantiles are taken of numbers.

A quantile of m numbers at level p is the one at place (m + 1) p in their order, between two by straight line, the first
or the last outside (definition 6 of Hyndman and Fan 1996): a truth that is drawn as they were falls below it with
probability p, where m is at least 1 / p - 1 (and 1 / (1 - p) - 1). The usual definition 7 is narrower.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.holdings.texts.answers import LEVELS


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
