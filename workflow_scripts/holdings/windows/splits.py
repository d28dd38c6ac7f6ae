"""The splits by quarter: which windows train SFT, train GRPO and test."""

import datetime as dt

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.quarters import quarter_ids

SPLITS = ("sft", "grpo", "test")


def split_mask(
    quarter: NDArray[np.int32],
    start: dt.date | None,
    end: dt.date | None,
    next_start: dt.date | None = None,
    embargo_quarters: int = 0,
) -> NDArray[np.bool_]:
    """True for windows whose quarter t lies between the quarters of `start` and `end`, both included.

    None leaves a side open. `next_start` is the first day of the next split, None for the last one. The
    label lies at t+1, so an embargo of 1 keeps the labels of a split out of the next one: windows with
    t + embargo in or after the next split's first quarter are left out.
    """
    mask = np.ones(len(quarter), dtype=bool)
    if start is not None:
        mask &= quarter >= quarter_ids([start])[0]
    if end is not None:
        mask &= quarter <= quarter_ids([end])[0]
    if next_start is not None:
        mask &= quarter + embargo_quarters < quarter_ids([next_start])[0]
    return mask
