"""Debug table of one firm type: all metrics without each forecaster's largest errors, from `forecasts.csv` alone."""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.evaluation.tables import read_forecasts, trimmed_table
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_csv


@dataclass(frozen=True)
class Settings:
    """Constants of the metrics, and the percentile of |error| above which windows are left out."""

    metrics: EvaluationSettings
    trim_percentile: float


def main(args: Namespace) -> str:
    """Write the table to `--out`."""
    settings = args.settings
    table = trimmed_table(read_forecasts(args.forecasts), settings.metrics, settings.trim_percentile)
    table.insert(0, "firm_type", args.firm_type)
    write_csv(args.out, table)
    return f"trim_metrics {args.firm_type}: {settings.trim_percentile:g} % of the windows kept"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        forecasts=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
