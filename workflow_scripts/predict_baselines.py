"""Forecasts that need no model: no change, and on a simulated panel the oracle of its law."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from workflow_scripts import cli
from workflow_scripts.holdings.files import write_csv
from workflow_scripts.holdings.forecasts import prediction_table
from workflow_scripts.holdings.history import lagged
from workflow_scripts.holdings.simulate import oracle_delta


def main(args) -> str:
    """Write `{forecaster}.csv` for each of `--out`; the file's name is the forecaster's."""
    sample = pq.read_table(args.sample)
    held, before = (sample[lagged("holding_t", lag)].to_numpy() for lag in (0, 1))
    forecasts = {
        "no_change": lambda: np.zeros(len(held)),
        "oracle": lambda: oracle_delta(held, before, args.drift, args.persistence),
    }
    for out in args.out:
        delta = forecasts[Path(out).stem]()
        write_csv(out, prediction_table(sample["window_id"].to_pylist(), held, delta))
    return f"predict_baselines {args.firm_type}: {', '.join(Path(out).stem for out in args.out)}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        sample=cli.TEXT,
        firm_type=cli.TEXT,
        drift={"type": float, "default": 0.0, "help": "oracle: drift of the simulated law"},
        persistence={"type": float, "default": 0.0, "help": "oracle: persistence of the simulated law"},
        out=cli.FILES,
    )
