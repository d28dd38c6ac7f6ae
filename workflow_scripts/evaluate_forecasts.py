"""Metrics, quarterly metrics, trimmed debug metrics and figures of one firm type, on identical windows."""

from pathlib import Path

import pandas as pd

from workflow_scripts import cli
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.evaluation import join_predictions, metrics_table, quarterly_table, trimmed_table
from workflow_scripts.holdings.files import read_json, read_jsonl, write_csv
from workflow_scripts.holdings.plots import plot_ic, plot_residuals

# Of the conditions of a stage's completions, what may differ between stages.
WEIGHTS = ("model", "adapter")


def read_joined(dataset: str, predictions: list[str]) -> pd.DataFrame:
    """The long table of test windows and forecasters; a prediction file is named as its forecaster."""
    tables = {Path(path).stem: pd.read_csv(path) for path in predictions}
    return join_predictions(read_jsonl(dataset), tables)


def check_conditions(conditions: dict[str, dict]) -> None:
    """Raise InputError unless all stages answered the same prompts in the same way; keys are the files' names."""
    (first, expected), *others = conditions.items()
    for path, found in others:
        differing = [key for key in expected if key not in WEIGHTS and found[key] != expected[key]]
        if differing:
            raise InputError(f"{path} and {first} differ in {', '.join(differing)}; generate the completions again")


def main(args) -> str:
    """Write three tables and two figures below the folder `--out`."""
    check_conditions({path: read_json(path) for path in args.conditions})
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
        conditions=cli.FILES,
        firm_type=cli.TEXT,
        top_k=cli.INTEGER,
        trim_percentile={"type": float},
        out=cli.TEXT,
    )
