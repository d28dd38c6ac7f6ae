"""Forecasts that need no language model, fitted on the SFT and GRPO samples; on a simulated panel also the oracle.

The windows of the test sample are forecast; none of its labels is read.
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from workflow_scripts.holdings.forecasts.baselines import baseline_forecasts
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.panel.simulation import oracle_delta
from workflow_scripts.holdings.texts.targets import TargetName
from workflow_scripts.holdings.windows.lags import lagged
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_table, write_csv


@dataclass(frozen=True)
class Law:
    """The constants of the simulated law for a firm type."""

    drift: float
    persistence: float


@dataclass(frozen=True)
class Settings:
    """The target, and what the oracle of a simulated panel knows."""

    target: TargetName
    oracle: Law | None


def main(args: Namespace) -> str:
    """Write `{forecaster}.csv` for each of `--out`; the file's name is the forecaster's."""
    train, test = pa.concat_tables([read_table(path) for path in args.train]), read_table(args.test)
    forecasts = baseline_forecasts(train, test, args.settings.target)
    held, before = (test[lagged("holding_t", lag)].to_numpy() for lag in (0, 1))
    oracle = args.settings.oracle
    if oracle:
        forecasts["oracle"] = oracle_delta(held, before, oracle.drift, oracle.persistence)
    for out in args.out:
        write_csv(out, prediction_table(test["window_id"].to_pylist(), held, forecasts[Path(out).stem]))
    return f"predict_baselines {args.firm_type}: {', '.join(Path(out).stem for out in args.out)}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        train=cli.FILES,
        test=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.FILES,
    )
