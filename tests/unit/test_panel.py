"""check_panel accepts what the contract allows and names file, column, rows and remedy of what it does not."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import make_panel, make_run
from workflow_scripts.holdings.panel import PanelError, check_panel, read_panel


def write(tmp_path, table: pa.Table):
    path = tmp_path / "banks.parquet"
    pq.write_table(table, path)
    return path


GOOD = make_run(1, 1, [1.0, 2.0, 0.0]) + make_run(1, 2, [3.0, 4.0])


def test_a_good_slice_is_counted(tmp_path):
    report = check_panel(write(tmp_path, make_panel(GOOD, beta=[None, 1.0, 1.0, 1.0, 1.0])), "banks")
    assert report["rows"] == 5
    assert report["pairs"] == 2
    assert report["zero_holding_rows"] == 1
    assert report["missing_values"]["beta"] == 1
    assert report["missing_values"]["holding_t1"] == 2
    assert report["rows_per_quarter"] == {"2015Q1": 2, "2015Q2": 2, "2015Q3": 1}
    assert report["sorted"]


def test_row_order_does_not_matter(tmp_path):
    report = check_panel(write(tmp_path, make_panel(GOOD[::-1])), "banks")
    assert not report["sorted"]
    assert report["pairs"] == 2


def replaced(row: int, **values) -> list[tuple]:
    rows = [dict(zip(("m", "p", "y", "q", "h", "h1"), r, strict=True)) for r in GOOD]
    rows[row] |= values
    return [tuple(r.values()) for r in rows]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (make_panel(GOOD, firm_type="other"), r"column 'type' is not 'banks' in 5 of 5 rows"),
        (
            make_panel(replaced(2, h=-1.0)),
            r"'holding_t' is missing, infinite or negative in 1 of 5 rows \(row 2: mgrno 1",
        ),
        (make_panel(replaced(2, h=float("inf"))), r"'holding_t' is missing, infinite or negative"),
        (make_panel(replaced(2, h=None)), r"'holding_t' is missing, infinite or negative"),
        (make_panel(replaced(1, h1=-2.0)), r"'holding_t1' is infinite or negative"),
        (
            make_panel(replaced(0, h1=2.5)),
            r"'holding_t1' is not the pair's next-quarter holding_t in 1 of 5 rows \(row 0",
        ),
        (make_panel(replaced(1, y=2014)), r"'holding_t1' is not the pair's next-quarter"),
        (make_panel([*GOOD, GOOD[0]]), r"duplicate \(mgrno, permno, quarter\) in 1 of 6 rows \(row 5"),
        (make_panel([]), r"the slice is empty"),
        (make_panel(GOOD).drop_columns(["Gat"]), r"column 'Gat' is missing"),
        (make_panel(GOOD).rename_columns({"holding_t1": "holding_T1"}), r"did you mean 'holding_T1'"),
        (make_panel(GOOD, holding_t=["1"] * 5), r"column 'holding_t' holds string, not numbers"),
        (make_panel(GOOD, date=[20150101] * 5), r"column 'date' holds int64, not dates"),
        (
            make_panel(GOOD, permno=pa.array([1, 1, None, 2, 2], pa.int64())),
            r"'permno' is missing in 1 rows, first in row 2",
        ),
    ],
)
def test_faults_are_refused(tmp_path, table, message):
    path = write(tmp_path, table)
    with pytest.raises(PanelError, match=message) as error:
        check_panel(path, "banks")
    assert str(path) in str(error.value)


def test_a_file_that_is_not_parquet(tmp_path):
    path = tmp_path / "banks.parquet"
    path.write_text("mgrno,permno\n")
    with pytest.raises(PanelError, match="not a readable parquet file"):
        check_panel(path, "banks")
    with pytest.raises(PanelError, match=r"no such file; .* holds banks.parquet"):
        check_panel(tmp_path / "bank.parquet", "banks")


def test_a_truncated_file(tmp_path):
    path = write(tmp_path, make_panel(GOOD))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PanelError, match="not a readable parquet file"):
        check_panel(path, "banks")


def test_label_of_a_gap_is_a_contradiction(tmp_path):
    rows = [(1, 1, 2015, 1, 1.0, 2.0), (1, 1, 2015, 3, 2.0, None)]
    with pytest.raises(PanelError, match="missing unless that row is exactly the next quarter"):
        check_panel(write(tmp_path, make_panel(rows)), "banks")


def test_a_label_on_the_last_row_is_a_contradiction(tmp_path):
    rows = [*make_run(1, 1, [1.0, 2.0])[:1], (1, 1, 2015, 2, 2.0, 0.0)]
    with pytest.raises(PanelError, match="in 1 of 2 rows"):
        check_panel(write(tmp_path, make_panel(rows)), "banks")


def test_read_panel_gives_one_kind_of_missing_value(tmp_path):
    path = write(tmp_path, make_panel(GOOD, me=pa.array([1, 2, None, 4, 5], pa.int32())))
    values = read_panel(path, ("me",))["me"].to_numpy()
    assert values.dtype == np.float64
    assert np.isnan(values[2])
