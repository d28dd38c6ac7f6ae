"""Write the prompts of one sample; nothing dated after t is read."""

import csv
from pathlib import Path

from workflow_scripts import cli
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.files import read_table, write_jsonl
from workflow_scripts.holdings.history import prompt_columns
from workflow_scripts.holdings.prompts import PromptSettings, build_prompts


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


def main(args) -> str:
    """Write the prompts to `--out`."""
    # Reading only these columns keeps the label out of reach.
    sample = read_table(args.sample, columns=prompt_columns(args.settings.history_quarters))
    tickers = read_tickers(args.tickers) if args.tickers else None
    prompts = build_prompts(sample, args.settings, tickers)
    write_jsonl(args.out, prompts)
    return f"build_prompts {args.firm_type} {args.split}: {len(prompts):,} prompts"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        sample=cli.TEXT,
        firm_type=cli.TEXT,
        split=cli.TEXT,
        settings=cli.settings_option(PromptSettings),
        tickers={"default": "", "help": "CSV permno,ticker,company"},
        out=cli.TEXT,
    )
