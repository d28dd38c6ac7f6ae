"""What is not used is not imported: pandas, not even through pyarrow, is half of the time of a small slice."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.conftest import make_panel, make_run
from workflow_scripts.plumbing.code_digest import ROOT

RUN = """
import runpy, sys
runpy.run_module(sys.argv.pop(1), run_name="__main__")
print("pandas imported:", "pandas" in sys.modules)
"""
SPLIT = {"seed": 1, "history_quarters": 4, "period": {}, "next_start": None, "embargo_quarters": 0,
         "needs_active_change": False}  # fmt: skip
SAMPLE = {**SPLIT, "sample": {}}
TRAINING = {"splits": {"sft": SPLIT, "grpo": SPLIT}, "max_windows": 10, "drop_zero_holding": True}

FORECAST = {"seed": 1, "history_quarters": 4, "drop_zero_holding": True, "forecast": {}}


@pytest.fixture
def stages(tmp_path) -> dict[str, dict]:
    """The options of the stages up to the SFT data and their audits, each of which reads what those before it wrote."""
    names = ("banks", "windows", "stocks", "managers", "sft")
    panel, windows, stocks, managers, sample = (tmp_path / f"{name}.parquet" for name in names)
    report, prompts = tmp_path / "report.json", tmp_path / "prompts.jsonl"
    pq.write_table(make_panel([row for m in range(1, 9) for row in make_run(m, 7, [1.0, 2, 3, 4, 5, 6])]), panel)
    read = {"panel": panel, "firm-type": "banks"}
    texts = {"sample": sample, "firm-type": "banks"}
    think = {"template": "", "decimals": 2, "ratio_decimals": 4}
    labels = json.dumps({"target": "holding_delta", "decimals": 2, "think": think, "answer": "number"})
    history = tmp_path / "history.parquet"
    return {
        "check_panel": {**read, "settings": "{}", "out": report, "text": tmp_path / "report.txt"},
        "build_windows": {**read, "report": report, "settings": "{}", "out": windows},
        "build_quarters": {**read, "stocks": stocks, "managers": managers},
        "collect_training_windows": {**read, "tables": [windows, stocks, managers], "settings": json.dumps(TRAINING),
                                     "out": [tmp_path / f"training_{split}.parquet" for split in ("sft", "grpo")]},
        "sample_windows": {**read, "tables": [windows, stocks, managers], "split": "sft",
                           "out": [sample, history], "settings": json.dumps(SAMPLE),
                           "report": tmp_path / "sample.json"},
        "sample_forecast_windows": {**read, "tables": [windows, stocks, managers], "settings": json.dumps(FORECAST),
                                    "out": tmp_path / "newest.parquet", "report": tmp_path / "newest.json"},
        "build_forecast_prompts": {"firm-type": "banks", "sample": tmp_path / "newest.parquet", "settings": "{}",
                                   "out": tmp_path / "newest.jsonl"},
        "build_prompts": {**texts, "split": "sft", "settings": "{}", "out": prompts},
        "build_sft_dataset": {**texts, "prompts": prompts, "settings": labels, "out": tmp_path / "sft.jsonl",
                              "report": tmp_path / "sft.json"},
        "audit_sample": {"windows": windows, "stocks": stocks, "sample": [sample, history], "firm-type": "banks",
                         "split": "sft", "settings": json.dumps({**SAMPLE, "set_aside": []}),
                         "out": tmp_path / "sample.csv"},
        "audit_leakage": {"data": [history, stocks], "samples": sample, "datasets": tmp_path / "sft.jsonl",
                          "firm-type": "banks", "split": "sft",
                          "settings": json.dumps({"seed": 1, "prompts": {}, "think": think, "period": {},
                                                  "next_start": None, "embargo_quarters": 0}),
                          "out": tmp_path / "leakage.csv"},
    }  # fmt: skip


def test_data_stages_start_without_pandas(stages):
    for stage, options in stages.items():
        values = {name: value if isinstance(value, list) else [value] for name, value in options.items()}
        arguments = [text for name, parts in values.items() for text in (f"--{name}", *map(str, parts))]
        command = [sys.executable, "-c", RUN, f"workflow_scripts.{stage}", *arguments]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.stdout.endswith("pandas imported: False\n"), f"{stage}: {result.stdout}{result.stderr}"


def test_who_needs_pandas_after_all_gets_it():
    code = """
import pyarrow as pa
from workflow_scripts.plumbing import cli
cli.without_pandas()
frame = pa.table({"a": [1.5, None]}).to_pandas()
print(pa.array(frame["a"]).null_count, pa.Table.from_pandas(frame).column_names)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "1 ['a']\n", result.stderr


def test_a_run_starts_without_what_only_its_jobs_need():
    """The process that reads a configuration and plans; SciPy alone would be a tenth of its time."""
    code = """
import sys
import workflow_scripts.settings.checks, workflow_scripts.settings.reading, workflow_scripts.settings.uses
print([name for name in ("matplotlib", "scipy", "scoringrules", "sklearn", "torch") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stdout + result.stderr
