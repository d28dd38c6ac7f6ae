"""Metrics, quarterly metrics, trimmed debug metrics and figures of one firm type, on identical windows."""

from pathlib import Path

import pandas as pd

from workflow_scripts import cli
from workflow_scripts.holdings.evaluation import join_predictions, metrics_table, quarterly_table, trimmed_table
from workflow_scripts.holdings.files import read_jsonl, write_csv
from workflow_scripts.holdings.plots import plot_ic, plot_residuals


def read_joined(dataset: str, predictions: list[str]) -> pd.DataFrame:
    """The long table of test windows and forecasters; a prediction file is named as its forecaster."""
    tables = {Path(path).stem: pd.read_csv(path) for path in predictions}
    return join_predictions(read_jsonl(dataset), tables)


def main(args) -> str:
    """Write three tables and two figures below the folder `--out`."""
    joined = read_joined(args.dataset, args.predictions)
    out = Path(args.out)
    metrics = metrics_table(joined, args.top_k)
    metrics.insert(0, "firm_type", args.firm_type)
    quarterly = quarterly_table(joined, args.top_k)
    write_csv(out / "metrics.csv", metrics)
    write_csv(out / "metrics_by_quarter.csv", quarterly)
    write_csv(out / "metrics_trimmed.csv", trimmed_table(joined, args.top_k, args.trim_percentile))
    plot_residuals(joined, f"{args.firm_type}: residuals", out / "residuals.png")
    plot_ic(quarterly, f"{args.firm_type}: IC by quarter", out / "ic_by_quarter.png")
    return f"evaluate_forecasts {args.firm_type}: {joined['forecaster'].nunique()} forecasters"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        dataset=cli.TEXT,
        predictions=cli.FILES,
        firm_type=cli.TEXT,
        top_k=cli.INTEGER,
        trim_percentile={"type": float},
        out=cli.TEXT,
    )
