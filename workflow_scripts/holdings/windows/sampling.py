"""Stratified sample of windows: even over time buckets, round-robin over pairs inside a bucket."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from annotated_doc import Doc
from annotated_types import Ge, Le
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.pairs import key_arrays, same_pair
from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.plumbing.errors import InputError

MIN_BUCKETS, MAX_BUCKETS = 3, 12


@dataclass(frozen=True)
class SampleLimit:
    """How many windows of one split are sampled."""

    per_type_limit: Annotated[int, Ge(1), Doc("At most this many windows per firm type.")] = 1000


@dataclass(frozen=True)
class Stratification:
    """How the samples of all splits are spread over time and pairs."""

    time_buckets: Annotated[
        int,
        Ge(MIN_BUCKETS),
        Le(MAX_BUCKETS),
        Doc("Time buckets that share the limit evenly; never more than there are quarters."),
    ] = 10
    max_per_pair: Annotated[int, Ge(1), Doc("At most this many windows of one manager and stock in a split.")] = 3
    drop_zero_holding: Annotated[bool, Doc("Leave windows out whose position at t is 0.")] = True


@dataclass(frozen=True)
class SampleSettings(Stratification, SampleLimit):
    """Everything that decides the sample of one split."""


def time_buckets(quarter: NDArray[np.int32], n_buckets: int) -> NDArray[np.int8]:
    """Bucket number 0..k-1 of each window, from quantiles of the quarter id; shape (n,).

    k is `n_buckets` clipped to 3..12, and never more than there are quarters. Windows of one quarter
    are never torn apart, so quarters that hold many windows can leave fewer buckets; where fewer than
    3 would be left, the quantiles are those of the distinct quarters.
    """
    if not len(quarter):
        return np.empty(0, dtype=np.int8)
    first = int(quarter.min())
    counts = np.bincount(quarter - first)
    distinct = np.flatnonzero(counts)
    k = min(max(MIN_BUCKETS, min(MAX_BUCKETS, n_buckets)), len(distinct))
    number = _bucket_of_quarter(counts, k)
    if number[-1] + 1 < min(k, MIN_BUCKETS):
        number = _bucket_of_quarter((counts > 0).astype(np.intp), k)
    return number[quarter - first]


def _bucket_of_quarter(counts: NDArray[np.intp], k: int) -> NDArray[np.int8]:
    """Bucket of each quarter of a range, from the windows that it holds: the k-quantiles are upper edges."""
    cumulative = np.cumsum(counts)
    at = (cumulative[-1] - 1) * np.arange(1, k) // k
    edges = np.unique(np.searchsorted(cumulative, at, side="right"))
    return np.searchsorted(edges, np.arange(len(counts)), side="left").astype(np.int8)


def share_evenly(total: int, parts: int) -> list[int]:
    """Split `total` into `parts` near-equal integers, remainders to the earliest.

    >>> share_evenly(11, 3)
    [4, 4, 3]
    """
    return [total // parts + (i < total % parts) for i in range(parts)]


def _rank_within(groups: NDArray[np.integer]) -> NDArray[np.intp]:
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


def _first_pairs(rows: NDArray, turn: NDArray[np.intp], limit: int) -> tuple[NDArray, NDArray[np.intp]]:
    """The rows of the `limit` pairs whose turn comes first, with their turns; all of them where there are fewer.

    This bucket never needs further pairs. A pair drops out only when its cap is reached, and each window that it gave
    counts towards the limit: of `limit` pairs at least as many can still give a window as windows are missing.
    """
    if len(rows) <= limit:
        return rows, turn
    taken = np.zeros(int(turn.max()) + 1, dtype=bool)
    taken[turn] = True
    turns = np.flatnonzero(taken)
    if len(turns) <= limit:
        return rows, turn
    kept = turn < turns[limit]
    return rows[kept], turn[kept]


def sample_rows(
    quarter: NDArray[np.int32],
    pair: NDArray[np.int32],
    settings: SampleSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.int8]]:
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
        rows, turn = _first_pairs(rows, turn, settings.per_type_limit)
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


@dataclass(frozen=True)
class Candidates:
    """Windows that may be sampled: per pair its ids, per window its pair's number, quarter and sign.

    Ids are kept once per pair because 10^8 windows have some 10^6 pairs.
    """

    mgrno: NDArray[np.int64]
    permno: NDArray[np.int64]
    pair: NDArray[np.int32]
    quarter: NDArray[np.int32]
    delta_sign: NDArray[np.int8]


def find_candidates(
    windows: Iterable[pa.Table],
    in_split: Callable[[NDArray], NDArray[np.bool_]],
    drop_zero_holding: bool,
    has_active_change: Callable[[NDArray, NDArray], NDArray[np.bool_]] | None = None,
) -> tuple[Candidates, dict]:
    """The windows of one split that may be sampled, and the account of what was dropped and why.

    `windows` are the consecutive parts of what `build_windows` gives, sorted; `in_split` maps quarter ids to
    the mask of those in the split. A window without a label can be neither trained on nor scored. `has_active_change`,
    given where the active change is the target, maps permno and quarter to the mask of those that have one.
    Raises InputError when no window is left: every later stage needs at least one.
    """
    account = {"windows_in_split": 0, "dropped_no_label": 0, "dropped_zero_holding": 0}
    if has_active_change:
        account["dropped_no_active_change"] = 0
    account["candidates"] = 0
    parts: dict[str, list[NDArray]] = {name: [] for name in ("mgrno", "permno", "pair", "quarter", "delta_sign")}
    n_windows, n_pairs, last, span = 0, 0, (None, None), []
    for part in windows:
        mgrno, permno, quarter = key_arrays(part)
        inside = in_split(quarter)
        labelled = inside & part["delta_sign"].is_valid().to_numpy()
        usable = labelled & ~part["zero_holding"].to_numpy() if drop_zero_holding else labelled
        n_windows += len(quarter)
        span += [quarter.min(), quarter.max()] if len(quarter) else []
        account["windows_in_split"] += int(inside.sum())
        account["dropped_no_label"] += int(inside.sum() - labelled.sum())
        account["dropped_zero_holding"] += int(labelled.sum() - usable.sum())
        kept = np.flatnonzero(usable)
        if has_active_change:
            known = has_active_change(permno[kept], quarter[kept])
            account["dropped_no_active_change"] += int((~known).sum())
            kept = kept[known]
        if not len(kept):
            continue
        mgrno, permno = mgrno[kept], permno[kept]
        begins = np.append((mgrno[0], permno[0]) != last, ~same_pair(mgrno, permno, 1))
        last = mgrno[-1], permno[-1]
        pair = (n_pairs - 1 + np.cumsum(begins)).astype(np.int32)
        n_pairs = int(pair[-1]) + 1
        sign = part["delta_sign"].fill_null(0).to_numpy()[kept]
        new = {
            "mgrno": mgrno[begins],
            "permno": permno[begins],
            "pair": pair,
            "quarter": quarter[kept],
            "delta_sign": sign,
        }
        for name, values in new.items():
            parts[name].append(values)
        account["candidates"] += len(kept)
    if not account["candidates"]:
        quarters = "-".join(quarter_labels([min(span), max(span)])) if span else "no quarter"
        labels = account["windows_in_split"] - account["dropped_no_label"]
        raise InputError(
            f"no usable window in this split: of {n_windows} windows (t in {quarters}), {account['windows_in_split']} "
            f"lie in it, {labels} of those have a label and 0 of these may be used; change splits or "
            "sample.drop_zero_holding, or take the firm type out"
        )
    return Candidates(**{name: np.concatenate(arrays) for name, arrays in parts.items()}), account


def sample_windows(
    candidates: Candidates, settings: SampleSettings, rng: np.random.Generator
) -> tuple[pa.Table, list[int]]:
    """The sampled windows (mgrno, permno, quarter, delta_sign), sorted, and how many come from each time bucket."""
    rows, bucket = sample_rows(candidates.quarter, candidates.pair, settings, rng)
    pair = candidates.pair[rows]
    sample = pa.table(
        {
            "mgrno": candidates.mgrno[pair],
            "permno": candidates.permno[pair],
            "quarter": candidates.quarter[rows],
            "delta_sign": candidates.delta_sign[rows],
        }
    )
    return sample, np.bincount(bucket[rows]).tolist()
