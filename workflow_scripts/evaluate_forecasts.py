"""Tables of one firm type: all forecasters on identical windows.

Steps: refuse stages that answered under different conditions → join forecasts and truth by window_id → metrics, by
quarter, by size decile; coverage; where forecasters come from. Every later table and figure starts from
`forecasts.csv`.
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.holdings.evaluation import tables as evaluation
from workflow_scripts.holdings.evaluation.conditions import check_conditions, origins
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import iterate_jsonl, read_csv, read_json, write_csv


@dataclass(frozen=True)
class Settings:
    """Constants of the metrics, and origins of forecasters.

    `sources` are the paths of the user's own forecasters, `base_models` the models of those that complete prompts.
    """

    metrics: EvaluationSettings
    sources: dict[str, str]
    base_models: dict[str, str]


def main(args: Namespace) -> str:
    """Write the tables below the folder `--out`; a prediction file is named as its forecaster."""
    sources, base_models = args.settings.sources, args.settings.base_models
    conditions = {Path(path).stem: read_json(path) for path in args.conditions}
    check_conditions(conditions, own=sources)
    predictions = {Path(path).stem: read_csv(path) for path in args.predictions}
    joined = evaluation.join_predictions(iterate_jsonl(args.dataset), predictions)
    settings = args.settings.metrics
    quarterly = evaluation.quarterly_table(joined, settings)
    tables = {
        "forecasts": evaluation.with_units(joined),
        "metrics": evaluation.metrics_table(joined, settings, quarterly),
        "metrics_by_quarter": quarterly,
        "metrics_by_size": evaluation.size_table(joined, settings),
        "coverage": evaluation.coverage_table(joined),
        "origins": origins(predictions, conditions, sources, base_models),
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
        conditions={**cli.OPTIONAL_FILES, "help": "of the forecasters that complete prompts"},
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
