"""Forecasts that need no language model, fitted on the training quarters; on a simulated panel also the oracle.

The windows of the test sample are forecast; none of its labels is read. The quantiles around a forecast are what it was
wrong by on the GRPO sample, fitted on the SFT quarters (`holdings/forecasts/residual_bands.py`).
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from workflow_scripts.holdings.forecasts.baselines import Array, baseline_forecasts
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.forecasts.quantiles import with_quantiles
from workflow_scripts.holdings.forecasts.residual_bands import residual_bands, residual_quantiles
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


def all_forecasts(train: Sequence[pa.Table], asked: pa.Table, settings: Settings) -> dict[str, Array]:
    """The baselines' forecasts of the windows that are asked for, and the oracle's; $ million, shape (n,) each."""
    forecasts, oracle = baseline_forecasts(pa.concat_tables(train), asked, settings.target), settings.oracle
    if oracle:
        held, before = (asked[lagged("holding_t", lag)].to_numpy() for lag in (0, 1))
        forecasts["oracle"] = oracle_delta(held, before, oracle.drift, oracle.persistence)
    return forecasts


def main(args: Namespace) -> str:
    """Write `{forecaster}.csv` for each of `--out`; the file's name is the forecaster's."""
    train, test, settings = [read_table(path) for path in args.train], read_table(args.test), args.settings
    later = read_table(args.later)
    forecasts = all_forecasts(train, test, settings)
    residuals = residual_quantiles(later, all_forecasts(train[:-1], later, settings), settings.target)
    bands = residual_bands(test, forecasts, residuals)
    ids, held = test["window_id"].to_pylist(), test[lagged("holding_t", 0)].to_numpy()
    for out in args.out:
        name = Path(out).stem
        write_csv(out, with_quantiles(prediction_table(ids, held, forecasts[name]), bands[name]))
    return f"predict_baselines {args.firm_type}: {', '.join(Path(out).stem for out in args.out)}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        train={**cli.FILES, "help": "what the baselines are fitted on, by split in their order"},
        later={**cli.TEXT, "help": "the sample of the last of these splits, whose residuals make the bands"},
        test=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.FILES,
    )
