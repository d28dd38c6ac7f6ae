"""Windows are strictly consecutive quarters of one pair, found on the whole history."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_panel, make_run, windows_of
from workflow_scripts.holdings.panel.quarters import quarter_ids, quarter_labels, quarter_starts
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.windows.windows import build_windows, is_stock_quarter, without_stock_quarters


def ends(windows: pa.Table) -> list[tuple]:
    return list(zip(*(windows[name].to_pylist() for name in ("mgrno", "permno", "quarter")), strict=True))


def test_quarter_ids_take_any_day_of_the_quarter():
    days = ["2015-01-01", "2015-02-14", "2015-03-31", "2015-04-01"]
    assert quarter_labels(quarter_ids(days)) == ["2015Q1", "2015Q1", "2015Q1", "2015Q2"]
    assert quarter_ids(quarter_starts([8060])).tolist() == [8060]


def test_five_quarters_give_two_windows():
    windows = windows_of(make_panel(make_run(1, 5, [1.0, 2.0, 3.0, 4.0, 2.5])))
    assert ends(windows) == [(1, 5, 8063), (1, 5, 8064)]
    assert windows["aum"].to_pylist() == [250.0, 250.0]
    assert windows["zero_holding"].to_pylist() == [False, False]
    assert windows["delta_sign"].to_pylist() == [-1, None]


def test_a_gap_breaks_the_history():
    rows = make_run(1, 5, [1.0] * 3) + make_run(1, 5, [1.0] * 4, start=8064)
    assert ends(windows_of(make_panel(rows))) == [(1, 5, 8067)]


def test_pairs_are_not_joined():
    rows = make_run(1, 5, [1.0] * 3) + make_run(1, 6, [1.0] * 3, start=8063) + make_run(2, 6, [1.0] * 3, start=8066)
    assert ends(windows_of(make_panel(rows))) == []


def test_zero_rows_count_as_history():
    assert len(windows_of(make_panel(make_run(1, 5, [0.0] * 4)))) == 1


def test_history_of_two_and_too_short():
    panel = make_panel(make_run(1, 5, [1.0, 2.0, 3.0]))
    assert len(windows_of(panel, 2)) == 2
    with pytest.raises(ValueError, match="at least 2"):
        windows_of(panel, 1)


def naive_windows(rows: list[tuple], n: int) -> list[tuple]:
    """The contract, row by row: what a reader would write first."""
    present = {(m, p, y * 4 + q - 1): (h, h1) for m, p, y, q, h, h1 in rows}
    found = []
    for (m, p, t), (h, h1) in sorted(present.items()):
        if all((m, p, t - lag) in present for lag in range(n)):
            found.append((m, p, t, h == 0, None if h1 is None else int(np.sign(h1 - h))))
    return found


cells = st.sets(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 9)), min_size=1, max_size=60)


@settings(deadline=None)
@given(cells, st.integers(2, 5), st.randoms(use_true_random=False))
def test_windows_agree_with_the_naive_oracle_in_any_row_order(present, n, random):
    rows = []
    for m, p, t in present:
        q = 8060 + t
        label = float(t * m) if (m, p, t + 1) in present else None
        rows.append((m, p, q // 4, q % 4 + 1, float((m + p) % 3), label))
    random.shuffle(rows)
    windows = windows_of(make_panel(rows), n)
    columns = ("mgrno", "permno", "quarter", "zero_holding", "delta_sign")
    assert list(zip(*(windows[c].to_pylist() for c in columns), strict=True)) == naive_windows(rows, n)


def test_no_window_and_no_label_come_from_a_stock_quarter_that_is_set_aside():
    rows = [row for m, p in ((1, 1), (1, 2), (2, 1)) for row in make_run(m, p, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])]
    block = typed_table(make_panel(rows))
    kept = without_stock_quarters(block, ["1 2016Q1", "7 2015Q1"])
    assert kept.num_rows == len(rows) - 2
    windows, whole = build_windows(kept, 3), build_windows(block, 3)
    touched = {(m, p, q) for m, p, q in ends(whole) if p == 1 and q - 2 <= 8064 <= q}
    assert set(ends(windows)) == set(ends(whole)) - touched
    labelled = set(ends(windows.filter(windows["delta_sign"].is_valid())))
    assert set(ends(windows)) - labelled == {(1, 2, 8066), (1, 1, 8063), (2, 1, 8063)}
    assert build_windows(without_stock_quarters(block, ["7 2015Q1"]), 3).equals(whole)


def test_a_stock_quarter_is_a_permno_and_a_quarter():
    assert is_stock_quarter("10107 2016Q4")
    for text in ("10107", "2016Q4", "10107 2016Q5", "x 2016Q4", "10107  2016Q4", "10107 2016-12-31", "10107-2016Q4"):
        assert not is_stock_quarter(text)
