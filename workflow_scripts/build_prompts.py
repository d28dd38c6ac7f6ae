"""Write the prompts of one sample; nothing dated after t is read."""

import pandas as pd
import pyarrow.parquet as pq

from workflow_scripts import cli
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.files import write_jsonl
from workflow_scripts.holdings.history import prompt_columns
from workflow_scripts.holdings.prompts import PromptSettings, build_prompts


def read_tickers(path: str) -> dict[int, tuple[str, str]]:
    """permno -> (ticker, company) from a CSV with these columns; InputError for a missing one."""
    table = pd.read_csv(path, dtype={"ticker": str, "company": str}, keep_default_na=False)
    for column in ("permno", "ticker", "company"):
        if column not in table:
            raise InputError(f"{path}: column {column!r} is missing; it needs permno, ticker, company")
    if table["permno"].duplicated().any():
        raise InputError(f"{path}: permno {table['permno'][table['permno'].duplicated()].iloc[0]} occurs twice")
    return {row.permno: (row.ticker, row.company) for row in table.itertuples()}


def main(args) -> str:
    """Write the prompts to `--out`."""
    # Reading only these columns keeps the label out of reach.
    sample = pq.read_table(args.sample, columns=prompt_columns(args.settings.history_quarters))
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
