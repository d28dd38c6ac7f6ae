"""Stratified sample of windows: buckets of time take turns, and pairs inside a bucket."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
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
        Doc("Time buckets that take turns, so that the sample is even over time; never more than there are quarters."),
    ] = 10
    max_per_pair: Annotated[int, Ge(1), Doc("At most this many windows of one manager and stock in a split.")] = 3
    drop_zero_holding: Annotated[bool, Doc("Leave windows out whose position at t is 0.")] = True


@dataclass(frozen=True)
class BaselineSettings:
    """What the baselines are fitted on: windows of the SFT and GRPO quarters, beyond the model's samples."""

    max_windows: Annotated[
        int, Ge(1), Doc("Windows of each training split that the baselines are fitted on; of more, a random part.")
    ] = 20_000


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


def _queue(
    rows: NDArray[np.intp], pair: NDArray[np.int32], settings: SampleSettings, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The windows of one bucket in the order in which they are offered, and the round of each.

    `rows` are those of the bucket, `pair` is that of every window, ids from 0. Pairs are shuffled, and each offers one
    window per round, no more of them than its cap.
    """
    rows = rng.permutation(rows)
    turn = rng.permutation(int(pair.max()) + 1)[pair[rows]]
    rows, turn = _first_pairs(rows, turn, settings.per_type_limit)
    rounds = _rank_within(pair[rows])
    order = np.lexsort((turn, rounds))[: int(np.sum(rounds < settings.max_per_pair))]
    return rows[order], rounds[order]


def _take_turns(queues: list[NDArray[np.int32]], settings: SampleSettings) -> list[NDArray[np.intp]]:
    """Which places of each queue of pairs are taken: the queues take turns, one place each, until the limit.

    A queue passes over pairs whose cap is reached, and drops out at its end.
    """
    taken: Counter[int] = Counter()
    places: list[list[int]] = [[] for _ in queues]
    waiting = [(own, enumerate(queue.tolist())) for own, queue in zip(places, queues, strict=True)]
    missing = settings.per_type_limit
    while waiting and missing:
        for one in list(waiting):
            if not missing:
                break
            own, queue = one
            # What is passed over here stays out: caps only tighten.
            place, pair = next((entry for entry in queue if taken[entry[1]] < settings.max_per_pair), (None, -1))
            if place is None:
                waiting.remove(one)
                continue
            taken[pair] += 1
            own.append(place)
            missing -= 1
    return [np.array(own, dtype=np.intp) for own in places]


def _path(counts: NDArray[np.intp], leads: NDArray[np.bool_]) -> list[int]:
    """Nodes from a bucket to one with at least two windows less, the fewest steps; empty where there are none.

    `counts` are the windows of the buckets, `leads[a, b]` says whether some pair can move a window from a to b; it has
    one node more than there are buckets.
    """
    for start in np.argsort(-counts, kind="stable").tolist():
        before, found = {start: start}, [start]
        for node in found:
            for following in np.flatnonzero(leads[node]).tolist():
                if following not in before:
                    before[following] = node
                    found.append(following)
        ends = [node for node in found if node < len(counts) and counts[node] <= counts[start] - 2]
        if ends:
            path = [min(ends, key=lambda node: counts[node])]
            while path[0] != start:
                path.insert(0, before[path[0]])
            return path
    return []


def _even_out(chosen: NDArray[np.intp], supply: NDArray[np.intp]) -> None:
    """Move windows between the buckets, in place, until no bucket can be made smaller in favour of a smaller one.

    `supply` and `chosen` have shape (buckets + 1, pairs): how many windows a pair has in a bucket, and how many of them
    are in the sample. The last row is no bucket: `chosen` has there what is left of a pair's cap, `supply` the cap, so
    that a window that goes there leaves the sample, and one that comes from there enters it. Exchanges along paths
    reach the smallest possible largest bucket (Murota 2003, Discrete Convex Analysis: the M-optimality criterion).
    """
    while True:
        given, free = chosen > 0, chosen < supply
        movable = given.astype(float) @ free.T.astype(float)
        counts = chosen[:-1].sum(axis=1)
        path = _path(counts, movable > 0)
        if not path:
            return
        steps = list(pairwise(path))
        number = int(min((counts[path[0]] - counts[path[-1]]) // 2, *(movable[step] for step in steps)))
        for here, there in steps:
            moved = np.flatnonzero((chosen[here] > 0) & (chosen[there] < supply[there]))[:number]
            chosen[here, moved] -= 1
            chosen[there, moved] += 1


def sample_rows(
    quarter: NDArray[np.int32],
    pair: NDArray[np.int32],
    settings: SampleSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.int8]]:
    """Choose windows; returns (ascending row positions, bucket number of every candidate).

    `quarter` and `pair` have shape (n,), one entry per candidate window; `pair` numbers the
    (mgrno, permno) pairs. The buckets take turns, in time order and one window each, until the limit or the supply is
    reached. Inside a bucket the pairs are shuffled and each gives one window per round; over all buckets a pair gives
    at most `max_per_pair`. A bucket that runs dry because other buckets have used up the caps of its pairs is then
    given windows of the same pairs in exchange, so that no sample of as many windows is more even over the buckets.
    """
    bucket = time_buckets(quarter, settings.time_buckets)
    if not len(bucket):
        return np.empty(0, dtype=np.intp), bucket
    offers = [_queue(np.flatnonzero(bucket == number), pair, settings, rng) for number in range(int(bucket.max()) + 1)]
    rows = np.concatenate([queue for queue, _ in offers])
    rounds = np.concatenate([round_of for _, round_of in offers])
    places = _take_turns([pair[queue] for queue, _ in offers], settings)
    taken = np.concatenate([queue[place] for (queue, _), place in zip(offers, places, strict=True)])
    # Exchanges are tried pair by pair: in a random order, so that no manager comes first.
    pairs = np.unique(pair[rows])
    column_of = np.empty(int(pairs[-1]) + 1, dtype=np.intp)
    column_of[pairs] = rng.permutation(len(pairs))
    supply, chosen = np.zeros((2, len(offers) + 1, len(pairs)), dtype=np.intp)
    for table, windows in ((supply, rows), (chosen, taken)):
        np.add.at(table, (bucket[windows], column_of[pair[windows]]), 1)
    supply[-1] = settings.max_per_pair
    chosen[-1] = settings.max_per_pair - chosen.sum(axis=0)
    _even_out(chosen, supply)
    selected = rounds < chosen[bucket[rows], column_of[pair[rows]]]
    return np.sort(rows[selected]), bucket


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


def draw_uniformly(candidates: Candidates, limit: int, rng: np.random.Generator) -> pa.Table:
    """At most `limit` of the windows (mgrno, permno, quarter, delta_sign), each as likely as any other, sorted."""
    number = len(candidates.quarter)
    rows = np.arange(number) if number <= limit else np.sort(rng.choice(number, limit, replace=False))
    return _table(candidates, rows)


def _table(candidates: Candidates, rows: NDArray[np.intp]) -> pa.Table:
    pair = candidates.pair[rows]
    return pa.table(
        {
            "mgrno": candidates.mgrno[pair],
            "permno": candidates.permno[pair],
            "quarter": candidates.quarter[rows],
            "delta_sign": candidates.delta_sign[rows],
        }
    )


def sample_windows(candidates: Candidates, settings: SampleSettings, rng: np.random.Generator) -> tuple[pa.Table, dict]:
    """The sampled windows (mgrno, permno, quarter, delta_sign), sorted, and the account of how even they are."""
    rows, bucket = sample_rows(candidates.quarter, candidates.pair, settings, rng)
    return _table(candidates, rows), _evenness(candidates.quarter, bucket, rows)


def _evenness(quarter: NDArray[np.int32], bucket: NDArray[np.int8], rows: NDArray[np.intp]) -> dict:
    """How the sample lies over time beside the candidates: per bucket, and the middle window of both."""
    first, shape = int(quarter.min()), (int(bucket.max()) + 1, int(np.ptp(quarter)) + 1)

    def by_bucket(chosen: NDArray[np.intp] | slice) -> NDArray[np.intp]:
        """Windows by bucket and quarter."""
        cells = bucket[chosen].astype(np.intp) * shape[1] + quarter[chosen] - first
        return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)

    def middle(counts: NDArray[np.intp]) -> str:
        windows = counts.sum(axis=0).cumsum()
        return quarter_labels([first + int(np.searchsorted(windows, (windows[-1] + 1) // 2))])[0]

    offered, sampled = by_bucket(slice(None)), by_bucket(rows)
    spans = [np.flatnonzero(counts)[[0, -1]] for counts in offered]
    per_bucket = sampled.sum(axis=1)
    return {
        "sampled": len(rows),
        "largest_bucket": int(per_bucket.max()),
        "smallest_bucket": int(per_bucket.min()),
        "median_quarter_of_candidates": middle(offered),
        "median_quarter": middle(sampled),
        "buckets": [
            {"quarters": "-".join(quarter_labels(first + span)), "candidates": int(there), "sampled": int(taken)}
            for span, there, taken in zip(spans, offered.sum(axis=1), per_bucket, strict=True)
        ],
    }
