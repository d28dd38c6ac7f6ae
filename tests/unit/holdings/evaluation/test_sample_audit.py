"""The audit of a sample catches every selection by the label that is planted, and passes what is clean."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import windows_of
from workflow_scripts.holdings.evaluation import sample_audit as audit
from workflow_scripts.holdings.panel.pairs import key_arrays
from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.windows.history import attach_history
from workflow_scripts.holdings.windows.sampling import SampleSettings, find_candidates, sample_windows
from workflow_scripts.holdings.windows.splits import Period, split_mask
from workflow_scripts.holdings.windows.windows import build_windows, window_ids, without_stock_quarters
from workflow_scripts.plumbing.random_streams import random_stream

SETTINGS = SampleSettings(per_type_limit=60)
PERIOD = Period("2016-02-01", "2018-12-31")
ANY = (0, 4 * 9999)


@pytest.fixture(scope="module")
def panel() -> pa.Table:
    settings = SimulationSettings(managers=6, stocks=12, stocks_per_manager=5, first_year=2015, last_year=2019)
    return typed_table(pa.concat_tables(simulate_panel("banks", 0.1, settings, 3)))


@pytest.fixture(scope="module")
def windows(panel) -> pa.Table:
    return windows_of(panel)


def in_parts(windows: pa.Table) -> list[pa.Table]:
    return [windows.slice(start, 50) for start in range(0, windows.num_rows, 50)]


def drawn(windows: pa.Table, panel: pa.Table, known=None) -> pa.Table:
    """The sample as `sample_windows` draws it."""
    candidates, _ = find_candidates(in_parts(windows), partial(split_mask, period=PERIOD), True, known)
    sample, _ = sample_windows(candidates, SETTINGS, random_stream(1, "banks", "test"))
    return attach_history(sample, panel, "banks", 4)


def chosen(sample: pa.Table, windows: pa.Table, known=None) -> list[str]:
    finder = audit.WindowFinder(sample, audit.quarters_of(PERIOD, None, 0), True, known)
    eligible, _ = finder.find(in_parts(windows))
    assert not eligible.delta_sign.any(), "the draw is blind"
    return audit.chosen_by_label(sample, eligible, SETTINGS, random_stream(1, "banks", "test"))


def windows_of_pairs(windows: pa.Table, sample: pa.Table) -> pa.Table:
    _, found = audit.WindowFinder(sample, ANY, True, None).find(in_parts(windows))
    return found


def where(windows: pa.Table, kept) -> pa.Table:
    return windows.filter(pa.array(np.asarray(kept)))


def test_a_clean_sample_passes(panel, windows):
    sample = drawn(windows, panel)
    assert sample.num_rows == SETTINGS.per_type_limit
    assert chosen(sample, windows) == []
    found = windows_of_pairs(windows, sample)
    pairs = {(one["mgrno"], one["permno"]) for one in sample.to_pylist()}
    theirs = [(one["mgrno"], one["permno"]) in pairs for one in windows.to_pylist()]
    assert found.equals(where(windows, theirs).select(found.column_names))
    assert found.num_rows > sample.num_rows
    assert audit.differing_windows(found, sample, panel, 4, []) == []
    assert audit.wrong_labels(sample, panel) == []


def test_windows_without_an_active_change_may_be_left_out(panel, windows):
    def known(permno, quarter):
        return permno % 3 > 0

    sample = drawn(windows, panel, known)
    assert chosen(sample, windows, known) == []
    assert len(chosen(sample, windows)) > 0


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_sampler_that_looks_at_the_label_is_caught(panel, windows, sign):
    """It is given only windows of the other sign, or few of this one."""
    labels = windows["delta_sign"].to_pylist()
    others = np.array([label != sign for label in labels])
    for kept in (others, others | (np.random.default_rng(0).random(windows.num_rows) < 0.5)):
        sample = drawn(where(windows, kept), panel)
        assert len(chosen(sample, windows)) > 10


def test_one_exchanged_window_is_caught(panel, windows):
    sample = drawn(windows, panel)
    others = attach_history(where(windows, windows["delta_sign"].is_valid().to_numpy()), panel, "banks", 4)
    taken = set(sample["window_id"].to_pylist())
    other = next(row for row, name in enumerate(others["window_id"].to_pylist()) if name not in taken)
    exchanged = pa.concat_tables([sample.slice(1), others.slice(other, 1)])
    assert len(chosen(exchanged, windows)) == 2
    assert chosen(sample.slice(1), windows) == [sample["window_id"][0].as_py()]


@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_windows_that_their_label_has_kept_out_are_caught(panel, windows, sign):
    """Before the sample is drawn: the draw is then the same with labels and without."""
    kept = [label != sign for label in windows["delta_sign"].to_pylist()]
    sample = drawn(where(windows, kept), panel)
    assert chosen(sample, where(windows, kept)) == []
    found = windows_of_pairs(where(windows, kept), sample)
    pairs = {(one["mgrno"], one["permno"]) for one in found.to_pylist()}
    lost = [one for one in where(windows, np.logical_not(kept)).to_pylist() if (one["mgrno"], one["permno"]) in pairs]
    assert len(lost) > 0 or sign == 0
    assert len(audit.differing_windows(found, sample, panel, 4, [])) == len(lost)


def test_a_sign_and_a_label_of_another_quarter_are_caught(panel, windows):
    sample = drawn(windows, panel)
    found = windows_of_pairs(windows, sample)
    signs = found["delta_sign"].to_pylist()
    row = signs.index(1)
    for sign in (-1, 0, None):
        other = pa.array([*signs[:row], sign, *signs[row + 1 :]], pa.int8())
        planted = found.set_column(found.column_names.index("delta_sign"), "delta_sign", other)
        (wrong,) = audit.differing_windows(planted, sample, panel, 4, [])
        assert wrong in window_ids("banks", *key_arrays(found.slice(row, 1)))
    held = sample.set_column(sample.column_names.index("holding_t1"), "holding_t1", sample["holding_t"])
    assert len(audit.wrong_labels(held, panel)) > 0.9 * sample.num_rows


def test_stock_quarters_that_are_set_aside_may_be_missing(panel, windows):
    set_aside = [f"{panel['permno'][0].as_py()} 2017Q2"]
    fewer = build_windows(without_stock_quarters(panel.combine_chunks(), set_aside), 4)
    assert fewer.num_rows < windows.num_rows
    sample = drawn(fewer, panel)
    found = windows_of_pairs(fewer, sample)
    assert audit.differing_windows(found, sample, panel, 4, set_aside) == []
    assert len(audit.differing_windows(found, sample, panel, 4, [])) > 0


def test_the_quarters_of_a_split_are_those_of_the_sampler():
    quarters = np.arange(4 * 2015, 4 * 2021, dtype=np.int32)
    for period in (Period(), PERIOD, Period(end="2016-12-31"), Period("2019-01-01")):
        for embargo in (0, 1, 3):
            for following in (None, "2018-01-01", "2018-05-05"):
                first, last = audit.quarters_of(period, following, embargo)
                expected = split_mask(quarters, period, following, embargo)
                assert np.array_equal((quarters >= first) & (quarters <= last), expected)
