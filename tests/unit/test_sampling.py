"""The sampler keeps its caps and quotas, refills, and depends on seed, firm type and split alone."""

import datetime as dt
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_panel, make_run, windows_of
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.sampling import (
    SampleSettings,
    random_stream,
    sample_rows,
    sample_windows,
    split_mask,
    time_buckets,
)


def rng():
    return random_stream(1, "banks", "sft")


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


def test_same_stream_same_sample_and_another_type_another():
    windows = windows_of(long_panel())
    everything = np.ones(windows.num_rows, dtype=bool)

    def draw(*names):
        return sample_windows(windows, SampleSettings(10), random_stream(*names), everything)[0]

    assert draw(1, "banks", "sft").equals(draw(1, "banks", "sft"))
    assert not draw(1, "banks", "sft").equals(draw(1, "other", "sft"))
    assert not draw(1, "banks", "sft").equals(draw(1, "banks", "grpo"))
    assert not draw(1, "banks", "sft").equals(draw(2, "banks", "sft"))


def test_dropped_windows_are_counted():
    rows = make_run(1, 1, [1.0, 1.0, 1.0, 0.0, 2.0, 3.0])
    windows = windows_of(make_panel(rows))
    sample, account = sample_windows(windows, SampleSettings(), rng(), np.ones(3, dtype=bool))
    assert sample["holding_t"].to_pylist() == [2.0]
    assert (account["dropped_no_label"], account["dropped_zero_holding"], account["sampled"]) == (1, 1, 1)


def test_an_empty_split_says_what_there_is():
    windows = windows_of(make_panel(make_run(1, 1, [1.0] * 5)))
    with pytest.raises(InputError, match="t in 2015Q4-2016Q1"):
        sample_windows(windows, SampleSettings(), rng(), np.zeros(2, dtype=bool))


def test_split_edges_and_embargo():
    quarter = np.arange(8064, 8080, dtype=np.int32)  # 2016Q1..2019Q4
    sft = split_mask(quarter, None, dt.date(2016, 12, 31))
    grpo = split_mask(quarter, dt.date(2017, 1, 1), dt.date(2018, 12, 31))
    test = split_mask(quarter, dt.date(2019, 1, 1), None)
    assert (sft.astype(int) + grpo + test == 1).all()
    assert quarter[sft][-1] == 8067
    assert quarter[test][0] == 8076
    embargoed = split_mask(quarter, dt.date(2017, 1, 1), dt.date(2018, 12, 31), dt.date(2019, 1, 1), 1)
    assert quarter[embargoed][-1] == 8074, "the label of 2018Q3 lies in 2018Q4, still before the next split"
    gap = split_mask(quarter, dt.date(2017, 1, 1), dt.date(2018, 6, 30), dt.date(2019, 1, 1), 1)
    assert quarter[gap][-1] == 8073, "a gap between the splits is embargo enough"
    last = split_mask(quarter, dt.date(2019, 1, 1), dt.date(2019, 12, 31), None, 1)
    assert last.sum() == 4, "the last split has no next one to reach into"
