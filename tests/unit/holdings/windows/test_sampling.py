"""The sampler keeps its caps, is as even over time as can be, and depends on seed, firm type and split alone."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from tests.conftest import make_panel, make_run, windows_of
from tests.project import ROOT
from workflow_scripts.holdings.panel.slices import check_keys, panel_blocks
from workflow_scripts.holdings.windows.sampling import (
    SampleSettings,
    find_candidates,
    sample_rows,
    sample_windows,
    time_buckets,
)
from workflow_scripts.holdings.windows.splits import Period, split_mask
from workflow_scripts.holdings.windows.windows import WINDOW_COLUMNS, build_windows
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.random_streams import random_stream


def rng():
    return random_stream(1, "banks", "sft")


def most_windows(bucket, pair, cap, largest):
    """How many windows a sample can have with no bucket above `largest` and no pair above `cap`: a maximum flow.

    It runs from a source to the buckets, from these to the pairs that have windows there, from these to a sink.
    """
    buckets, pairs = int(bucket.max()) + 1, int(pair.max()) + 1
    source, sink = buckets + pairs, buckets + pairs + 1
    cells, windows = np.unique(np.stack([bucket, pair]), axis=1, return_counts=True)
    start = np.r_[np.full(buckets, source), cells[0], buckets + np.arange(pairs)]
    end = np.r_[np.arange(buckets), buckets + cells[1], np.full(pairs, sink)]
    capacity = np.r_[np.full(buckets, largest), windows, np.full(pairs, cap)].astype(np.int32)
    return maximum_flow(csr_array((capacity, (start, end)), shape=(sink + 1, sink + 1)), source, sink).flow_value


def best_largest_bucket(bucket, pair, cap, n):
    """The smallest that the largest bucket can be in a sample of n windows."""
    return next(size for size in range(n + 1) if most_windows(bucket, pair, cap, size) >= n)


def test_the_account_says_how_even_the_sample_is():
    """Per bucket, the extremes and the middle quarter of sample and candidates, counted by hand."""
    holdings = [[1.0] * 12, [1.0] * 12, [1.0] * 5]
    windows = windows_of(make_panel([row for p, run in enumerate(holdings, 1) for row in make_run(1, p, run)]))
    _, account = sampled(windows, SampleSettings(per_type_limit=7, time_buckets=3))
    spans = [("2015Q4-2016Q2", 7), ("2016Q3-2016Q4", 4), ("2017Q1-2017Q3", 6)]
    assert [(one["quarters"], one["candidates"]) for one in account["buckets"]] == spans
    assert [one["sampled"] for one in account["buckets"]] == [3, 2, 2]
    assert (account["sampled"], account["smallest_bucket"], account["largest_bucket"]) == (7, 2, 3)
    assert account["median_quarter_of_candidates"] == "2016Q3"


def test_limit_is_shared_evenly_remainders_to_the_earliest():
    quarter = np.repeat(np.arange(8000, 8003, dtype=np.int32), 100)
    pair = np.tile(np.arange(100), 3)
    rows, bucket = sample_rows(quarter, pair, SampleSettings(per_type_limit=11, time_buckets=3), rng())
    assert np.bincount(bucket[rows]).tolist() == [4, 4, 3]


def test_unfilled_quota_is_refilled_from_the_others():
    quarter = np.repeat(np.arange(8000, 8003, dtype=np.int32), 100)
    pair = np.r_[np.zeros(100, dtype=int), np.arange(1, 201)]
    settings = SampleSettings(per_type_limit=60, time_buckets=3, max_per_pair=2)
    rows, bucket = sample_rows(quarter, pair, settings, rng())
    assert np.bincount(bucket[rows]).tolist() == [2, 29, 29]


def test_round_robin_takes_every_pair_before_any_twice():
    quarter = np.array([8000] * 40, dtype=np.int32)
    pair = np.repeat(np.arange(10), 4)
    rows, _ = sample_rows(quarter, pair, SampleSettings(per_type_limit=15, max_per_pair=4), rng())
    assert sorted(Counter(pair[rows].tolist()).values()) == [1] * 5 + [2] * 5


def test_cap_counts_over_all_buckets():
    quarter = np.arange(8000, 8020, dtype=np.int32)
    rows, _ = sample_rows(quarter, np.zeros(20, dtype=int), SampleSettings(max_per_pair=3), rng())
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("quarters", "wanted", "expected"), [(1, 10, 1), (2, 10, 2), (40, 1, 3), (40, 99, 12), (40, 7, 7)]
)
def test_number_of_buckets(quarters, wanted, expected):
    quarter = np.repeat(np.arange(8000, 8000 + quarters, dtype=np.int32), 5)
    assert len(set(time_buckets(quarter, wanted).tolist())) == expected


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 6)), min_size=1, max_size=80),
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(1, 14),
)
def test_caps_hold_and_nothing_is_left_while_there_is_supply(cells, limit, cap, buckets):
    quarter = np.array([8000 + t for t, _ in cells], dtype=np.int32)
    pair = np.array([p for _, p in cells])
    rows, _ = sample_rows(quarter, pair, SampleSettings(limit, buckets, cap), rng())
    assert len(set(rows.tolist())) == len(rows)
    assert max(Counter(pair[rows].tolist()).values()) <= cap
    supply = sum(min(cap, n) for n in Counter(pair.tolist()).values())
    assert len(rows) == min(limit, supply)


def long_panel(seed: int = 0):
    generator = np.random.default_rng(seed)
    rows = []
    for m in range(1, 6):
        for p in range(1, 6):
            rows += make_run(m, p, generator.uniform(0, 9, 12).round(3).tolist())
    return make_panel(rows)


def sampled(windows, settings, generator=None, in_split=lambda quarter: np.ones(len(quarter), dtype=bool), part_rows=2):
    """Sample and account, from windows that arrive in parts."""
    parts = [windows.slice(at, part_rows) for at in range(0, len(windows), part_rows)]
    candidates, account = find_candidates(parts, in_split, settings.drop_zero_holding)
    sample, evenness = sample_windows(candidates, settings, generator or rng())
    return sample, account | evenness


@pytest.mark.parametrize("part_rows", [1, 3, 1000])
def test_parts_make_no_difference(part_rows):
    windows = windows_of(long_panel())
    whole, account = sampled(windows, SampleSettings(20), part_rows=len(windows))
    parts, same_account = sampled(windows, SampleSettings(20), part_rows=part_rows)
    assert parts.equals(whole)
    assert same_account == account
    keys = list(zip(*(windows[name].to_pylist() for name in whole.column_names), strict=True))
    assert set(zip(*(whole[name].to_pylist() for name in whole.column_names), strict=True)) <= set(keys)


def test_same_stream_same_sample_and_another_type_another():
    windows = windows_of(long_panel())

    def draw(*names):
        return sampled(windows, SampleSettings(10), random_stream(*names))[0]

    assert draw(1, "banks", "sft").equals(draw(1, "banks", "sft"))
    assert not draw(1, "banks", "sft").equals(draw(1, "other", "sft"))
    assert not draw(1, "banks", "sft").equals(draw(1, "banks", "grpo"))
    assert not draw(1, "banks", "sft").equals(draw(2, "banks", "sft"))


def test_dropped_windows_are_counted():
    rows = make_run(1, 1, [1.0, 1.0, 1.0, 0.0, 2.0, 3.0])
    windows = windows_of(make_panel(rows))
    sample, account = sampled(windows, SampleSettings())
    assert sample["quarter"].to_pylist() == [8064]
    assert (account["dropped_no_label"], account["dropped_zero_holding"], account["candidates"]) == (1, 1, 1)


def test_an_empty_split_says_what_there_is():
    windows = windows_of(make_panel(make_run(1, 1, [1.0] * 5)))
    with pytest.raises(InputError, match="t in 2015Q4-2016Q1"):
        sampled(windows, SampleSettings(), in_split=lambda quarter: quarter < 0)


CELLS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 25)), min_size=1, max_size=120)


@settings(deadline=None, max_examples=150)
@given(CELLS, st.integers(1, 60), st.integers(1, 4), st.integers(3, 12))
def test_no_sample_of_as_many_windows_is_more_even(cells, limit, cap, buckets):
    """The largest bucket is as small as a maximum flow says that it can be, whether the limit is reached or not."""
    quarter = np.array([8000 + t for t, _ in cells], dtype=np.int32)
    pair = np.array([p for _, p in cells])
    rows, bucket = sample_rows(quarter, pair, SampleSettings(limit, buckets, cap), rng())
    assert np.bincount(bucket[rows]).max() == best_largest_bucket(bucket, pair, cap, len(rows))


# The third bucket runs dry in the last turn, whose place is the fourth bucket's.
RUNS_DRY = [*[(0, 0)] * 3, (0, 1), *[(1, 0)] * 3, *[(2, 0)] * 2, (3, 0), *[(3, 1)] * 2]


@settings(deadline=None, max_examples=60)
@given(CELLS, st.integers(1, 30), st.integers(3, 12))
@example(RUNS_DRY, 11, 4)
def test_pairs_take_turns_inside_a_bucket(cells, limit, buckets):
    """A pair has two windows more than another of the bucket only where that one has no more.

    Also where there are more pairs than the limit, whose windows are not even shuffled. No cap binds.
    """
    quarter = np.array([8000 + t for t, _ in cells], dtype=np.int32)
    pair = np.array([p for _, p in cells])
    rows, bucket = sample_rows(quarter, pair, SampleSettings(limit, buckets, 1000), rng())
    offered = Counter(zip(bucket.tolist(), pair.tolist(), strict=True))
    taken = Counter(zip(bucket[rows].tolist(), pair[rows].tolist(), strict=True))
    for number, one in offered:
        most = max(taken[other] for other in offered if other[0] == number)
        assert taken[number, one] >= min(most - 1, offered[number, one])


def test_pairs_that_live_through_all_buckets_do_not_fill_the_first_ones():
    """20 pairs over 30 quarters, at most 3 windows of each: 60 windows, 6 from each of ten buckets."""
    quarter = np.tile(np.arange(8000, 8030, dtype=np.int32), 20)
    pair = np.repeat(np.arange(20), 30)
    rows, bucket = sample_rows(quarter, pair, SampleSettings(per_type_limit=600, max_per_pair=3), rng())
    assert np.bincount(bucket[rows]).tolist() == [6] * 10


def test_a_growing_panel_is_sampled_over_all_of_its_time():
    """Old pairs are in every quarter and new ones join; the middle of the sample is that of the candidates."""
    joins = np.repeat([8000, 8000, 8004, 8010, 8018], 30)
    quarter = np.concatenate([np.arange(join, 8028) for join in joins]).astype(np.int32)
    pair = np.repeat(np.arange(len(joins)), 8028 - joins)
    rows, bucket = sample_rows(quarter, pair, SampleSettings(), rng())
    assert len(rows) == 450, "the limit is not reached"
    assert np.bincount(bucket[rows]).tolist() == [45] * 10
    assert abs(np.median(quarter[rows]) - np.median(quarter)) <= 1


REAL_PANEL = ROOT.parent / "shared/data/panel_quarter_13f.parquet"
PERIODS = {
    "sft": Period(None, "2016-12-31"),
    "grpo": Period("2017-01-01", "2018-12-31"),
    "test": Period("2019-01-01"),
}


@pytest.mark.skipif(not REAL_PANEL.exists(), reason="the real 13F panel is not on this machine")
@pytest.mark.parametrize("split", PERIODS)
@pytest.mark.parametrize("firm_type", ["insurance_companies", "mutual_funds"])
def test_samples_of_a_real_panel_are_as_even_as_can_be(firm_type, split):
    """In five of these six samples the limit is not reached; pairs are held for very different times."""
    path = REAL_PANEL / f"{firm_type}.parquet"
    windows = [build_windows(block, 4) for block in panel_blocks(path, WINDOW_COLUMNS, check_keys(path))]
    in_split = partial(split_mask, period=PERIODS[split], next_start=None, embargo_quarters=0)
    found, _ = find_candidates(windows, in_split, True)
    rows, bucket = sample_rows(found.quarter, found.pair, SampleSettings(), random_stream(42, firm_type, split))
    per_bucket = np.bincount(bucket[rows])
    assert per_bucket.max() == best_largest_bucket(bucket, found.pair, 3, len(rows)), per_bucket.tolist()
    assert np.bincount(found.pair[rows]).max() <= 3


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(3, 12))
def test_buckets_are_quantiles_of_the_quarter(quarters, wanted):
    quarter = np.array(quarters, dtype=np.int32) + 8000
    bucket = time_buckets(quarter, wanted)
    k = min(wanted, len(set(quarters)))
    by_mass, by_quarter = (
        np.searchsorted(np.unique(np.quantile(values, np.arange(1, k) / k, method="lower")), quarter)
        for values in (quarter, np.unique(quarter))
    )
    expected = by_mass if len(set(by_mass.tolist())) >= min(k, 3) else by_quarter
    # Where (n - 1) i / k is whole, floating point may put numpy's quantile one window lower.
    assert (bucket == expected).all() or any(
        (len(v) - 1) * i % k == 0 for v in (quarter, set(quarters)) for i in range(1, k)
    )
    assert len(set(bucket.tolist())) >= min(3, len(set(quarters)))


def test_a_quarter_with_most_windows_leaves_three_buckets():
    quarter = np.r_[np.full(1000, 8005), np.arange(8000, 8010)].astype(np.int32)
    assert len(set(time_buckets(quarter, 10).tolist())) >= 3


def test_one_pair_and_one_quarter():
    one_pair = windows_of(make_panel(make_run(1, 1, [1.0] * 9)))
    sample, account = sampled(one_pair, SampleSettings())
    assert (len(sample), account["candidates"]) == (3, 5), "at most max_per_pair"
    rows = [row for p in range(1, 6) for row in make_run(1, p, [1.0] * 5)]
    one_quarter = windows_of(make_panel(rows))
    sample, account = sampled(one_quarter, SampleSettings(), in_split=lambda quarter: quarter == 8063)
    assert (len(sample), [one["sampled"] for one in account["buckets"]]) == (5, [5])


def test_only_zero_holdings_leave_nothing_unless_kept():
    windows = windows_of(make_panel(make_run(1, 1, [0.0] * 6)))
    with pytest.raises(InputError, match=r"2 of those have a label and 0 of these may be used; .*drop_zero_holding"):
        sampled(windows, SampleSettings())
    sample, _ = sampled(windows, SampleSettings(drop_zero_holding=False))
    assert len(sample) == 2


def test_the_cap_of_a_pair_is_per_split():
    windows = windows_of(make_panel(make_run(1, 1, [1.0] * 20)))
    for in_split in (lambda quarter: quarter < 8070, lambda quarter: quarter >= 8070):
        assert len(sampled(windows, SampleSettings(max_per_pair=2), in_split=in_split)[0]) == 2


def test_split_edges_and_embargo():
    quarter = np.arange(8064, 8080, dtype=np.int32)  # 2016Q1..2019Q4
    sft = split_mask(quarter, Period(None, "2016-12-31"))
    grpo = split_mask(quarter, Period("2017-01-01", "2018-12-31"))
    test = split_mask(quarter, Period("2019-01-01"))
    assert (sft.astype(int) + grpo + test == 1).all()
    assert quarter[sft][-1] == 8067
    assert quarter[test][0] == 8076
    embargoed = split_mask(quarter, Period("2017-01-01", "2018-12-31"), "2019-01-01", 1)
    assert quarter[embargoed][-1] == 8074, "the label of 2018Q3 lies in 2018Q4, still before the next split"
    gap = split_mask(quarter, Period("2017-01-01", "2018-06-30"), "2019-01-01", 1)
    assert quarter[gap][-1] == 8073, "a gap between the splits is embargo enough"
    last = split_mask(quarter, Period("2019-01-01", "2019-12-31"), None, 1)
    assert last.sum() == 4, "the last split has no next one to reach into"
