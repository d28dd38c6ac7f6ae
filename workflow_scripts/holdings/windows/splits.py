"""The splits by quarter: which windows train SFT, train GRPO and test."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_doc import Doc
from annotated_types import Ge
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import Day
from workflow_scripts.holdings.panel.quarters import quarter_ids

SPLITS = ("sft", "grpo", "test")


@dataclass(frozen=True)
class Period:
    """The quarters t of a split's windows, both ends included; null leaves a side open."""

    start: Annotated[Day | None, Doc("A day of the first quarter, as YYYY-MM-DD; null leaves the side open.")] = None
    end: Annotated[Day | None, Doc("A day of the last quarter, as YYYY-MM-DD; null leaves the side open.")] = None


@dataclass(frozen=True)
class SplitSettings:
    """Which quarters train SFT, train GRPO and test; in this order, not overlapping."""

    sft: Annotated[Period, Doc("Quarters that train SFT.")] = Period(end="2016-12-31")
    grpo: Annotated[Period, Doc("Quarters that train GRPO.")] = Period("2017-01-01", "2018-12-31")
    test: Annotated[Period, Doc("Quarters that are forecast and scored.")] = Period("2019-01-01")
    embargo_quarters: Annotated[
        int, Ge(0), Doc("Quarters cut off the end of a split; 1 keeps its labels (at t+1) out of the next split.")
    ] = 0


def split_mask(
    quarter: NDArray[np.int32], period: Period, next_start: str | None = None, embargo_quarters: int = 0
) -> NDArray[np.bool_]:
    """True for windows whose quarter t lies between those of the period's days, both included.

    `next_start` is the first day of the next split, None for the last one. The
    label lies at t+1, so an embargo of 1 keeps the labels of a split out of the next one: windows with
    t + embargo in or after the next split's first quarter are left out.
    """
    mask = np.ones(len(quarter), dtype=bool)
    if period.start is not None:
        mask &= quarter >= quarter_ids([period.start])[0]
    if period.end is not None:
        mask &= quarter <= quarter_ids([period.end])[0]
    if next_start is not None:
        mask &= quarter + embargo_quarters < quarter_ids([next_start])[0]
    return mask
