"""All metrics of one firm type before and after the base model's knowledge cut-off, from `forecasts.csv` alone."""

import datetime as dt
from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.evaluation.tables import period_table, read_forecasts
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_csv


@dataclass(frozen=True)
class Settings:
    """Constants of the metrics, and the last day of the base model's knowledge (YYYY-MM-DD), if it is known."""

    metrics: EvaluationSettings
    knowledge_cutoff: str | None


def main(args: Namespace) -> str:
    """Write the table to `--out`."""
    settings = args.settings
    cutoff = settings.knowledge_cutoff
    table = period_table(read_forecasts(args.forecasts), settings.metrics, cutoff and dt.date.fromisoformat(cutoff))
    table.insert(0, "firm_type", args.firm_type)
    write_csv(args.out, table)
    return f"score_periods {args.firm_type}: {len(table):,} rows"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        forecasts=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
