"""import_panel makes the contract's slices from real .dta, parquet and CSV files in a vendor's columns."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.holdings.panel import importing
from workflow_scripts.holdings.panel.checks import check_panel
from workflow_scripts.holdings.panel.contract import FIRM_TYPES, PANEL_COLUMNS
from workflow_scripts.holdings.panel.importing import choose_recipes, firm_types_of, quarters_of, source_names
from workflow_scripts.import_panel import main
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_json, write_json


def vendor_rows(**columns) -> pd.DataFrame:
    """Koijen-Yogo columns: two banks and a fund, 2015Q1..Q4, one gap, one return, rows by quarter."""
    rows = [
        # fdate (220 is 2015Q1), mgrno, permno, type, holding, prc
        (220, 1, 10, 1, 5.0, 2.0), (220, 2, 10, 1, 7.0, 2.0), (220, 9, 10, 4, 1.0, 2.0),
        (221, 1, 10, 1, 6.0, 3.0), (221, 2, 10, 1, 0.0, 3.0),
        (222, 1, 10, 1, 6.5, 4.0), (222, 9, 10, 4, 2.0, 4.0),
        (223, 2, 10, 1, 8.0, 5.0), (223, 1, 11, 1, 3.0, 9.0),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["fdate", "mgrno", "permno", "type", "holding", "prc"])
    frame = frame.assign(LNme=np.log(1000.0), LNbe=np.log(500.0), profit=0.2, Gat=0.1, beta=1.0, aum=90.0, outaum=4.0)
    return frame.assign(**columns)


BANKS = [
    (1, 10, dt.date(2015, 1, 1), 5.0, 6.0), (1, 10, dt.date(2015, 4, 1), 6.0, 6.5),
    (1, 10, dt.date(2015, 7, 1), 6.5, None), (1, 11, dt.date(2015, 10, 1), 3.0, None),
    (2, 10, dt.date(2015, 1, 1), 7.0, 0.0), (2, 10, dt.date(2015, 4, 1), 0.0, None),
    (2, 10, dt.date(2015, 10, 1), 8.0, None),
]  # fmt: skip


def run_import(tmp_path: Path, source: Path, **settings) -> dict[str, list[tuple]]:
    class Arguments:
        out, report, text = tmp_path / "panel", tmp_path / "report.json", tmp_path / "report.txt"

    Arguments.settings = importing.ImportSettings(source=str(source), **settings)
    main(Arguments)
    slices = {}
    for firm_type in FIRM_TYPES:
        table = pq.read_table(Arguments.out / f"{firm_type}.parquet")
        assert table.column_names == list(PANEL_COLUMNS)
        assert set(table["type"].to_pylist()) <= {firm_type}
        keys = ("mgrno", "permno", "date", "holding_t", "holding_t1")
        values = [[None if value != value else value for value in table[name].to_pylist()] for name in keys]
        slices[firm_type] = list(zip(*values, strict=True))
    return slices


def save(frame: pd.DataFrame, path: Path, **options) -> Path:
    if path.suffix == ".dta":
        frame.to_stata(path, write_index=False, **options)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["raw.dta", "raw.parquet", "raw.csv", "raw.csv.gz", "folder"])
@pytest.mark.parametrize("chunk_rows", [2, 500_000])
def test_every_source_gives_the_same_slices_at_any_chunk_size(tmp_path, monkeypatch, name, chunk_rows):
    monkeypatch.setattr(importing, "CHUNK_ROWS", chunk_rows)
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        save(vendor_rows()[:4], path / "a.parquet")
        save(vendor_rows()[4:], path / "b.parquet")
    else:
        save(vendor_rows(), path)
    slices = run_import(tmp_path, path)
    assert slices["banks"] == BANKS
    assert slices["mutual_funds"] == [(9, 10, dt.date(2015, 1, 1), 1.0, None), (9, 10, dt.date(2015, 7, 1), 2.0, None)]
    assert sum(map(len, slices.values())) == 9
    report = check_panel(tmp_path / "panel/banks.parquet", "banks")
    assert report["sorted"], "what is imported passes the contract"
    assert report["rows"] == 7
    me = pq.read_table(tmp_path / "panel/banks.parquet")["me"].to_numpy()
    assert me == pytest.approx(1000.0)


def test_the_same_source_gives_the_same_bytes(tmp_path):
    source = save(vendor_rows(), tmp_path / "raw.dta")
    contents = []
    for folder in ("a", "b"):
        run_import(tmp_path / folder, source)
        contents.append([(tmp_path / folder / "panel" / f"{name}.parquet").read_bytes() for name in FIRM_TYPES])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("rows", ["forward", "backward"])
def test_the_report_counts_every_row(tmp_path, rows):
    frame = vendor_rows()
    extra = frame.iloc[[0] * 5].reset_index(drop=True)
    extra = extra.assign(mgrno=[None, 1, 1, 3, 1], permno=[10, None, 10, 10, 10], holding=[1, 1, None, 1, 5.0])
    extra["fdate"] = [220, 220, 240, 210, 220]
    frame = pd.concat([frame, extra])[:: 1 if rows == "forward" else -1]
    source = save(frame, tmp_path / "raw.parquet")
    run_import(tmp_path, source, start="2015-01-01", end="2015-12-31", stocks=[10])
    report = read_json(tmp_path / "report.json")
    assert {cause: n for cause, n in report["dropped"].items() if n} == {
        "no mgrno": 1, "no permno": 1, "after end": 1, "before start": 1, "other stock": 1, "repeated row": 1
    }  # fmt: skip
    assert (report["rows_read"], report["rows_kept"]) == (14, 8)
    assert sum(sum(quarters.values()) for quarters in report["rows_per_quarter"].values()) == 8
    text = (tmp_path / "report.txt").read_text()
    assert "14 rows read, 8 kept" in text
    assert "me             exp(LNme)" in text


def test_a_filter_on_dates_cuts_the_labels_with_it(tmp_path):
    source = save(vendor_rows(), tmp_path / "raw.dta")
    slices = run_import(tmp_path, source, end="2015-06-30", managers=[1])
    assert slices["banks"] == [BANKS[0], (*BANKS[1][:4], None)], "a label needs its row in the slice"


def test_missing_holdings_are_dropped_and_counted(tmp_path):
    holding = vendor_rows()["holding"].where(vendor_rows()["fdate"] != 221)
    slices = run_import(tmp_path, save(vendor_rows(holding=holding), tmp_path / "raw.dta"))
    assert read_json(tmp_path / "report.json")["dropped"]["no holding"] == 2
    assert [row[4] for row in slices["banks"]] == [None] * 5, "no row is a neighbour's next quarter any more"


def test_a_manager_that_changes_its_type_has_two_histories(tmp_path):
    frame = vendor_rows(type=lambda f: np.where((f["mgrno"] == 1) & (f["fdate"] > 220), 6, f["type"]))
    slices = run_import(tmp_path, save(frame, tmp_path / "raw.dta"))
    assert slices["banks"][0] == (1, 10, dt.date(2015, 1, 1), 5.0, None)
    assert slices["other"][0] == (1, 10, dt.date(2015, 4, 1), 6.0, 6.5)
    check_panel(tmp_path / "panel/banks.parquet", "banks")


def test_shares_and_prices_make_holdings_and_the_reverse(tmp_path):
    frame = vendor_rows().assign(shares=lambda f: f["holding"] / f["prc"] * 1e6, CRSP=lambda f: -f["prc"])
    slices = run_import(
        tmp_path,
        save(frame.drop(columns=["holding", "prc"]), tmp_path / "raw.dta"),
        columns={"holding_t": "shares * abs(CRSP) / 1e6", "prc": "abs(CRSP)"},
    )
    assert [row[3] for row in slices["banks"]] == pytest.approx([row[3] for row in BANKS])
    frame = vendor_rows().assign(shares=lambda f: f["holding"] / f["prc"]).drop(columns="prc")
    run_import(tmp_path / "b", save(frame, tmp_path / "b.dta"))
    prices = pq.read_table(tmp_path / "b/panel/banks.parquet")["prc"].to_pylist()
    assert prices[:5] == [2.0, 3.0, 4.0, 9.0, 2.0]
    assert np.isnan(prices[5]), "no shares, no price"


def test_columns_that_the_source_lacks(tmp_path):
    source = save(vendor_rows().drop(columns=["outaum", "LNbe"]), tmp_path / "raw.dta")
    with pytest.raises(
        InputError, match=r"raw.dta: no source column for be \(tried be, exp\(LNbe\), factor2.*; outaum"
    ):
        run_import(tmp_path, source)
    assert not list((tmp_path / "panel").iterdir())
    run_import(tmp_path, source, columns={"outaum": None, "be": "0.5 * exp(LNme)"})
    table = pq.read_table(tmp_path / "panel/banks.parquet")
    assert np.isnan(table["outaum"].to_numpy()).all()
    assert table["be"].to_numpy() == pytest.approx(500.0)


def test_value_labels_of_stata_name_the_types(tmp_path):
    # Codes of another order, but with labels: the labels count.
    frame = vendor_rows(type=lambda f: np.where(f["type"] == 1, 30, 40).astype("int8"))
    labels = {"type": {30: "Banks", 40: "Mutual Funds"}}
    slices = run_import(tmp_path, save(frame, tmp_path / "raw.dta", value_labels=labels))
    assert (len(slices["banks"]), len(slices["mutual_funds"])) == (7, 2)


def test_stata_quarter_format(tmp_path):
    # 92 days lead from the first day of a quarter into the next one.
    dates = pd.Timestamp("2015-01-01") + pd.to_timedelta((vendor_rows()["fdate"] - 220) * 92, unit="D")
    source = save(vendor_rows(fdate=dates), tmp_path / "raw.dta", convert_dates={"fdate": "tq"})
    assert run_import(tmp_path, source)["banks"] == BANKS


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 220, None], ["1960Q1", "2015Q1", None]),
        ([19991231, 20150101], ["1999Q4", "2015Q1"]),
        (["2015-03-31", "2015Q2", None, "2015 q3"], ["2015Q1", "2015Q2", None, "2015Q3"]),
        (["20150331", None, "20150401"], ["2015Q1", None, "2015Q2"]),
        (["220", None, "221.0"], ["2015Q1", None, "2015Q2"]),
        (pd.to_datetime(["2015-12-31", None]), ["2015Q4", None]),
        (pd.array([5, None], "Int16"), ["1961Q2", None]),
    ],
)
def test_dates_of_every_kind(values, expected):
    quarter, missing = quarters_of(pd.Series(values, name="fdate"))
    labels = importing.quarter_labels(quarter)
    assert [None if m else q for q, m in zip(labels, missing, strict=True)] == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([20151301], "20151301 is neither a Stata quarter"),
        ([220.5], "220.5 is neither"),
        ([1_420_070_400], "is neither"),
        (["soon"], r"'soon' is no date; accepted are 2015-03-31, 20150331, 2015Q1 and Stata's quarters"),
        (
            ["2015-03-31", "31mar2015"],
            "column 'fdate', row 1 of the data: '31mar2015' is no date; accepted are 2015-03-31",
        ),
        (["2015-03-31", "2015"], "'2015' is no date"),
        (["2015"], "2015.0 is neither a Stata quarter nor a day; accepted are 2015-03-31"),
        (pd.to_datetime(["2015-01-01"]).tz_localize("UTC"), "time zone UTC"),
        ([True], "bool, not dates"),
    ],
)
def test_dates_that_are_none(values, message):
    with pytest.raises(InputError, match=message):
        quarters_of(pd.Series(values, name="fdate"))


@pytest.mark.parametrize(
    "values", [["2015-04-01T00:00:00+02:00"], ["2015-04-01T00:00:00+02:00", "2015-04-01T00:00:00+03:00"]]
)
def test_times_with_an_offset_are_refused(values):
    with pytest.raises(InputError, match=r"'fdate' (has times with a zone|mixes time zones)"):
        quarters_of(pd.Series(values, name="fdate"))


CSV = "fdate,mgrno,permno,type,holding,prc,me,be,profit,Gat,beta,aum,outaum"


def csv_of(path: Path, separator: str = ",", decimal: str = ".", missing: str = "", **columns) -> Path:
    frame = vendor_rows(**{"me": 1000.5, "be": np.nan, **columns})[CSV.split(",")]
    frame.to_csv(path, index=False, sep=separator, decimal=decimal, na_rep=missing)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("missing", ["", ".", ".A"])
def test_csv_of_any_country(tmp_path, separator, decimal, missing):
    source = csv_of(tmp_path / "raw.csv", separator, decimal, missing)
    assert run_import(tmp_path, source)["banks"] == BANKS
    table = pq.read_table(tmp_path / "panel/banks.parquet")
    assert table["me"].to_pylist() == [1000.5] * 7
    assert np.isnan(table["be"].to_numpy()).all()


def test_a_comma_that_may_divide_thousands_is_not_guessed(tmp_path):
    whole = dict.fromkeys(("be", "profit", "Gat", "beta", "aum", "outaum", "prc"), 1)
    source = csv_of(tmp_path / "raw.csv", ";", me="1,234", holding=lambda f: f["holding"].astype(int), **whole)
    with pytest.raises(InputError, match=r"column 'me' holds text, row 1 of the data: '1,234'; .* import.decimal"):
        run_import(tmp_path, source)
    run_import(tmp_path, source, decimal="comma")
    assert pq.read_table(tmp_path / "panel/banks.parquet")["me"].to_pylist() == [1.234] * 7


def test_a_csv_without_rows(tmp_path):
    (tmp_path / "raw.csv").write_text(CSV + "\n")
    with pytest.raises(InputError, match="no row is kept of 0"):
        run_import(tmp_path, tmp_path / "raw.csv")


def test_what_is_set_for_a_csv_counts(tmp_path):
    source = csv_of(tmp_path / "raw.csv", ";", missing="-99")
    assert run_import(tmp_path, source, delimiter="semicolon", decimal="point", missing=["-99"])["banks"] == BANKS
    assert np.isnan(pq.read_table(tmp_path / "panel/banks.parquet")["be"].to_numpy()).all()
    with pytest.raises(InputError, match="no source column for type"):
        run_import(tmp_path, source, delimiter="comma")


def test_a_csv_that_is_not_utf_8(tmp_path):
    source = csv_of(tmp_path / "raw.csv", type=["Fonds de pension privé"] * 9)
    source.write_text(source.read_text(), encoding="latin-1")
    with pytest.raises(InputError, match=r"raw.csv is not UTF-8 .*; save it as UTF-8"):
        run_import(tmp_path, source)


def test_rows_are_counted_over_all_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK_ROWS", 2)
    for name in ("raw.csv", "raw.parquet"):
        source = save(vendor_rows(prc=["2"] * 6 + ["=1+1", "2", "2"]), tmp_path / name)
        with pytest.raises(InputError, match="column 'prc' holds text, row 7 of the data: '=1"):
            run_import(tmp_path, source)


def test_what_another_column_is_taken_from_is_no_misspelling(tmp_path):
    source = save(vendor_rows().drop(columns="permno"), tmp_path / "raw.csv")
    with pytest.raises(InputError, match=r"no source column for permno \(tried permno\)\. The source has"):
        run_import(tmp_path, source)
    source = save(vendor_rows().rename(columns={"permno": "permno_id"}), tmp_path / "raw.csv")
    with pytest.raises(InputError, match=r"permno \(tried permno, did you mean 'permno_id'\?\)"):
        run_import(tmp_path, source)


@pytest.mark.parametrize("by_shares", [False, True])
def test_negative_prices_are_made_positive_and_counted(tmp_path, by_shares):
    frame = vendor_rows(prc=lambda f: np.where(f["fdate"] == 220, -f["prc"], f["prc"]))
    if by_shares:
        frame = frame.assign(shares=lambda f: f["holding"] / f["prc"].abs()).drop(columns="holding")
    slices = run_import(tmp_path, save(frame, tmp_path / "raw.parquet"))
    assert [row[3] for row in slices["banks"]] == pytest.approx([row[3] for row in BANKS])
    assert pq.read_table(tmp_path / "panel/banks.parquet")["prc"].to_pylist() == [2.0, 3.0, 4.0, 9.0, 2.0, 3.0, 5.0]
    assert read_json(tmp_path / "report.json")["negative_prices"] == 3
    assert "\n3 prices below 0 made positive" in (tmp_path / "report.txt").read_text()


def test_a_folder_may_name_the_types_in_folders_and_in_files(tmp_path):
    frame = vendor_rows(type=lambda f: np.where(f["type"] == 1, "banks", "mutual_funds"))
    for firm_type, rows in frame.groupby("type"):
        for source, columns in (("hive", rows.drop(columns="type")), ("both", rows)):
            (tmp_path / source / f"type={firm_type}").mkdir(parents=True)
            save(columns, tmp_path / source / f"type={firm_type}/part-0.parquet")
    for source in ("hive", "both"):
        assert run_import(tmp_path / f"of_{source}", tmp_path / source)["banks"] == BANKS


def test_large_ids_are_kept_exactly_or_refused(tmp_path):
    large = 2**53 + 1
    slices = run_import(tmp_path, save(vendor_rows(mgrno=large), tmp_path / "raw.parquet"), stocks=[11])
    assert slices["banks"][0][0] == large
    with pytest.raises(InputError, match="too large for the column's type"):
        run_import(tmp_path, save(vendor_rows(mgrno=float(large)), tmp_path / "b.parquet"))


def test_rows_outside_the_filters_need_not_make_sense(tmp_path):
    frame = vendor_rows()
    frame.loc[frame["fdate"] == 223, ["holding", "type"]] = [-1.0, 99]
    slices = run_import(tmp_path, save(frame, tmp_path / "raw.parquet"), end="2015-09-30")
    assert len(slices["banks"]) == 5


def test_files_of_a_folder_may_miss_a_column_differently(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    first = pa.Table.from_pandas(vendor_rows()[:4], preserve_index=False)
    first = first.set_column(first.column_names.index("beta"), "beta", pa.nulls(4))
    pq.write_table(first, folder / "a.parquet")
    save(vendor_rows()[4:], folder / "b.parquet")
    assert run_import(tmp_path, folder)["banks"] == BANKS
    pq.write_table(first.set_column(0, "fdate", pa.array(["x"] * 4)), folder / "c.parquet")
    with pytest.raises(InputError, match="is not readable"):
        run_import(tmp_path, folder)


def test_what_a_killed_import_left_is_removed(tmp_path):
    (tmp_path / "panel/.import-old").mkdir(parents=True)
    run_import(tmp_path, save(vendor_rows(), tmp_path / "raw.dta"))
    assert [path.name for path in (tmp_path / "panel").iterdir() if path.suffix != ".parquet"] == [".last"]
    assert len(list((tmp_path / "panel").glob("*.parquet"))) == 7


def test_types_by_code_and_by_label():
    values = pd.Series([0, 1, 2, 3, 4, 5, 6, None], name="type")
    names, missing = firm_types_of(values, {})
    assert names[:7].tolist() == ["households", "banks", "insurance_companies", "investment_advisors", "mutual_funds",
                                  "pension_funds", "other"]  # fmt: skip
    assert missing.tolist() == [False] * 7 + [True]
    labels = pd.Series(["Investment Advisors", " PENSION-FUNDS", "bank", "3", "Hedge fund"], name="type")
    names, _ = firm_types_of(labels, {"hedge fund": "investment_advisors"})
    assert names.tolist() == [
        "investment_advisors",
        "pension_funds",
        "banks",
        "investment_advisors",
        "investment_advisors",
    ]
    with pytest.raises(
        InputError,
        match=r"types 7 \(1 rows\), 9 \(2 rows\), the first in row 1 .*known are households, .* in import.types$",
    ):
        firm_types_of(pd.Series([1, 7, 9, 9], name="type"), {})
    assert firm_types_of(pd.Series([7.0], name="type"), {"7": "other"})[0].tolist() == ["other"]


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "a.b", "a[0]", "open(a)", "a if b else c", "a;b", "lambda: 1", "'x'.y"]
)
def test_formulas_are_arithmetic(formula):
    with pytest.raises(InputError, match="neither a source column nor a formula"):
        source_names(formula)


def test_a_column_with_a_blank_in_its_name():
    available = [name for recipe in importing.RECIPES.values() for name in recipe[:1]]
    assert choose_recipes([*available, "Market Equity"], {"me": "Market Equity"})["me"] == "Market Equity"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"holding": [-1.0] * 9}, r"holding is negative or infinite in 9 .*\(row 1 .*: mgrno 1, permno 10, 2015Q1: -1"),
        ({"mgrno": [1.5] * 9}, r"mgrno, row 1 of the data: 1.5 is not an integer"),
        ({"permno": [10] * 9, "fdate": [220] * 9, "mgrno": [1] * 9}, r"rows repeat \(mgrno, permno, quarter\)"),
        ({"prc": ["low"] * 9}, r"column 'prc' holds text, row 1 of the data: 'low'; .*import.decimal"),
        ({"type": [8] * 9}, r"unknown firm types 8"),
        ({"mgrno": [np.nan] * 9}, r"no row is kept of 9 \(dropped"),
    ],
)  # fmt: skip
def test_faults_leave_nothing_and_touch_nothing(tmp_path, columns, message):
    (tmp_path / "panel").mkdir()
    write_json(tmp_path / "panel/banks.parquet", "earlier")
    with pytest.raises(InputError, match=message):
        run_import(tmp_path, save(vendor_rows(**columns), tmp_path / "raw.parquet"))
    assert [path.name for path in (tmp_path / "panel").iterdir()] == ["banks.parquet"]
    assert read_json(tmp_path / "panel/banks.parquet") == "earlier"
    assert not (tmp_path / "report.json").exists()


def test_sources_that_cannot_be_read(tmp_path):
    for name, message in (
        ("no.dta", "does not exist"),
        ("a.xlsx", "neither .dta, .csv"),
        ("b.parquet", "not readable"),
    ):
        if name != "no.dta":
            (tmp_path / name).write_text("x")
        with pytest.raises(InputError, match=message):
            run_import(tmp_path, tmp_path / name)


def test_the_command_tells_without_a_traceback(tmp_path):
    source = save(vendor_rows(type=8), tmp_path / "raw.csv")
    command = [sys.executable, "-m", "workflow_scripts.import_panel", "--settings", f'{{"source": "{source}"}}']
    command += ["--out", tmp_path / "p", "--report", tmp_path / "r.json", "--text", tmp_path / "r.txt"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {source}: column 'type': unknown firm types 8")


def test_parquet_dates_and_dictionaries(tmp_path):
    table = pa.Table.from_pandas(vendor_rows(type=lambda f: np.where(f["type"] == 1, "Banks", "Mutual funds")))
    days = pa.array([dt.date(2015, 3 * (q - 219), 28) for q in vendor_rows()["fdate"]])
    table = table.set_column(table.column_names.index("fdate"), "fdate", days)
    table = table.set_column(table.column_names.index("type"), "type", table["type"].dictionary_encode())
    pq.write_table(table, tmp_path / "raw.parquet")
    assert run_import(tmp_path, tmp_path / "raw.parquet")["banks"] == BANKS


def test_a_failed_import_leaves_the_slices_of_the_last_one(tmp_path):
    """Snakemake has deleted the declared slices by then."""
    source = save(vendor_rows(), tmp_path / "raw.csv")
    run_import(tmp_path, source)
    kept = next(tmp_path.rglob(".last"))
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    for name in before:
        (kept.parent / name).unlink()
    save(vendor_rows(type=8), tmp_path / "raw.csv")
    with pytest.raises(InputError, match=rf"unknown firm types 8.*the slices of the last import are in {kept}"):
        run_import(tmp_path, source)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
