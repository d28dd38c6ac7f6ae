"""Write the prompts of one sample; nothing dated after t is read."""

from argparse import Namespace

from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.texts.tickers import read_tickers
from workflow_scripts.holdings.windows.history import prompt_columns
from workflow_scripts.holdings.windows.managers import FACTS
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_table, write_jsonl


def main(args: Namespace) -> str:
    """Write the prompts to `--out`."""
    # Reading only these columns keeps the label out of reach.
    columns = [*prompt_columns(args.settings.history_quarters), *FACTS]
    sample = read_table(args.sample, columns=columns)
    tickers = read_tickers(args.tickers[0]) if args.tickers else None
    prompts = build_prompts(sample, args.settings, tickers)
    write_jsonl(args.out, prompts)
    return f"build_prompts {args.firm_type} {args.split}: {len(prompts):,} prompts"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        sample=cli.TEXT,
        firm_type=cli.TEXT,
        split=cli.TEXT,
        settings=cli.settings_option(PromptSettings),
        tickers={**cli.OPTIONAL_FILES, "help": "CSV permno,ticker,company"},
        out=cli.TEXT,
    )
