"""Tickers and company names from a file of the user's."""

import csv
from pathlib import Path

from workflow_scripts.plumbing.errors import InputError


def read_tickers(path: str) -> dict[int, tuple[str, str]]:
    """permno -> (ticker, company) from a CSV with these columns; rows without a ticker are as good as none.

    Raises InputError naming file and line for a missing column, and a permno that is no integer or occurs twice.
    """
    tickers: dict[int, tuple[str, str]] = {}
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for column in ("permno", "ticker", "company"):
            if column not in (rows.fieldnames or ()):
                raise InputError(f"{path}: column {column!r} is missing; it needs permno, ticker, company")
        for row in rows:
            text = row["permno"] or ""
            if not text.strip().isdecimal():
                raise InputError(f"{path}: line {rows.line_num}: permno {text!r} is not an integer; correct it")
            if int(text) in tickers:
                raise InputError(f"{path}: line {rows.line_num}: permno {text} occurs twice; keep one row")
            if row["ticker"]:
                tickers[int(text)] = (row["ticker"], row["company"] or "")
    return tickers
