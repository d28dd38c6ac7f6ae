"""Forecasts as distributions: the columns of their quantiles, and the band that is told of them.

A forecaster's table of predictions has its quantiles in the columns QUANTILES (`texts/answers.py`), $ million of the
target's change. Models say them, or get them from their sampled completions; baselines get them from what they were
wrong by before the test quarters; users' files bring their own.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflow_scripts.holdings.texts.answers import QUANTILES

Array = NDArray[np.float64]
# The ends of the central band whose coverage and width are told, and the share that it is to hold.
BAND = (0.1, 0.9)
BAND_SHARE = 0.8


def with_quantiles(predictions: pd.DataFrame, quantiles: Array) -> pd.DataFrame:
    """A table of predictions with quantiles of shape (n, levels), $ million."""
    return predictions.assign(**dict(zip(QUANTILES, quantiles.T, strict=True)))


def missing_quantiles(columns: Iterable[str]) -> list[str]:
    """The QUANTILES that a table of predictions lacks; with any of them missing it is no distribution to score."""
    return [name for name in QUANTILES if name not in set(columns)]
