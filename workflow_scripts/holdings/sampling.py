"""Stratified sample of windows: even over time buckets, round-robin over pairs inside a bucket."""

import datetime as dt
import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.quarters import quarter_ids, quarter_labels

SPLITS = ("sft", "grpo", "test")
MIN_BUCKETS, MAX_BUCKETS = 3, 12


@dataclass(frozen=True)
class SampleSettings:
    """Limits of one firm type's sample of one split (counts of windows)."""

    per_type_limit: int = 1000
    time_buckets: int = 10
    max_per_pair: int = 3
    drop_zero_holding: bool = True


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


def random_stream(seed: int, *names: str) -> np.random.Generator:
    """Generator that depends on the seed and the names alone, on every machine and in every order.

    A hash keeps the streams of firm types apart without numbering them, so that adding a firm type
    changes no other type's draw.
    """
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def time_buckets(quarter: NDArray[np.int32], n_buckets: int) -> NDArray[np.intp]:
    """Bucket number 0..k-1 of each window, from quantiles of the quarter id.

    k is `n_buckets` clipped to 3..12, and never more than there are quarters. Windows of one quarter
    are never torn apart, so a quarter that holds many windows can leave fewer buckets.
    """
    distinct = np.unique(quarter)
    k = min(max(MIN_BUCKETS, min(MAX_BUCKETS, n_buckets)), len(distinct))
    if k <= 1:
        return np.zeros(len(quarter), dtype=np.intp)
    edges = np.quantile(quarter, np.arange(1, k) / k, method="lower")
    number = np.searchsorted(np.unique(edges), quarter, side="left")
    return np.unique(number, return_inverse=True)[1]


def share_evenly(total: int, parts: int) -> list[int]:
    """Split `total` into `parts` near-equal integers, remainders to the earliest.

    >>> share_evenly(11, 3)
    [4, 4, 3]
    """
    return [total // parts + (i < total % parts) for i in range(parts)]


def _rank_within(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """How often each element's value has occurred before it. [5, 7, 5] -> [0, 0, 1]."""
    if not len(groups):
        return np.empty(0, dtype=np.intp)
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(groups)])
    rank = np.empty(len(groups), dtype=np.intp)
    rank[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return rank


def sample_rows(
    quarter: NDArray[np.int32],
    pair: NDArray[np.intp],
    settings: SampleSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose windows; returns (ascending row positions, bucket number of every candidate).

    `quarter` and `pair` have shape (n,), one entry per candidate window; `pair` numbers the
    (mgrno, permno) pairs. Inside a bucket the pairs are shuffled and each gives one window per
    round; over all buckets a pair gives at most `max_per_pair`. Quota that a bucket cannot fill
    is offered to the others, evenly, until the limit or the supply is reached.
    """
    bucket = time_buckets(quarter, settings.time_buckets)
    n_buckets = int(bucket.max()) + 1 if len(bucket) else 0
    n_pairs = int(pair.max()) + 1 if len(pair) else 0
    taken = np.zeros(n_pairs, dtype=np.intp)
    queues: list[NDArray[np.intp]] = []
    for number in range(n_buckets):
        rows = rng.permutation(np.flatnonzero(bucket == number))
        turn = rng.permutation(n_pairs)[pair[rows]]
        queues.append(rows[np.lexsort((turn, _rank_within(pair[rows])))])

    def take(number: int, quota: int) -> NDArray[np.intp]:
        queue = queues[number]
        allowed = _rank_within(pair[queue]) < settings.max_per_pair - taken[pair[queue]]
        chosen = np.flatnonzero(allowed)[:quota]
        np.add.at(taken, pair[queue[chosen]], 1)
        queues[number] = np.delete(queue, chosen)
        return queue[chosen]

    selected: list[NDArray[np.intp]] = []
    missing, open_buckets = settings.per_type_limit, list(range(n_buckets))
    while missing > 0 and open_buckets:
        quotas = share_evenly(missing, len(open_buckets))
        offers = list(zip(open_buckets, quotas, strict=True))
        open_buckets = []
        for number, quota in offers:
            got = take(number, quota)
            selected.append(got)
            missing -= len(got)
            # A bucket that gave less than asked is exhausted: caps only tighten.
            if len(got) == quota:
                open_buckets.append(number)
    rows = np.sort(np.concatenate(selected)) if selected else np.empty(0, dtype=np.intp)
    return rows, bucket


def sample_windows(
    windows: pa.Table,
    settings: SampleSettings,
    rng: np.random.Generator,
    in_split: NDArray[np.bool_],
) -> tuple[pa.Table, dict]:
    """Sample of labelled windows of one split, and the account of what was dropped and why.

    `windows` is the table of `build_windows`, sorted; `in_split` marks its rows of this split.
    A window without holding_t1 has no label, so it can be neither trained on nor scored. Raises
    InputError when no window is left: every later stage needs at least one.
    """
    holding_t, holding_t1 = (windows[name].to_numpy() for name in ("holding_t", "holding_t1"))
    labelled = in_split & ~np.isnan(holding_t1)
    usable = labelled & (holding_t != 0) if settings.drop_zero_holding else labelled
    candidates = np.flatnonzero(usable)
    if not len(candidates):
        quarters = windows["quarter"].to_numpy()
        span = "-".join(quarter_labels([quarters.min(), quarters.max()])) if len(quarters) else "no quarter"
        raise InputError(
            f"no usable window in this split: of {windows.num_rows} windows (t in {span}), {int(in_split.sum())} "
            f"lie in it and {int(labelled.sum())} of those have a label; change splits or drop the firm type"
        )
    quarter, mgrno, permno = (windows[n].to_numpy()[candidates] for n in ("quarter", "mgrno", "permno"))
    new_pair = np.r_[False, (mgrno[1:] != mgrno[:-1]) | (permno[1:] != permno[:-1])][: len(mgrno)]
    rows, bucket = sample_rows(quarter, np.cumsum(new_pair), settings, rng)
    account = {
        "windows_in_split": int(in_split.sum()),
        "dropped_no_label": int(in_split.sum() - labelled.sum()),
        "dropped_zero_holding": int(labelled.sum() - usable.sum()),
        "candidates": len(candidates),
        "sampled": len(rows),
        "sampled_per_bucket": np.bincount(bucket[rows]).tolist() if len(rows) else [],
    }
    return windows.take(pa.array(candidates[rows])), account
