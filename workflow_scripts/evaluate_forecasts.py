"""Tables of one firm type: all forecasters on identical windows.

Steps: refuse stages that answered under different conditions → join forecasts and truth by window_id → metrics, by
quarter, by size decile, by period, trimmed, coverage. Every later table and figure starts from `forecasts.csv`.
"""

import datetime as dt
from pathlib import Path

from workflow_scripts import cli
from workflow_scripts.holdings import evaluation
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.files import read_csv, read_json, read_jsonl, write_csv

# Of the conditions of a stage's completions, what may differ between stages.
WEIGHTS = ("model", "adapter")


def check_conditions(conditions: dict[str, dict]) -> None:
    """Raise InputError unless all stages answered the same prompts in the same way; keys are the files' names."""
    (first, expected), *others = conditions.items()
    for path, found in others:
        differing = [key for key in expected if key not in WEIGHTS and found[key] != expected[key]]
        if differing:
            raise InputError(f"{path} and {first} differ in {', '.join(differing)}; generate the completions again")


def main(args) -> str:
    """Write the tables below the folder `--out`; a prediction file is named as its forecaster."""
    check_conditions({path: read_json(path) for path in args.conditions})
    predictions = {Path(path).stem: read_csv(path) for path in args.predictions}
    joined = evaluation.join_predictions(read_jsonl(args.dataset), predictions)
    tables = {
        "forecasts": evaluation.with_units(joined),
        "metrics": evaluation.metrics_table(joined, args.settings),
        "metrics_by_quarter": evaluation.quarterly_table(joined, args.settings),
        "metrics_by_size": evaluation.size_table(joined, args.settings),
        "metrics_by_period": evaluation.period_table(joined, args.settings, args.knowledge_cutoff),
        "metrics_trimmed": evaluation.trimmed_table(joined, args.settings),
        "coverage": evaluation.coverage_table(joined),
    }
    for name, table in tables.items():
        table.insert(0, "firm_type", args.firm_type)
        write_csv(Path(args.out) / f"{name}.csv", table)
    windows = joined["window_id"].nunique()
    return f"evaluate_forecasts {args.firm_type}: {len(predictions)} forecasters, {windows:,} windows"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        dataset=cli.TEXT,
        predictions=cli.FILES,
        conditions=cli.FILES,
        firm_type=cli.TEXT,
        settings=cli.settings_option(evaluation.EvaluationSettings),
        knowledge_cutoff={
            "type": lambda text: None if text == "unknown" else dt.date.fromisoformat(text),
            "help": "last day of the base model's knowledge, or unknown",
        },
        out=cli.TEXT,
    )
