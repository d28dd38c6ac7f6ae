"""read_sec_zip: tables by header and name, rows of one CUSIP added up, options and principal amounts left out."""

import zipfile

import pyarrow.parquet as pq
import pytest

from tests.unit.holdings.sec.hand_made import COLUMNS, Filing, Row, build, cusip, read_all, tables_of, write_zip
from workflow_scripts.holdings.sec.zip_names import zip_names
from workflow_scripts.plumbing.errors import InputError

FORD = 'FORD MOTOR CO DEL "NEW"'


def read(path, out):
    read_all([path], out)
    name = out / path.stem
    return [pq.read_table(f"{name}.{kind}.parquet").to_pylist() for kind in ("positions", "filings")]


def test_rows_of_one_cusip_add_up_and_options_and_principal_amounts_are_left_out(tmp_path):
    """A manager writes a row per sub-account; an option's row counts shares that it does not hold, a bond's dollars."""
    stock, bond = cusip(1), cusip(2)
    rows = [
        *(Row(stock, 10, 1000), Row(stock, 5, 500), Row(stock, "", 90)),
        *(Row(stock, 1, 100, put_call="Put"), Row(stock, 2, 200, put_call="call"), Row(bond, 7, 70, kind="PRN")),
    ]
    positions, [filing] = read(write_zip(tmp_path / "a_form13f.zip", [Filing(1, rows)]), tmp_path)
    assert [(one["cusip"], one["shares"], one["value"], one["rows"]) for one in positions] == [(stock, 15, 1500, 2)]
    counts = [filing[f"{kind}rows"] for kind in ("", "option_", "principal_", "incomplete_", "stock_")]
    assert counts == [6, 2, 1, 1, 2], "they are counted, each for its first reason"
    assert filing["value_rows"] == 1960, "the summary page counts all rows"


def test_text_is_read_as_the_sec_writes_it(tmp_path):
    """Quoted names, blanks and lower case in CUSIPs, letters that are no UTF-8: the position is the same."""
    rows = [Row(f" {cusip(1).lower()} ", 1, 10, issuer=FORD), Row(cusip(1), 2, 20, kind="sh ", issuer=FORD)]
    path = write_zip(tmp_path / "a_form13f.zip", [Filing(1, rows)])
    with zipfile.ZipFile(path) as archive:
        tables = {name: archive.read(name) for name in archive.namelist()}
    tables["INFOTABLE.tsv"] = tables["INFOTABLE.tsv"].replace(b"COM", b"CL \xe9")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in tables.items():
            archive.writestr(name, content)
    [position], _ = read(path, tmp_path)
    assert (position["cusip"], position["issuer"], position["shares"]) == (cusip(1), FORD, 3)
    assert position["title_of_class"].startswith("CL ")


@pytest.mark.parametrize("folder", ["", "01JUN2025-31AUG2025_form13f/"])
@pytest.mark.parametrize("change", ["as it is", "no FIGI", "other order", "lower case"])
def test_tables_are_found_by_name_and_columns_by_header(tmp_path, folder, change):
    """Older zips have no FIGI, one nests a folder; a column's place must not matter."""
    filings = [Filing(2, [Row(cusip(1), 1, 10)]), Filing(1, [Row(cusip(2), 3, 30)], form="13F-HR/A", number="2")]
    changed = {
        "as it is": COLUMNS,
        "no FIGI": {name: text.replace(" FIGI", "") for name, text in COLUMNS.items()},
        "other order": {name: " ".join(reversed(text.split())) for name, text in COLUMNS.items()},
        "lower case": COLUMNS,
    }[change]
    usual = read(write_zip(tmp_path / "a_form13f.zip", filings), tmp_path / "usual")
    path = write_zip(tmp_path / "b_form13f.zip", filings, folder, changed)
    if change == "lower case":
        with zipfile.ZipFile(path) as archive:
            tables = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in tables.items():
                head, rest = content.split(b"\n", 1)
                archive.writestr(name.lower(), b"\xef\xbb\xbf" + head.lower() + b"\n" + rest)
    assert read(path, tmp_path / "other") == usual
    assert [one["mgrno"] for one in usual[1]] == [1, 2]


def test_the_same_zip_gives_the_same_bytes(tmp_path):
    """Sums and names must not depend on the order in which threads meet the rows."""
    rows = [Row(cusip(n % 50), n, 3 * n, issuer=f"NAME {n % 7}") for n in range(5000)]
    path = write_zip(tmp_path / "a_form13f.zip", [Filing(k, rows) for k in range(1, 5)])
    for run in ("one", "two"):
        read_all([path], tmp_path / run)
    for name in ("a_form13f.positions.parquet", "a_form13f.filings.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def damage(name, old="", new=""):
    """A change of tables: `old` for `new` in one of them; without texts the table goes."""

    def change(tables):
        text = tables.pop(name)
        if old:
            assert old in text
            tables[name] = text.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damage("INFOTABLE"), "has no table INFOTABLE.tsv"),
        (damage("SUBMISSION", "CIK", "CIKS"), r"has no column CIK .*rename it to CIKS"),
        (damage("INFOTABLE", "\t10\t", "\tten\t"), r"INFOTABLE.tsv cannot be read .*'ten'"),
        (damage("SUBMISSION", "MAR", "MRZ"), "PERIODOFREPORT is '31-MRZ-2024'"),
        (damage("SUBMISSION", "31-MAR-2024\n", "31-MAR-2024\nX\n"), "SUBMISSION.tsv cannot be read"),
        (damage("SUBMISSION", "\t0000000001\t", "\tX\t"), "CIK is 'X'"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_file_table_and_column(tmp_path, change, message):
    path = write_zip(tmp_path / "a_form13f.zip", [Filing(1, [Row(cusip(1), 1, 10)])])
    with zipfile.ZipFile(path) as archive:
        tables = {name.removesuffix(".tsv"): archive.read(name).decode() for name in archive.namelist()}
    change(tables)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in tables.items():
            archive.writestr(f"{name}.tsv", text)
    with pytest.raises(InputError, match=f"a_form13f.zip: .*{message}"):
        read_all([path], tmp_path)
    assert not list(tmp_path.glob("*.parquet"))


@pytest.mark.parametrize("cut", [0.4, 0.9])
def test_a_download_that_was_cut_short_is_refused(tmp_path, cut):
    path = write_zip(tmp_path / "a_form13f.zip", [Filing(1, [Row(cusip(n), n, n) for n in range(1, 99)])])
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(InputError, match=r"cut short or damaged .*download it again"):
        read_all([path], tmp_path)


def test_a_flipped_byte_in_a_table_is_noticed(tmp_path):
    """The zip's directory is whole; the checksum of the table is not."""
    path = write_zip(tmp_path / "a_form13f.zip", [Filing(1, [Row(cusip(n), n, n) for n in range(1, 999)])])
    content = bytearray(path.read_bytes())
    at = content.index(b"INFOTABLE.tsv") + 2000
    content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="download it again"):
        read_all([path], tmp_path)


def test_rows_without_a_filing_are_counted_and_said(tmp_path, capsys):
    tables = tables_of([Filing(1, [Row(cusip(1), 1, 10)])])
    assert len(tables["INFOTABLE"]) == 1
    path = write_zip(tmp_path / "a_form13f.zip", [Filing(1, [Row(cusip(1), 1, 10)]), Filing(2, [Row(cusip(1), 4, 40)])])
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    lines = content["SUBMISSION.tsv"].splitlines(keepends=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, b"".join(lines[:2]) if name == "SUBMISSION.tsv" else text)
    result = build([path], tmp_path)
    assert result.held(1) == {cusip(1): (1, 10)}
    assert result.held(2) == {}


def test_only_the_secs_names_are_taken_for_zips_of_a_folder(tmp_path):
    for name in ("2013q2_form13f.zip", "01jan2024-29feb2024_form13f.zip", "cnsfails202101a.zip", "2010q2.zip", "x.txt"):
        (tmp_path / name).touch()
    assert zip_names(tmp_path) == ["01jan2024-29feb2024_form13f", "2013q2_form13f"]
    assert zip_names(tmp_path / "nowhere") == []
