"""Write the prompts of one sample; nothing dated after t is read."""

from argparse import Namespace

from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.texts.tickers import named_tickers
from workflow_scripts.holdings.windows.history import prompt_columns
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_table, write_jsonl


def main(args: Namespace) -> str:
    """Write the prompts to `--out`."""
    # Reading only these columns keeps the label out of reach.
    sample = read_table(args.sample, columns=prompt_columns(args.settings.history_quarters))
    tickers = named_tickers(args.tickers)
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
        tickers=cli.TICKERS,
        out=cli.TEXT,
    )
