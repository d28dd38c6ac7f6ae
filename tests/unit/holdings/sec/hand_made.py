"""Small zips in the SEC's layout, written by hand, and what the workflow makes of them."""

import csv
import io
import zipfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from workflow_scripts import build_sec_positions, read_sec_zip
from workflow_scripts.holdings.sec.cusips import check_digits
from workflow_scripts.holdings.sec.filing_settings import FilingSettings
from workflow_scripts.plumbing.files import read_csv, read_table

COLUMNS = {
    "SUBMISSION": "ACCESSION_NUMBER FILING_DATE SUBMISSIONTYPE CIK PERIODOFREPORT",
    "COVERPAGE": "ACCESSION_NUMBER REPORTCALENDARORQUARTER ISAMENDMENT AMENDMENTNO AMENDMENTTYPE FILINGMANAGER_NAME "
    "REPORTTYPE FORM13FFILENUMBER CRDNUMBER SECFILENUMBER",
    "SUMMARYPAGE": "ACCESSION_NUMBER OTHERINCLUDEDMANAGERSCOUNT TABLEENTRYTOTAL TABLEVALUETOTAL ISCONFIDENTIALOMITTED",
    "OTHERMANAGER2": "ACCESSION_NUMBER SEQUENCENUMBER CIK FORM13FFILENUMBER CRDNUMBER SECFILENUMBER NAME",
    "INFOTABLE": "ACCESSION_NUMBER INFOTABLE_SK NAMEOFISSUER TITLEOFCLASS CUSIP FIGI VALUE SSHPRNAMT SSHPRNAMTTYPE "
    "PUTCALL INVESTMENTDISCRETION OTHERMANAGER VOTING_AUTH_SOLE VOTING_AUTH_SHARED VOTING_AUTH_NONE",
}


def cusip(number: int) -> str:
    """A CUSIP of common stock with its check digit."""
    body = f"{number:06d}10"
    return f"{body}{check_digits([body])[0]}"


@dataclass
class Row:
    """One row of an information table; `value` as filed."""

    cusip: str
    shares: float | str
    value: float | str
    kind: str = "SH"
    put_call: str = ""
    issuer: str = "ACME CORP"
    title: str = "COM"


@dataclass
class Filing:
    """One filing; its summary counts its rows unless `stated` says (entries, value)."""

    cik: int
    rows: Sequence[Row] = ()
    filed: str = "14-MAY-2024"
    period: str = "31-MAR-2024"
    form: str = "13F-HR"
    amendment: str = ""
    number: str = ""
    report: str = "13F HOLDINGS REPORT"
    accession: str = ""
    stated: tuple[float, float] | None = None
    included: Sequence[int] = ()
    others: dict = field(default_factory=dict)


def tables_of(filings: Sequence[Filing]) -> dict[str, list[dict]]:
    """The rows of all tables."""
    tables: dict[str, list[dict]] = {name: [] for name in COLUMNS}
    for number, one in enumerate(filings):
        accession = one.accession or f"{one.cik:010d}-{number:02d}-{one.filed}"
        key = {"ACCESSION_NUMBER": accession}
        amended = {"ISAMENDMENT": "Y" * bool(one.amendment), "AMENDMENTNO": one.number, "AMENDMENTTYPE": one.amendment}
        manager = {"FILINGMANAGER_NAME": f"Manager {one.cik}", "REPORTTYPE": one.report, **amended}
        submitted = {"FILING_DATE": one.filed, "SUBMISSIONTYPE": one.form, "PERIODOFREPORT": one.period}
        tables["SUBMISSION"].append({**key, **submitted, "CIK": f"{one.cik:010d}"})
        tables["COVERPAGE"].append({**key, **manager, **one.others})
        if one.rows or one.stated:
            entries, value = one.stated or (len(one.rows), sum(float(row.value or 0) for row in one.rows))
            tables["SUMMARYPAGE"].append({**key, "TABLEENTRYTOTAL": entries, "TABLEVALUETOTAL": value, **one.others})
        tables["OTHERMANAGER2"] += [{**key, "CIK": f"{cik:010d}"} for cik in one.included]
        for row in one.rows:
            what = {"NAMEOFISSUER": row.issuer, "TITLEOFCLASS": row.title, "CUSIP": row.cusip, "PUTCALL": row.put_call}
            amount = {"VALUE": row.value, "SSHPRNAMT": row.shares, "SSHPRNAMTTYPE": row.kind}
            tables["INFOTABLE"].append({**key, **what, **amount, "INFOTABLE_SK": len(tables["INFOTABLE"])})
    return tables


def write_zip(path: Path, filings: Sequence[Filing], folder: str = "", columns: dict[str, str] | None = None) -> Path:
    """A zip in the SEC's layout; its tables lie in `folder`, and have `columns` where they are not the usual ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in tables_of(filings).items():
            header = (columns or {}).get(name, COLUMNS[name]).split()
            text = io.StringIO()
            writer = csv.DictWriter(
                text, header, restval="", extrasaction="ignore", delimiter="\t", lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(rows)
            archive.writestr(f"{folder}{name}.tsv", text.getvalue())
    return path


@dataclass
class Result:
    """What the workflow made."""

    positions: pd.DataFrame
    managers: pd.DataFrame
    filings: pd.DataFrame
    text: str

    def held(self, cik: int, quarter: str | None = None) -> dict[str, tuple[float, float]]:
        """Shares and value in dollars by CUSIP of one manager, in its only quarter or the one named."""
        rows = self.positions[self.positions["mgrno"] == cik]
        if quarter:
            rows = rows[rows["quarter"] == int(quarter[:4]) * 4 + int(quarter[-1]) - 1]
        assert rows["cusip"].is_unique
        return {one.cusip: (one.shares, round(one.value * 1e6, 3)) for one in rows.itertuples()}

    def states(self) -> list[str]:
        """What became of each filing, by accession."""
        return self.filings.sort_values("accession")["state"].tolist()


def read_all(zips: Sequence[Path], out: Path) -> None:
    """What the jobs of rule read_sec_zip do."""
    for path in zips:
        name = str(out / path.stem)
        read_sec_zip.main(Namespace(zip=path, positions=f"{name}.positions.parquet", filings=f"{name}.filings.parquet"))


def build(zips: Sequence[Path], out: Path, **settings) -> Result:
    """What the rules make of zips, with these settings."""
    read_all(zips, out)
    parts = {kind: [str(out / f"{path.stem}.{kind}.parquet") for path in zips] for kind in ("positions", "filings")}
    build_sec_positions.main(Namespace(**parts, settings=FilingSettings(**settings), out=out))
    tables = [read_table(out / f"{name}.parquet").to_pandas() for name in ("positions", "managers")]
    return Result(*tables, read_csv(out / "filings.csv"), (out / "filings.txt").read_text(encoding="utf-8"))


PRICES = {cusip(number): 10.0 + number for number in range(1, 7)}


def market(unit: int = 1, **changes) -> list[Filing]:
    """Four managers who hold the stocks of `PRICES`, and report in `unit`; their prices are those of most."""
    return [
        Filing(900 + k, [Row(name, 1000 * k, 1000 * k * price / unit) for name, price in PRICES.items()], **changes)
        for k in range(1, 5)
    ]
