"""Exit rows are made where a manager files on and the pair is gone, and nowhere else; the slice keeps the contract."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import make_panel, make_run
from workflow_scripts.holdings.panel import exits
from workflow_scripts.holdings.panel.checks import check_panel
from workflow_scripts.holdings.panel.contract import PANEL_COLUMNS
from workflow_scripts.holdings.panel.slices import SCHEMA, panel_batches, typed_table
from workflow_scripts.plumbing.code_digest import ROOT

REAL = ROOT.parent / "shared/data/panel_quarter_13f.parquet"
# All file 2015Q1-Q4 (8060-8063), but manager 2 skips Q3.
OTHERS = [*make_run(1, 2, [5.0, 5.0, 5.0, 5.0]), *make_run(2, 2, [7.0, 7.0]), *make_run(2, 2, [7.0], 8063),
          *make_run(3, 1, [9.0, 9.0, 9.0, 9.0]), *make_run(3, 2, [9.0, 9.0, 9.0, 9.0])]  # fmt: skip


def with_exits(rows: list[tuple], **columns) -> pa.Table:
    panel = typed_table(make_panel(sorted(rows), **columns))
    table, made = exits.add_exits(panel, exits.filings([panel]), exits.stocks([panel]))
    assert table.num_rows == panel.num_rows + made
    return typed_table(table)


def holdings(table: pa.Table) -> dict[tuple, tuple]:
    """(mgrno, permno, quarter) -> (holding_t, holding_t1)."""
    keys, values = (
        zip(*(table[name].to_pylist() for name in names), strict=True)
        for names in (("mgrno", "permno", "quarter"), ("holding_t", "holding_t1"))
    )
    return dict(zip(keys, values, strict=True))


def test_a_position_that_is_gone_from_the_next_filing_was_sold():
    """Its last row gets the label 0, and the exit row none."""
    found = holdings(with_exits([*make_run(1, 1, [2.0, 3.0]), *OTHERS]))
    assert found[1, 1, 8061] == (3.0, 0.0)
    assert found[1, 1, 8062][0] == 0
    assert np.isnan(found[1, 1, 8062][1])
    assert len(found) == 2 + len(OTHERS) + 1


def test_a_pair_that_comes_back_was_sold_in_between():
    found = holdings(with_exits([*make_run(1, 1, [2.0]), *make_run(1, 1, [3.0, 3.0], 8062), *OTHERS]))
    assert found[1, 1, 8060] == (2.0, 0.0)
    assert found[1, 1, 8061] == (0.0, 3.0)
    assert found[1, 1, 8062] == (3.0, 3.0)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (make_run(2, 1, [2.0, 3.0]), "the manager skips the quarter"),
        (make_run(1, 1, [2.0, 3.0, 4.0, 5.0]), "the panel ends"),
        (make_run(1, 3, [2.0, 3.0]), "nobody has the stock any more"),
        (make_run(1, 1, [2.0, 0.0]), "the zero row is there"),
        (make_run(4, 1, [2.0]) + make_run(4, 2, [1.0, 0.0]), "a zero row of another stock is no filing"),
    ],
)
def test_there_is_no_exit_where(rows, why):
    rows = [*rows, *OTHERS]
    found = holdings(with_exits(rows))
    assert len(found) == len(rows), why
    for m, p, year, quarter, *values in rows:
        assert np.array_equal(found[m, p, 4 * year + quarter - 1], np.array(values, float), equal_nan=True)


def test_an_exit_row_has_the_assets_of_its_manager_and_the_price_of_its_stock():
    rows = sorted([*make_run(1, 1, [2.0, 3.0]), *OTHERS])
    values = {
        "aum": lambda i: 1000.0 * rows[i][0] + rows[i][3],
        "prc": lambda i: 10.0 * rows[i][1] + rows[i][3],
        "beta": lambda i: None if rows[i][3] == 3 else 1.0,
    }
    table = with_exits(rows, **values)
    (row,) = [one for one in table.to_pylist() if (one["mgrno"], one["permno"], one["quarter"]) == (1, 1, 8062)]
    assert (row["aum"], row["prc"], row["type"]) == (1003.0, 13.0, "banks")
    assert np.isnan(row["beta"])


def test_the_rule_writes_a_sorted_slice_that_keeps_the_contract(tmp_path):
    """From an unsorted slice, with the stocks of a sister slice; an empty one is passed over."""
    rows = [*make_run(1, 1, [2.0, 3.0]), *make_run(1, 2, [5.0, 5.0, 5.0])]
    paths = [tmp_path / f"{name}.parquet" for name in ("banks", "other", "households")]
    others = make_panel(make_run(9, 1, [1.0, 1.0, 1.0]), "other")
    for path, table in zip(paths, (make_panel(rows[::-1]), others, others.slice(0, 0)), strict=True):
        pq.write_table(table, path)
    (tmp_path / "report.json").write_text('{"sorted": false}')
    command = [sys.executable, "-m", "workflow_scripts.add_exits", "--panel", paths[0], "--slices", *paths]
    command += ["--report", tmp_path / "report.json", "--firm-type", "banks", "--out", tmp_path / "made/banks.parquet"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "add_exits banks: 6 rows, 1 of them exits that had none\n", result.stderr
    report = check_panel(tmp_path / "made/banks.parquet", "banks")
    assert report["sorted"]
    assert report["totals"]["zero_holding"] == 1
    assert pq.read_schema(tmp_path / "made/banks.parquet").equals(SCHEMA)


@pytest.mark.parametrize("firm_type", ["insurance_companies", "investment_advisors", "mutual_funds", "other"])
def test_the_zero_rows_of_a_real_panel_are_found_again(firm_type):
    """Stripped of its zero rows, the panel gets no exit that was none, and 98 % of those that were."""
    if not REAL.is_dir():
        pytest.skip(f"the real panel is not there: {REAL}")
    held = {}
    for path in sorted(REAL.glob("*.parquet")):
        table = pa.concat_tables(panel_batches(path, PANEL_COLUMNS))
        held[path.stem] = table.filter(pa.array(table["holding_t"].to_numpy() > 0))
    whole = held[firm_type]
    label = whole["holding_t1"].to_numpy()
    unknown = pa.array(np.where(label == 0, np.nan, label))
    stripped = whole.set_column(whole.column_names.index("holding_t1"), "holding_t1", unknown).combine_chunks()
    table, made = exits.add_exits(stripped, exits.filings([stripped]), exits.stocks(held.values()))
    found = table.filter(pa.array(table["holding_t"].to_numpy() > 0))["holding_t1"].to_numpy()
    assert made == table.num_rows - len(found)
    assert np.array_equal(found[label != 0], label[label != 0], equal_nan=True), "no other label has changed"
    assert (found[label == 0] == 0).mean() > 0.98
