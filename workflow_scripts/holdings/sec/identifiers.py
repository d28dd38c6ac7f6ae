"""From CUSIPs to tickers and to companies: the SEC's fails-to-deliver files, its list of tickers, CSV files, names.

A company is the SEC's number of it (CIK). The SEC publishes no table from CUSIPs to companies: the ticker leads from
one to the other, and where there is none, the issuer's name, if one company alone has it.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from workflow_scripts.holdings.sec.cusips import check_digits, clean, mend_column
from workflow_scripts.plumbing.errors import InputError

TRAILER = "Trailer"
# Words and endings that one source writes and another leaves out: the form of a company, its state, articles.
_ENDING = re.compile(r"[/\\].*$")
_FORMS = re.compile(
    r"\b(THE|INC|INCORPORATED|CORP|CORPORATION|CO|COMPANY|COS|LTD|LIMITED|PLC|LLC|LP|SA|NV|AG|AB|ASA|SE|NEW|DEL|COM)\b"
)
_SHORT = {
    "INTERNATIONAL": "INTL",
    "HOLDINGS": "HLDGS",
    "HOLDING": "HLDGS",
    "HLDG": "HLDGS",
    "GROUP": "GRP",
    "FINANCIAL": "FINL",
    "TECHNOLOGIES": "TECHNOLOGY",
    "INDUSTRIES": "INDS",
    "SYSTEMS": "SYS",
    "SERVICES": "SVCS",
    "AMERICAN": "AMER",
    "RESOURCES": "RES",
    "LABORATORIES": "LABS",
    "MANUFACTURING": "MFG",
    "BANCORPORATION": "BANCORP",
    "PHARMACEUTICALS": "PHARM",
    "PHARMACEUTICAL": "PHARM",
    "PROPERTIES": "PPTYS",
    "ENTERPRISES": "ENTERPRISE",
    "COMMUNICATIONS": "COMM",
    "NATIONAL": "NATL",
}


@dataclass
class Identifiers:
    """Ticker and company of each CUSIP, company of each ticker, and the files that they came from."""

    ticker: dict[str, str] = field(default_factory=dict)
    company: dict[str, int] = field(default_factory=dict)
    company_of_ticker: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def same_name(name: str) -> str:
    """A company's name without what sources write differently.

    >>> same_name("Procter & Gamble Co/OH"), same_name("THE PROCTER & GAMBLE COMPANY")
    ('PROCTER GAMBLE', 'PROCTER GAMBLE')
    """
    words = _FORMS.sub(" ", re.sub(r"[^A-Z0-9 ]", " ", _ENDING.sub("", name.upper()).replace("'", ""))).split()
    return " ".join(_SHORT.get(word, word) for word in words)


def by_name(names: Iterable[str], companies: pd.DataFrame) -> dict[str, int]:
    """Company of each issuer's name that exactly one company of `companies` (company, name) has, in any spelling."""
    keys = companies["name"].map(same_name)
    known = companies.assign(key=keys)[keys != ""].drop_duplicates(["key", "company"])
    only = known.drop_duplicates("key", keep=False).set_index("key")["company"].astype(int).to_dict()
    found = {name: only.get(same_name(name)) for name in names}
    return {name: company for name, company in found.items() if company is not None}


def read_identifiers(paths: Iterable[str | Path]) -> Identifiers:
    """What the files of `identifier_files` say. A CSV counts before fails-to-deliver, of which the latest line does."""
    found = Identifiers()
    fails = []
    tables = {}
    for path in map(Path, paths):
        if path.name.startswith("company_tickers"):
            found.company_of_ticker |= _company_tickers(path)
            found.files[path.name] = f"{len(found.company_of_ticker):,} tickers with their company"
        elif path.name.startswith("cnsfails"):
            lines = _fails(path)
            fails.append(lines)
            found.files[path.name] = f"{lines['CUSIP'].nunique():,} CUSIPs with a ticker"
        else:
            tables[path.name] = _table(path)
    if fails:
        lines = pd.concat(fails).sort_values(["SETTLEMENT DATE", "CUSIP", "SYMBOL"], kind="stable")
        found.ticker |= lines.drop_duplicates("CUSIP", keep="last").set_index("CUSIP")["SYMBOL"].to_dict()
    for name, table in tables.items():
        if table is None:
            found.files[name] = "not used: it has no cusip beside a ticker or cik"
            continue
        found.files[name] = f"{len(table):,} CUSIPs"
        if "ticker" in table:
            known = table[table["ticker"] != ""]
            found.ticker |= dict(zip(known["cusip"], known["ticker"], strict=True))
        if "cik" in table:
            known = table[table["cik"].notna()]
            found.company |= dict(zip(known["cusip"], known["cik"], strict=True))
        if {"ticker", "cik"} <= set(table):
            known = table[(table["ticker"] != "") & table["cik"].notna()]
            found.company_of_ticker |= dict(zip(known["ticker"], known["cik"], strict=True))
    return found


def _company_tickers(path: Path) -> dict[str, int]:
    """The SEC's company_tickers.json: {"0": {"cik_str": 320193, "ticker": "AAPL", "title": "Apple Inc."}, ...}."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {row["ticker"].upper(): int(row["cik_str"]) for row in rows.values()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: not the SEC's company_tickers.json ({error!r}); download it again") from error


def _fails(path: Path) -> pd.DataFrame:
    """The lines of one fails-to-deliver file: settlement date, CUSIP, symbol; the last lines are counts."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                content = archive.read(archive.namelist()[0])
        else:
            content = path.read_bytes()
    except (zipfile.BadZipFile, IndexError) as error:
        raise InputError(f"{path}: not a readable zip ({error}); download it again") from error
    text = io.StringIO(content.decode("latin-1"))
    # Descriptions hold quotes that mean nothing.
    lines = pd.read_csv(text, sep="|", dtype=str, quoting=3, on_bad_lines="skip", keep_default_na=False)
    missing = {"SETTLEMENT DATE", "CUSIP", "SYMBOL"} - set(lines)
    if missing:
        raise InputError(
            f"{path}: column {', '.join(sorted(missing))} is missing; it is no fails-to-deliver file of the SEC's"
        )
    lines = lines[~lines["SETTLEMENT DATE"].str.startswith(TRAILER) & (lines["SYMBOL"] != "")]
    cusips, _ = mend_column(pa.array(lines["CUSIP"].to_numpy(object), pa.string()))
    symbols = lines["SYMBOL"].str.strip().str.upper()
    return pd.DataFrame(
        {"SETTLEMENT DATE": lines["SETTLEMENT DATE"], "CUSIP": cusips.to_pylist(), "SYMBOL": symbols}
    ).drop_duplicates(["CUSIP", "SYMBOL"], keep="last")


def _table(path: Path) -> pd.DataFrame | None:
    """A CSV with cusip, or cusip8 without the check digit, and ticker or cik; None where it lacks them."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.columns = [str(name).strip().lower() for name in table.columns]
    if "cusip" not in table and "cusip8" in table:
        bodies = clean(pa.array(table["cusip8"].to_numpy(object), pa.string())).to_pylist()
        table["cusip"] = [f"{body}{digit}" for body, digit in zip(bodies, check_digits(bodies).tolist(), strict=True)]
    if "cusip" not in table or not {"ticker", "cik"} & set(table):
        return None
    cusips, _ = mend_column(pa.array(table["cusip"].to_numpy(object), pa.string()))
    kept = {"cusip": cusips.to_pylist()}
    if "ticker" in table:
        kept["ticker"] = table["ticker"].str.strip().str.upper()
    if "cik" in table:
        cik = pd.to_numeric(table["cik"], errors="coerce")
        wrong = cik.isna() & (table["cik"].str.strip() != "")
        if wrong.any():
            row = int(wrong.idxmax())
            raise InputError(f"{path}: cik {table['cik'][row]!r} in line {row + 2} is no number; correct it")
        kept["cik"] = cik.astype("Int64")
    return pd.DataFrame(kept).drop_duplicates("cusip", keep="last")
