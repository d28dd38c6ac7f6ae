"""check_panel accepts what the contract allows, counts what is odd, and refuses what would make results wrong."""

import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import make_panel, make_run
from workflow_scripts.holdings.panel import slices as slices_module
from workflow_scripts.holdings.panel.checks import (
    ERRORS,
    WARNINGS,
    CheckSettings,
    check_panel,
    report_text,
    schema_differences,
    warning_lines,
)
from workflow_scripts.holdings.panel.contract import PanelError
from workflow_scripts.plumbing import files as files_module
from workflow_scripts.plumbing.code_digest import ROOT


def write(tmp_path, table: pa.Table):
    path = tmp_path / "banks.parquet"
    pq.write_table(table, path)
    return path


GOOD = make_run(1, 1, [1.0, 2.0, 0.0]) + make_run(1, 2, [3.0, 4.0])


def test_a_good_slice_is_counted(tmp_path):
    report = check_panel(write(tmp_path, make_panel(GOOD, beta=[None, 1.0, 1.0, 1.0, 1.0])), "banks")
    assert (report["rows"], report["pairs"], report["managers"], report["stocks"]) == (5, 2, 1, 2)
    assert report["totals"]["zero_holding"] == 1
    assert report["totals"]["beta_missing"] == 1
    assert report["totals"]["labelled"] == 3
    assert [(c["quarter"], c["rows"], c["managers"], c["labelled"]) for c in report["coverage"]] == [
        ("2015Q1", 2, 1, 2), ("2015Q2", 2, 1, 1), ("2015Q3", 1, 1, 0)]  # fmt: skip
    assert report["sorted"]
    assert report["warnings"] == {}
    text = report_text(report)
    assert "banks: 5 rows, 1 managers, 2 stocks, 2 pairs, 2015Q1-2015Q3" in text
    assert "No warnings" in text


def test_row_order_does_not_matter(tmp_path):
    forward, backward = (check_panel(write(tmp_path, make_panel(rows)), "banks") for rows in (GOOD, GOOD[::-1]))
    assert not backward["sorted"]
    assert {**backward, "sorted": True} == forward


def replaced(row: int, **values) -> list[tuple]:
    rows = [dict(zip(("m", "p", "y", "q", "h", "h1"), r, strict=True)) for r in GOOD]
    rows[row] |= values
    return [tuple(r.values()) for r in rows]


FAULTS = {
    "wrong_type": (make_panel(GOOD, firm_type="other"), r"'type' is missing or not .* in 5 of 5 rows"),
    "bad_date": (make_panel([(1, 1, 1815, 1, 1.0, None)]), r"outside the years 1900-2200 in 1 of 1 rows \(row 0"),
    "bad_holding": (make_panel(replaced(2, h=-1.0, h1=None)), r"in 1 of 5 rows \(row 2: mgrno 1, permno 1, 2015Q3"),
    "bad_label": (make_panel(replaced(1, h1=-2.0)), r"'holding_t1' is infinite or negative in 1 of 5"),
    "infinite_value": (make_panel(GOOD, be=[1.0, 2.0, -np.inf, 3.0, 4.0]), r"\(column be\) in 1 of 5 rows \(row 2"),
    "negative_price": (make_panel(GOOD, prc=[-9.5, 2.0, 2.0, 2.0, 2.0]), r"'prc' is negative in 1 of 5 .*prc -9.5"),
    "duplicate_key": (make_panel([*GOOD, GOOD[0]]), r"occurs more than once in 1 of 6 rows \(row 5"),
    "wrong_label": (make_panel(replaced(0, h1=2.5)), r"next-quarter holding_t in 1 of 5 rows \(row 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_rows_and_remedy(tmp_path, name):
    table, message = FAULTS[name]
    path = write(tmp_path, table)
    with pytest.raises(PanelError, match=message) as error:
        check_panel(path, "banks")
    assert str(error.value).startswith(f"{path}: ")
    assert ERRORS[name][1] in str(error.value)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), None])
def test_a_holding_is_a_number(tmp_path, value):
    with pytest.raises(PanelError, match="'holding_t' is missing, infinite or negative"):
        check_panel(write(tmp_path, make_panel(replaced(2, h=value))), "banks")


def test_a_missing_type_is_a_wrong_one(tmp_path):
    table = make_panel(GOOD, type=pa.array(["banks", None, "banks", "banks", "banks"]))
    with pytest.raises(PanelError, match="'type' is missing or not the slice's firm type in 1 of 5 rows"):
        check_panel(write(tmp_path, table), "banks")


def test_all_errors_are_told_at_once_and_five_rows_of_each(tmp_path):
    rows = make_run(1, 1, [-1.0] * 9)
    with pytest.raises(PanelError) as error:
        check_panel(write(tmp_path, make_panel(rows, firm_type="other")), "banks")
    assert len(str(error.value).splitlines()) == 3
    assert str(error.value).count("row 4:") == 3
    assert "row 5:" not in str(error.value)


def test_labels_across_gaps_and_ends_are_contradictions(tmp_path):
    gap = [(1, 1, 2015, 1, 1.0, 2.0), (1, 1, 2015, 3, 2.0, None)]
    end = [*make_run(1, 1, [1.0, 2.0])[:1], (1, 1, 2015, 2, 2.0, 0.0)]
    for rows in (gap, end):
        with pytest.raises(PanelError, match="missing unless that row is exactly the next quarter"):
            check_panel(write(tmp_path, make_panel(rows)), "banks")


def test_monthly_dates_are_duplicates(tmp_path):
    table = make_panel([(1, 1, 2015, 1, 1.0, None)] * 3, date=pa.array([16466, 16494, 16525], pa.date32()))
    with pytest.raises(PanelError, match="of monthly data, the quarter's last month"):
        check_panel(write(tmp_path, table), "banks")


UNITS = [row for p in range(1, 6) for row in make_run(1, p, [40.0, 41.0])]
JUMP = [row for p in range(1, 6) for row in make_run(1, p, [4.0, 4.1, 4100.0, 4000.0])]


@pytest.mark.parametrize("block_rows", [1, 3, 4, 7, 20])
def test_a_manager_may_be_larger_than_a_block(tmp_path, monkeypatch, block_rows):
    others = [(m, *row[1:]) for m in (1, 3, 4) for row in (GOOD if m == 3 else JUMP)]
    table = make_panel(sorted([*others, *((2, *row[1:]) for row in UNITS)]))
    for order in (np.arange(len(table)), np.random.default_rng(2).permutation(len(table))):
        path = write(tmp_path, table.take(order))
        whole = check_panel(path, "banks", CheckSettings(max_share_above=1))
        with monkeypatch.context() as patched:
            patched.setattr(files_module, "ROW_GROUP_ROWS", block_rows)
            patched.setattr(slices_module, "ROW_GROUP_ROWS", block_rows)
            assert check_panel(path, "banks", CheckSettings(max_share_above=1)) == whole
        assert whole["managers"] == 4
        assert whole["warnings"]["unit_jump"]["count"] == 2
        assert [one["managers"] for one in whole["coverage"]] == [4, 4, 3, 2]


# One manager's positions grow by a tenth a quarter, beside assets that are those of the quarter before.
GROWING = [row for p in range(1, 4) for row in make_run(1, p, [10 * 1.1**t for t in range(40)])]
OTHERS = [row for p in (2, 3, 4) for row in make_run(1, p, [5.0, 5.5])]
GONE = [*make_run(1, 1, [3.0]), *OTHERS, *make_run(2, 1, [4.0, 4.5])]


def odd_price(*prices: float) -> pa.Table:
    """Four quarters in which the positions of stock 1 follow these prices, and stock 2 has none other than 20."""
    rows = [row for m in (1, 2) for p in (1, 2)
            for row in make_run(m, p, [m * x for x in prices] if p == 1 else [m, m, m, m])]  # fmt: skip
    return make_panel(
        rows, prc=lambda i: prices[i % 4] if rows[i][1] == 1 else 20.0, me=lambda i: 1e6, aum=lambda i: 1e6
    )


ODD = {
    "timing": (make_panel(GROWING, aum=lambda i: 30 * 1.1 ** (i % 40 - 1) + 50, me=lambda i: 1e5), 1),
    "same_positions": (make_panel([*UNITS, *((m, *row[1:]) for m in (2, 3) for row in UNITS[: 22 - 6 * m])]), 1),
    "lost_exits": (make_panel(GONE), 1),
    "odd_stock_quarter": (odd_price(20.0, 20e3, 21.0, 20.0), 1),
    "label_missing": (make_panel(replaced(0, h1=None)), 1),
    "holding_above_aum": (make_panel(GOOD, aum=lambda i: 3.5), 1),
    "holding_above_me": (make_panel(GOOD, me=lambda i: 3.5), 1),
    "not_positive": (make_panel(GOOD, outaum=[1.0, 1.0, 1.0, -1.0, 1.0], me=[9.0, 9.0, 0.0, 9.0, 9.0]), 2),
    "days_per_quarter": (make_panel(GOOD, date=pa.array([16436, 16526, 16617, 16437, 16526], pa.date32())), 1),
    # holding_t in $ thousand against aum and me in $ million; me in $ thousand against prc.
    "unit_suspicion": (make_panel(UNITS, aum=lambda i: 0.5, me=lambda i: 1e7), 2),
    "unit_jump": (make_panel(JUMP, aum=lambda i: 1e5, me=lambda i: 1e4), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNINGS)
def test_oddities_are_counted_and_shown(tmp_path, name):
    table, count = ODD[name]
    report = check_panel(write(tmp_path, table), "banks", CheckSettings(max_share_above=1))
    assert report["warnings"][name]["count"] == count
    assert 1 <= len(report["warnings"][name]["examples"]) <= 5
    assert f"{count:,} {WARNINGS[name]}" in report_text(report)


def test_the_text_of_unit_warnings(tmp_path):
    report = check_panel(write(tmp_path, ODD["unit_jump"][0]), "banks")
    assert report["warnings"]["unit_jump"]["examples"] == ["mgrno 1 after 2015Q2: 5 of 5 positions"]
    report = check_panel(write(tmp_path, ODD["unit_suspicion"][0]), "banks", CheckSettings(max_share_above=1))
    examples = report["warnings"]["unit_suspicion"]["examples"]
    assert re.match(r"the median of sum of a manager's holding_t / aum is (4|3)", examples[0])
    assert re.match(r"the median of me / prc \(million shares\) is (5|4\.)", examples[1])


def examples_of(tmp_path, table: pa.Table, name: str) -> list[str]:
    report = check_panel(write(tmp_path, table), "banks", CheckSettings(max_share_above=1))
    return report["warnings"].get(name, {}).get("examples", [])


def test_managers_with_the_same_positions_are_told_with_their_quarters(tmp_path):
    """Same stocks, same dollars; the same dollars of other stocks, or of some of them, are another manager's."""
    twice = [(2, *row[1:]) for row in UNITS]
    assert examples_of(tmp_path, make_panel([*UNITS, *twice]), "same_positions") == [
        "mgrno 1 and 2 in 2 quarters of 2015Q1-2015Q2"
    ]
    other_stocks = [(m, p + 1, *rest) for m, p, *rest in twice]
    other_dollars = [*twice[:-2], *make_run(2, 5, [39.0, 41.0])]
    for rows, quarters in ((other_stocks, []), (other_dollars, ["mgrno 1 and 2 in 1 quarters of 2015Q2"])):
        assert examples_of(tmp_path, make_panel([*UNITS, *rows]), "same_positions") == quarters
    # With zero rows beside them, and in the quarter of a later year.
    zeros = [row for p in (7, 8) for row in make_run(2, p, [0.0, 0.0])]
    late = [row for m in (1, 2) for p in (1, 2, 3) for row in make_run(m, p, [1.0], start=8080)]
    table = make_panel(sorted([*UNITS, *twice, *zeros, *late]))
    assert examples_of(tmp_path, table, "same_positions") == ["mgrno 1 and 2 in 3 quarters of 2015Q1-2020Q1"]


def test_lost_exits_are_counted_where_manager_and_stock_go_on(tmp_path):
    """One that left a zero row is no loss, nor is the end of the manager's filings, or of the stock."""
    assert examples_of(tmp_path, make_panel(GONE), "lost_exits") == ["permno 1 2015Q2: 1"]
    with_zero = [*make_run(1, 1, [3.0, 0.0]), *GONE[1:]]
    of_stock = [row for row in GONE if row[0] == 1]
    skipped = [row for row in GONE if row[:2] == (1, 1) or row[0] == 2] + make_run(1, 2, [5.0], start=8062)
    for rows in (with_zero, of_stock, sorted(skipped)):
        assert examples_of(tmp_path, make_panel(rows), "lost_exits") == []


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ((20.0, 2e4, 21.0, 20.0), ["permno 1 2015Q2: prc off by 10^3.0"]),
        ((2e-5, 20.0, 21.0, 20.0), ["permno 1 2015Q1: prc off by 10^-6.0"]),
        ((20.0, 21.0, 20.0, 2e4), ["permno 1 2015Q4: prc off by 10^3.0"]),
        ((20.0, 21.0, 2e4, 20.0), ["permno 1 2015Q3: prc off by 10^3.0"]),
        # For good, and by what a return or a split can be.
        ((20.0, 21.0, 2e4, 2e4), []),
        ((20.0, 2e3, 20.0, 20.0), []),
    ],
)
def test_a_price_that_is_off_in_one_quarter_is_told(tmp_path, prices, told):
    assert examples_of(tmp_path, odd_price(*prices), "odd_stock_quarter") == told


def test_a_position_that_is_off_in_one_quarter_is_told(tmp_path):
    """What grows a thousandfold and stays so was bought."""
    spike, growth = make_run(1, 1, [1.0, 1000.0, 1.5]), make_run(1, 2, [0.01, 50.0, 40.0])
    table = make_panel([*spike, *growth])
    assert examples_of(tmp_path, table, "odd_stock_quarter") == ["permno 1 2015Q2: holding_t off by 10^3.0"]
    report = check_panel(write(tmp_path, table), "banks", CheckSettings(max_share_above=1))
    assert report["odd_stock_quarters"] == ["1 2015Q2"]


MONEY = ("holding_t", "holding_t1", "me", "be", "aum", "outaum")


def in_unit(table: pa.Table, factor: float, *columns: str) -> pa.Table:
    for name in columns:
        scaled = pa.array([None if value is None else value * factor for value in table[name].to_pylist()])
        table = table.set_column(table.column_names.index(name), name, scaled)
    return table


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (MONEY, r"the median of me is 1\S*e\+09; the median of aum is 2\.\de\+08; the median of me / prc "),
        (("me", "be"), r"the median of me is 1\S*e\+09; "),
        (
            ("holding_t", "holding_t1"),
            r"holding_t is above aum in 10 of 10 rows; .*; the first is row 0: mgrno 1, perm",
        ),
    ],
)
def test_money_in_dollars_ends_the_run(tmp_path, columns, message):
    path = write(tmp_path, in_unit(make_panel(UNITS), 1e6, *columns))
    with pytest.raises(PanelError, match=rf"{path}: .*{message}.*This looks like dollars.* the contract is \$ million"):
        check_panel(path, "banks", CheckSettings(max_share_above=0.5))


def test_the_share_of_positions_above_their_bounds_is_limited(tmp_path):
    path = write(tmp_path, make_panel(GOOD, aum=lambda i: 3.5))
    assert check_panel(path, "banks", CheckSettings(max_share_above=0.2))["warnings"]["holding_above_aum"]["count"] == 1
    with pytest.raises(PanelError, match=r"above aum in 1 of 5 rows; the first is row 4: .*\(checks.max_share_above\)"):
        check_panel(path, "banks", CheckSettings(max_share_above=0.19))


def test_every_warning_is_a_line_with_an_example(tmp_path):
    report = check_panel(write(tmp_path, ODD["label_missing"][0]), "banks")
    (line,) = warning_lines([report])
    assert line.startswith("banks: 1 rows without holding_t1 although the next")
    assert "(row 0: mgrno 1, permno 1, 2015Q1" in line
    other = {**report, "firm_type": "other", "warnings": {}, "column_types": {**report["column_types"], "me": "float"}}
    assert warning_lines([report, other]) == [line, "column 'me' is double in banks; float in other"]


def test_every_fault_is_documented():
    text = (ROOT / "data/README.md").read_text()
    assert {name for name in (*ERRORS, *WARNINGS) if f"`{name}`" not in text} == set()


def test_slices_of_different_makes_are_told(tmp_path):
    one = check_panel(write(tmp_path, make_panel(GOOD)), "banks")
    other = make_panel(GOOD, firm_type="other", me=pa.array([1e3] * 5, pa.float32()))
    other = check_panel(write(tmp_path, other), "other")
    assert schema_differences([one, one]) == []
    assert schema_differences([one, other]) == ["column 'me' is double in banks; float in other"]


def test_an_error_leaves_no_output_and_touches_none(tmp_path):
    path = write(tmp_path, make_panel(GOOD, firm_type="other"))
    (tmp_path / "report.json").write_text("earlier")
    command = [
        sys.executable,
        "-m",
        "workflow_scripts.check_panel",
        "--panel",
        path,
        "--firm-type",
        "banks",
        "--settings",
        "{}",
    ]
    command += ["--out", tmp_path / "report.json", "--text", tmp_path / "report.txt"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["banks.parquet", "report.json"]
    assert (tmp_path / "report.json").read_text() == "earlier"
