"""CPU seconds, wall time and peak memory of the evaluation of a firm type, whole processes.

    make benchmark-evaluation                          10^5 windows
    make benchmark-evaluation WINDOWS="1000 10000"     other sizes

The test dataset and the predictions of all forecasters are made up, the same in every run; the settings are the
defaults, and the processes have one thread for linear algebra, as a job has. With `--keep FOLDER` inputs and outputs
stay in `FOLDER/{windows}`, so that those of two versions of the code can be compared (`diff -r`).
"""

import argparse
import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.data_stages import Cost, measured
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.forecasts.quantiles import with_quantiles
from workflow_scripts.holdings.forecasts.stages import STAGES
from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.texts.answers import LEVELS
from workflow_scripts.plumbing.files import write_csv, write_json, write_jsonl

FIRM_TYPE = "banks"
FIRST_QUARTER = 8076  # 2019Q1
QUARTERS = 20
MANAGERS = 1000
SAMPLES = 4
SPREAD = np.linspace(-1.6, 1.6, len(LEVELS))
# As long as the prompt of four quarters.
PROMPT = "holding=12.25 price=20.5 " * 50


def test_rows(windows: int, generator: np.random.Generator) -> list[dict]:
    """Rows of datasets/test.jsonl: positions over six orders of magnitude, exits, unknown active changes, ties."""
    held = np.round(np.exp(generator.normal(0, 2.5, windows)) + 1e-6, 6)
    relative = generator.standard_t(3, windows) * 0.2
    kind = generator.random(windows)
    # A tenth exits, a tenth keeps its shares.
    traded = np.where(kind < 0.1, -held, np.where(kind < 0.2, 0.0, np.maximum(relative, -1.0) * held))
    later = np.round((held + traded) * np.exp(generator.normal(0, 0.1, windows)), 6)
    unknown = generator.random(windows) < 0.03
    managers = np.minimum(generator.zipf(1.3, windows), 10**6) % MANAGERS
    quarters = FIRST_QUARTER + generator.integers(QUARTERS, size=windows)
    labels = quarter_labels(quarters)
    messages = [{"role": "system", "content": "You manage."}, {"role": "user", "content": PROMPT}]
    return [
        {
            "window_id": f"{FIRM_TYPE}-{managers[i]}-{10_000 + i}-{labels[i]}",
            "messages": messages,
            "firm_type": FIRM_TYPE,
            "mgrno": int(managers[i]),
            "permno": 10_000 + i,
            "quarter": int(quarters[i]),
            "label_delta": float(later[i] - held[i]),
            "label_tp1": float(later[i]),
            "holding_t": float(held[i]),
            "past_change": 0.0,
            "label_active": None if unknown[i] else float(traded[i]),
        }
        for i in range(windows)
    ]


def predictions(rows: list[dict], generator: np.random.Generator) -> dict[str, pd.DataFrame]:
    """A table per forecaster: baselines answer always and in all digits, stages in cents and not always."""
    ids = [row["window_id"] for row in rows]
    held, truth = (np.array([row[name] for row in rows]) for name in ("holding_t", "label_delta"))
    tables = {}
    for strength, name in enumerate((*BASELINES, *STAGES)):
        noise = generator.normal(0, 0.2, len(rows)) * held
        delta = np.maximum(0.02 * strength * truth + noise, -held) if name != "no_change" else 0 * held
        tables[name] = prediction_table(ids, held, delta)
        tables[name] = with_quantiles(
            tables[name], np.maximum(delta[:, None] + 0.2 * SPREAD * held[:, None], -held[:, None])
        )
        if name in STAGES:
            parsed, valid, cut = (generator.binomial(SAMPLES, p, len(rows)) / SAMPLES for p in (0.7, 0.9, 0.05))
            delta = np.where(parsed > 0, np.round(delta, 2), np.nan)
            shares = {"parsed_share": parsed, "valid_share": parsed * valid, "bound_share": parsed * valid}
            columns = {**shares, "truncated_share": cut, "samples": SAMPLES, "parsed": parsed > 0}
            tables[name] = tables[name].assign(predicted_delta=delta, predicted_tp1=held + delta, **columns)
    return tables


def make_inputs(folder: Path, windows: int) -> None:
    """datasets/test.jsonl, predictions/{forecaster}.csv and completions/{stage}.json below the folder."""
    generator = np.random.default_rng(windows)
    rows = test_rows(windows, generator)
    write_jsonl(folder / "datasets/test.jsonl", rows)
    for name, table in predictions(rows, generator).items():
        write_csv(folder / f"predictions/{name}.csv", table)
    write_csv(folder / "baseline_choice.csv", pd.DataFrame({"forecaster": ["ridge"], "chosen": [True]}))
    for stage in STAGES:
        write_json(folder / f"completions/{stage}.json", {"prompts": "made up", "model": stage, "adapter": None})


def commands(folder: Path) -> dict[str, list]:
    """The stages as their rules call them."""
    files = [folder / f"predictions/{name}.csv" for name in (*BASELINES, *STAGES)]
    conditions = [folder / f"completions/{stage}.json" for stage in STAGES]
    out = folder / "evaluation"
    evaluation = {"metrics": {}, "sources": {}, "base_models": {}}
    forecasts = ("--forecasts", out / "forecasts.csv", "--firm-type", FIRM_TYPE)
    return {
        "evaluate_forecasts": [
            *("--dataset", folder / "datasets/test.jsonl", "--predictions", *files, "--conditions", *conditions),
            *("--firm-type", FIRM_TYPE, "--settings", json.dumps(evaluation), "--out", out),
        ],
        "trim_metrics": [
            *(*forecasts, "--settings", json.dumps({"metrics": {}, "trim_percentile": 95})),
            *("--out", out / "metrics_trimmed.csv"),
        ],
        "score_periods": [
            *(*forecasts, "--settings", json.dumps({"metrics": {}, "knowledge_cutoff": "2021-12-31"})),
            *("--out", out / "metrics_by_period.csv"),
        ],
        "compare_forecasts": [
            *(*forecasts, "--origins", out / "origins.csv"),
            *("--choice", folder / "baseline_choice.csv", "--settings", json.dumps({"confidence": 0.95})),
            *("--out", *(out / f"{name}.csv" for name in ("comparisons", "skill", "combinations"))),
        ],
        "evaluate_distributions": [
            *(*forecasts, "--predictions", *files),
            *("--settings", json.dumps({"target": "holding_delta", "confidence": 0.95}), "--out", out),
        ],
    }


def benchmark(windows: int, folder: Path) -> None:
    """Make the inputs, run the stages one after the other, and print the figures."""
    make_inputs(folder, windows)
    figures = {
        name: measured(["-m", f"workflow_scripts.{name}", *options])[0] for name, options in commands(folder).items()
    }
    figures["all"] = functools.reduce(Cost.__add__, figures.values())
    print(f"{windows:,} windows, {len(BASELINES) + len(STAGES)} forecasters, {QUARTERS} quarters, {MANAGERS} managers")
    print(f"{'process':<24}{'user CPU s':>12}{'wall s':>9}{'peak MB':>9}")
    for name, cost in figures.items():
        print(f"{name:<24}{cost.user:>12.2f}{cost.wall:>9.2f}{cost.memory:>9,.0f}", flush=True)


def main() -> None:
    """Measure in a temporary folder, or in one that is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", nargs="+", type=int, default=[100_000])
    parser.add_argument("--keep", type=Path, help="folder in which inputs and outputs stay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evaluation-") as temporary:
        for windows in arguments.windows:
            benchmark(windows, (arguments.keep or Path(temporary)).resolve() / str(windows))


if __name__ == "__main__":
    main()
