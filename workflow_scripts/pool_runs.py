"""Put the test windows of several runs together: what each answered on quarters of its own becomes one test.

The runs are those of a rolling origin (`roll_origins`): the same configuration with other splits. Test rows,
completions and forecasts are strung together in the order of the runs. Under which conditions models answered, and
which baseline was the best before the test quarters, is what the first run says, whose test quarters come first. Fails
where the runs differ in anything but their splits, or share a test window.
"""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from workflow_scripts.holdings.report.summary import check_same_settings
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import iterate_jsonl, read_csv, read_json, write_csv, write_json, write_jsonl

# What the runs of a rolling origin differ in.
ROLLED_KEYS = ("run", "base_run", "splits", "evaluation.rolling_runs")


@dataclass(frozen=True)
class Settings:
    """Names of the forecasters that complete prompts, and of all others."""

    models: list[str]
    others: list[str]


def _test_rows(folders: list[Path]) -> Iterator[dict]:
    """The test rows of all runs; InputError where one comes twice."""
    seen: dict[str, Path] = {}
    for folder in folders:
        for row in iterate_jsonl(folder / "datasets/test.jsonl"):
            if other := seen.get(row["window_id"]):
                raise InputError(
                    f"evaluation.rolling_runs: {row['window_id']} is a test window of {other} and of {folder}; the "
                    "test quarters of the runs must not overlap"
                )
            seen[row["window_id"]] = folder
            yield row


def _origins(folder: Path, model: str) -> dict:
    """Conditions of a model in the first run, without its adapter, which is another one in each."""
    return read_json(folder / f"completions/{model}.json") | {"adapter": None}


def main(args: Namespace) -> str:
    """Write test rows, completions, conditions, forecasts and the baseline's choice below the folder `--out`."""
    runs, out, settings = [Path(run) for run in args.runs], Path(args.out), args.settings
    configs = {run.name: yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")) for run in runs}
    configs["this run"] = yaml.safe_load(Path(args.config).read_text(encoding="utf-8"))
    check_same_settings(configs, ROLLED_KEYS, "evaluation.rolling_runs")
    folders = [run / args.firm_type for run in runs]
    write_jsonl(out / "datasets/test.jsonl", _test_rows(folders))
    for model in settings.models:
        name = f"completions/{model}.jsonl"
        write_jsonl(out / name, (row for folder in folders for row in iterate_jsonl(folder / name)))
        write_json(out / f"completions/{model}.json", _origins(folders[0], model))
    for forecaster in settings.others:
        name = f"predictions/{forecaster}.csv"
        write_csv(out / name, pd.concat([read_csv(folder / name) for folder in folders], ignore_index=True))
    choice = "evaluation/baseline_choice.csv"
    write_csv(out / choice, read_csv(folders[0] / choice))
    return f"pool_runs {args.firm_type}: {', '.join(configs)}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        runs=cli.FILES,
        config={**cli.TEXT, "help": "the resolved configuration of this run"},
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
