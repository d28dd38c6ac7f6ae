"""One of the SEC's zips as two tables: its filings, and what each of them reports of each CUSIP.

Nothing is decided here that depends on other zips: which filings count, their unit, CUSIPs that are mended. Positions
are stock only: rows in shares (SH) without PUTCALL. Rows of one filing and CUSIP are added up, because a manager writes
one for each sub-account, discretion or other manager.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.holdings.sec.cusips import clean
from workflow_scripts.holdings.sec.zips import Tables
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import ROW_GROUP_ROWS

# One job may be one of several on the machine.
MEMORY = "1GB"
STOCK, OPTION, PRINCIPAL, INCOMPLETE = range(4)
SUBMISSION = ("ACCESSION_NUMBER", "FILING_DATE", "SUBMISSIONTYPE", "CIK", "PERIODOFREPORT")
COVERPAGE = (
    "ACCESSION_NUMBER",
    "AMENDMENTNO",
    "AMENDMENTTYPE",
    "FILINGMANAGER_NAME",
    "REPORTTYPE",
    "CRDNUMBER",
    "SECFILENUMBER",
)
TEXTS = ("ACCESSION_NUMBER", "NAMEOFISSUER", "TITLEOFCLASS", "CUSIP", "SSHPRNAMTTYPE", "PUTCALL")
NUMBERS = ("VALUE", "SSHPRNAMT")

_GROUPS = """
CREATE TEMP TABLE groups AS
SELECT filing, cusip, kind, min(issuer) AS issuer, min(class) AS class, count(*) AS n,
    sum(shares::DECIMAL(24, 4)) AS shares, sum(value::DECIMAL(24, 4)) AS value,
    count(*) FILTER (shares = value AND value > 0) AS equal, bit_xor(hash(cusip, kind, issuer, shares, value)) AS mark
FROM info GROUP BY ALL
"""
# A row that stands there twice takes itself out of the exclusive or: 0 says that all rows do, whatever their order.
_COUNTS = f"""
SELECT filing, sum(n)::BIGINT AS rows, sum(n) FILTER (kind = {OPTION})::BIGINT AS option_rows,
    sum(n) FILTER (kind = {PRINCIPAL})::BIGINT AS principal_rows,
    sum(n) FILTER (kind = {INCOMPLETE})::BIGINT AS incomplete_rows,
    sum(n) FILTER (kind = {STOCK})::BIGINT AS stock_rows, sum(equal) FILTER (kind = {STOCK})::BIGINT AS equal_rows,
    sum(value)::DOUBLE AS value_rows, bit_xor(mark) = 0 AS is_paired
FROM groups GROUP BY filing ORDER BY filing
"""
_POSITIONS = f"""
SELECT filing, cusip, issuer, class AS title_of_class, shares::DOUBLE AS shares, value::DOUBLE AS value,
    n::INTEGER AS rows
FROM groups WHERE kind = {STOCK} ORDER BY filing, cusip
"""
POSITIONS = pa.schema(
    {
        "filing": pa.int32(),
        "quarter": pa.int32(),
        "cusip": pa.string(),
        "issuer": pa.string(),
        "title_of_class": pa.string(),
        "shares": pa.float64(),
        "value": pa.float64(),
        "rows": pa.int32(),
    }
)
INFO = pa.schema(
    {
        "filing": pa.int32(),
        "cusip": pa.string(),
        "kind": pa.int8(),
        "issuer": pa.string(),
        "class": pa.string(),
        "shares": pa.float64(),
        "value": pa.float64(),
    }
)
COUNTS = ("rows", "option_rows", "principal_rows", "incomplete_rows", "stock_rows", "equal_rows")


@dataclass(frozen=True)
class ZipContent:
    """What one zip has.

    `filings`: a row per filing, sorted by (quarter, mgrno, accession): accession, mgrno (CIK), name, form (13F-HR,
    13F-NT, with /A if amended), quarter (id, of the period of report), filed (day), amendment (RESTATEMENT, NEW
    HOLDINGS or empty), amendment_no (0 where none), report (type), crd_number, sec_file_number, is_confidential
    (positions are left out with the SEC's leave), included (CIKs of the managers whose positions it has),
    entries_stated and value_stated (SUMMARYPAGE, missing where none), the rows of INFOTABLE by kind (`COUNTS`),
    value_rows (their sum of VALUE), is_paired (all rows stand there an even number of times). Money as filed: dollars
    or thousands.
    `positions`: parts of a table sorted by (filing, cusip): filing (row number in `filings`), quarter, cusip (cleaned,
    not mended), issuer, title_of_class, shares, value (as filed), rows.
    `orphans`: rows of INFOTABLE whose filing SUBMISSION does not have, by accession.
    """

    filings: pa.Table
    positions: Iterator[pa.Table]
    orphans: Mapping[str, int]


def read_zip(path: str | Path, folder: str | Path) -> ZipContent:
    """Read one zip. Beyond `MEMORY` the rows lie in `folder`. Raises InputError for what cannot be understood."""
    with Tables(path) as tables:
        filings = _filings(tables)
        connection = duckdb.connect()
        connection.execute(f"SET memory_limit = '{MEMORY}'; SET preserve_insertion_order = false")
        connection.execute("SET temp_directory = ?", [str(folder)])
        orphans: dict[str, int] = {}
        _group(connection, _info(tables, filings["accession"], orphans))
    counts = connection.sql(_COUNTS).to_arrow_table()
    filings = _with_counts(filings, counts)
    return ZipContent(filings, _positions(connection, filings["quarter"].to_numpy()), orphans)


def _positions(connection: duckdb.DuckDBPyConnection, quarters: np.ndarray) -> Iterator[pa.Table]:
    yield POSITIONS.empty_table()
    with connection:
        for batch in connection.sql(_POSITIONS).to_arrow_reader(ROW_GROUP_ROWS):
            table = pa.Table.from_batches([batch])
            quarter = pa.array(quarters[table["filing"].to_numpy()])
            yield table.append_column("quarter", quarter).select(POSITIONS.names).cast(POSITIONS)


def _group(connection: duckdb.DuckDBPyConnection, tables: Iterator[pa.Table]) -> None:
    """The table `groups`: INFOTABLE by filing, CUSIP and kind of row."""
    failed: list[Exception] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for table in tables:
                yield from table.select(INFO.names).cast(INFO).to_batches()
        except Exception as error:
            # DuckDB would make a text of it.
            failed.append(error)

    connection.register("info", pa.RecordBatchReader.from_batches(INFO, batches()))
    connection.execute(_GROUPS)
    connection.unregister("info")
    if failed:
        raise failed[0]


def _info(tables: Tables, accessions: pa.ChunkedArray, orphans: dict[str, int]) -> Iterator[pa.Table]:
    """INFOTABLE part by part, with the row number of each row's filing and its kind; counts rows without a filing."""
    known = accessions.combine_chunks()
    for batch in tables.batches("INFOTABLE", TEXTS, NUMBERS):
        filing = pc.index_in(_stripped(batch["ACCESSION_NUMBER"]), known)
        if filing.null_count:
            for one in pc.value_counts(batch["ACCESSION_NUMBER"].filter(pc.is_null(filing))).to_pylist():
                orphans[one["values"]] = orphans.get(one["values"], 0) + one["counts"]
        is_stock = pc.equal(_upper(batch["SSHPRNAMTTYPE"]), "SH")
        is_option = pc.not_equal(_stripped(batch["PUTCALL"]), "")
        is_whole = pc.and_(pc.is_valid(batch["VALUE"]), pc.is_valid(batch["SSHPRNAMT"]))
        kind = pc.case_when(
            pc.make_struct(is_option, pc.invert(is_stock), pc.invert(is_whole)), OPTION, PRINCIPAL, INCOMPLETE, STOCK
        )
        table = pa.table(
            {
                "filing": filing,
                "cusip": _by_word(batch["CUSIP"], clean),
                "kind": kind,
                "issuer": _stripped(batch["NAMEOFISSUER"]),
                "class": _stripped(batch["TITLEOFCLASS"]),
                "shares": batch["SSHPRNAMT"],
                "value": batch["VALUE"],
            }
        )
        yield table.filter(pc.is_valid(filing)) if filing.null_count else table


def _by_word(column: pa.ChunkedArray, function) -> pa.Array:  # type: ignore[no-untyped-def]
    """A function of texts, computed once for each distinct one."""
    codes = column.combine_chunks().dictionary_encode()
    return function(codes.dictionary).take(codes.indices)


def _stripped(column: pa.ChunkedArray) -> pa.Array:
    return _by_word(column, pc.utf8_trim_whitespace)


def _upper(column: pa.ChunkedArray) -> pa.Array:
    return _by_word(column, lambda words: pc.utf8_upper(pc.utf8_trim_whitespace(words)))


def _days(path: Path, name: str, texts: pa.ChunkedArray) -> list[dt.date]:
    """Days written as 31-MAR-2025 or 2025-03-31."""
    days = {}
    for text in pc.unique(texts).to_pylist():
        for form in ("%d-%b-%Y", "%Y-%m-%d"):
            try:
                days[text] = dt.datetime.strptime(text, form).date()
            except ValueError:
                continue
        if text not in days:
            raise InputError(f"{path}: {name} is {text!r}, not a day such as 31-MAR-2025; download the file again")
    return [days[text] for text in texts.to_pylist()]


def _integers(path: Path, name: str, texts: pa.ChunkedArray) -> list[int]:
    values = texts.to_pylist()
    wrong = [value for value in values if not value.isdecimal()]
    if wrong:
        raise InputError(f"{path}: {name} is {wrong[0]!r}, not a number; download the file again")
    return [int(value) for value in values]


def _trimmed(table: pa.Table) -> pa.Table:
    texts = [name for name in table.column_names if table[name].type == pa.string()]
    return pa.table({name: _stripped(table[name]) if name in texts else table[name] for name in table.column_names})


def _filings(tables: Tables) -> pa.Table:
    """SUBMISSION, COVERPAGE and SUMMARYPAGE as one table; a filing without a cover page has empty fields."""
    path = tables.path
    submission = _trimmed(tables.table("SUBMISSION", SUBMISSION))
    accessions = submission["ACCESSION_NUMBER"]
    if len(pc.unique(accessions)) < len(accessions):
        raise InputError(f"{path}: SUBMISSION.tsv has an ACCESSION_NUMBER twice; download the file again")
    cover = _of_filings(accessions, _trimmed(tables.table("COVERPAGE", COVERPAGE)))
    pages = tables.table(
        "SUMMARYPAGE", ("ACCESSION_NUMBER", "ISCONFIDENTIALOMITTED"), ("TABLEENTRYTOTAL", "TABLEVALUETOTAL")
    )
    summary = _of_filings(accessions, _trimmed(pages))
    periods = _days(path, "PERIODOFREPORT", submission["PERIODOFREPORT"])
    numbers = [int(text) if text.isdecimal() else 0 for text in cover["AMENDMENTNO"].to_pylist()]
    table = pa.table(
        {
            "accession": accessions,
            "mgrno": pa.array(_integers(path, "CIK", submission["CIK"]), pa.int64()),
            "name": cover["FILINGMANAGER_NAME"],
            "form": _upper(submission["SUBMISSIONTYPE"]),
            "quarter": pa.array(quarter_ids(np.array(periods, dtype="datetime64[D]")), pa.int32()),
            "filed": pa.array(_days(path, "FILING_DATE", submission["FILING_DATE"]), pa.date32()),
            "amendment": _upper(cover["AMENDMENTTYPE"]),
            "amendment_no": pa.array(numbers, pa.int32()),
            "report": _upper(cover["REPORTTYPE"]),
            "crd_number": cover["CRDNUMBER"],
            "sec_file_number": cover["SECFILENUMBER"],
            "is_confidential": pc.equal(_upper(summary["ISCONFIDENTIALOMITTED"]), "Y"),
            "included": _included(tables, accessions),
            "entries_stated": summary["TABLEENTRYTOTAL"],
            "value_stated": summary["TABLEVALUETOTAL"],
        }
    )
    return table.sort_by([("quarter", "ascending"), ("mgrno", "ascending"), ("accession", "ascending")])


def _of_filings(accessions: pa.ChunkedArray, table: pa.Table) -> pa.Table:
    """The row of each filing, the first where there are several; without one, empty texts and missing numbers."""
    at = pc.index_in(accessions, table["ACCESSION_NUMBER"].combine_chunks())
    found = table.take(at)
    return pa.table(
        {
            name: pc.fill_null(found[name], "") if found[name].type == pa.string() else found[name]
            for name in table.column_names
        }
    )


def _included(tables: Tables, accessions: pa.ChunkedArray) -> pa.Array:
    """CIKs of the other managers whose positions a filing includes, as far as it names CIKs."""
    found: dict[str, list[int]] = {}
    if tables.has("OTHERMANAGER2"):
        for row in _trimmed(tables.table("OTHERMANAGER2", ("ACCESSION_NUMBER", "CIK"))).to_pylist():
            if row["CIK"].isdecimal():
                found.setdefault(row["ACCESSION_NUMBER"], []).append(int(row["CIK"]))
    return pa.array([sorted(set(found.get(one, ()))) for one in accessions.to_pylist()], pa.list_(pa.int64()))


def _with_counts(filings: pa.Table, counts: pa.Table) -> pa.Table:
    """The filings with the counts of their rows; 0 for those without a table."""
    at = counts["filing"].to_numpy()
    for name in (*COUNTS, "value_rows", "is_paired"):
        is_count = name in COUNTS
        values = np.zeros(len(filings), dtype=np.int64 if is_count else bool if name == "is_paired" else np.float64)
        values[at] = counts[name].fill_null(0).to_numpy() if is_count else counts[name].to_numpy()
        filings = filings.append_column(name, pa.array(values))
    return filings
