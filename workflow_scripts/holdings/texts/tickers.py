"""Tickers and company names from a file of the user's."""

import csv
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from workflow_scripts.plumbing.errors import InputError

# A spreadsheet takes a cell that begins like this for a formula.
FORMULA_MARKS = ("=", "+", "@")
# Chat templates, our answers and the blocks of a prompt are marked by these; no company needs them.
MARKUP = frozenset("<>{}[]|")


def named_tickers(paths: Sequence[str]) -> dict[int, tuple[str, str]] | None:
    """`read_tickers` of the file that the settings name, the only one of `paths`; None where they name none."""
    return read_tickers(paths[0]) if paths else None


def read_tickers(path: str) -> dict[int, tuple[str, str]]:
    """permno -> (ticker, company) from a CSV with these columns; rows without a ticker are ignored.

    Raises InputError naming file and line for a text that is not UTF-8, a missing column, a permno that is no integer
    or occurs twice, a row of more cells than columns, and names that could be taken for something else in a prompt.
    """
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line} is not UTF-8; save the file as UTF-8 (iconv -f latin1 -t utf-8)"
        ) from error
    tickers: dict[int, tuple[str, str]] = {}
    rows = csv.DictReader(io.StringIO(text, newline=""))
    for column in ("permno", "ticker", "company"):
        if column not in (rows.fieldnames or ()):
            raise InputError(f"{path}: column {column!r} is missing; it needs permno, ticker, company, with commas")
    for row in rows:
        where = f"{path}: line {rows.line_num}"
        permno = row["permno"] or ""
        if None in row:
            raise InputError(f"{where} has more cells than the header; put a name with a comma into quotes")
        if not permno.strip().isdecimal():
            raise InputError(f"{where}: permno {permno!r} is not an integer; correct it")
        if int(permno) in tickers:
            raise InputError(f"{where}: permno {permno} occurs twice; keep one row")
        for column in ("ticker", "company"):
            if fault := _fault(row[column] or ""):
                raise InputError(f"{where}: {column} {row[column]!r} {fault}; names reach the prompts: correct it")
        if row["ticker"]:
            tickers[int(permno)] = (row["ticker"], row["company"] or "")
    return tickers


def _fault(name: str) -> str:
    """Why a name must not stand in a prompt; empty where it may."""
    if name.lstrip().startswith(FORMULA_MARKS):
        return f"begins with {name.lstrip()[0]}, as a formula does"
    if marks := MARKUP.intersection(name):
        return f"holds {min(marks)}, which marks up prompts"
    # Control and format characters, lone surrogates, line breaks.
    if any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in name):
        return "holds a line break or an invisible character"
    return ""
