"""Score the forecasts of one firm type that are distributions: samples of models, residual bands of baselines.

Steps: take the forecasters whose predictions have quantiles at all levels → CRPS against no-change's, coverage and
width of the 80 % band; pinball loss and reliability by level; PIT histogram. A distribution is scored on the change
that was asked for, and on no other: that of the dollar change contains the stock's return.
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.holdings.evaluation.distributions import (
    distribution_table,
    distributions_of,
    pit_table,
    reliability_table,
)
from workflow_scripts.holdings.evaluation.tables import read_forecasts
from workflow_scripts.holdings.texts.targets import TARGETS, TargetName
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, write_csv


@dataclass(frozen=True)
class Settings:
    """What was asked for, and the confidence of the intervals."""

    target: TargetName
    confidence: float


def main(args: Namespace) -> str:
    """Write the tables below the folder `--out`; a prediction file is named as its forecaster."""
    settings, joined = args.settings, read_forecasts(args.forecasts)
    predictions = {Path(path).stem: read_csv(path) for path in args.predictions}
    # Every forecaster has the same windows.
    given = distributions_of(joined.drop_duplicates("window_id"), predictions, TARGETS[settings.target].change)
    tables = {
        "distributions": distribution_table(given, settings.confidence),
        "reliability": reliability_table(given, settings.confidence),
        "pit": pit_table(given),
    }
    for name, table in tables.items():
        table.insert(0, "firm_type", args.firm_type)
        write_csv(Path(args.out) / f"{name}.csv", table)
    others = [name for name in predictions if name not in given.quantiles]
    found = f"evaluate_distributions {args.firm_type}: {', '.join(given.quantiles) or 'none'}"
    return f"{found}; without quantiles: {', '.join(others)}" if others else found


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        forecasts=cli.TEXT,
        predictions=cli.FILES,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
