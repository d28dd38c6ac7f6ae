"""Write the prompts of the windows that are forecast, by the run's own prompt builder; they have no answer yet."""

from argparse import Namespace

from workflow_scripts.holdings.texts.conversations import forecast_rows
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.texts.tickers import named_tickers
from workflow_scripts.holdings.windows.history import prompt_columns
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_table, write_jsonl


def main(args: Namespace) -> str:
    """Write the rows to `--out`."""
    # Of what is not known at t only the columns would be there.
    names = dict.fromkeys([*prompt_columns(args.settings.history_quarters), "mgrno", "quarter", "holding_t"])
    sample = read_table(args.sample, columns=list(names))
    tickers = named_tickers(args.tickers)
    rows = forecast_rows(build_prompts(sample, args.settings, tickers), sample)
    write_jsonl(args.out, rows)
    return f"build_forecast_prompts {args.firm_type}: {len(rows):,} prompts"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        sample=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(PromptSettings),
        tickers=cli.TICKERS,
        out=cli.TEXT,
    )
