"""Rolling origin: a run per test year, and one that evaluates their test windows together and trains nothing."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from tests.project import Project, copy_of, tiny_config
from workflow_scripts.plumbing.files import iterate_jsonl

YEARS = ("2019", "2020")


def config(**changes) -> dict:
    """Base model and baselines alone: what is trained in each year is trained as in any run."""
    own = {
        "run": "rolled",
        "firm_types": ["banks"],
        "model": {"path": "results/tiny/demo_model"},
        "evaluation": {"stages": ["base"]},
        "sample": {"test": {"per_type_limit": 6}},
    }
    return tiny_config(**(own | changes))


def roll(project: Project, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "workflow_scripts.settings.roll_origins"]
    command += ["--configfile", str(project.write(config()))]
    command += ["--years", *YEARS, "--grpo-years", "1", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=project.root, env=project.environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def rolled(finished, tmp_path_factory) -> Project:
    project = copy_of(finished, tmp_path_factory.mktemp("rolled"))
    result = roll(project)
    assert result.returncode == 0, result.stdout + result.stderr
    return project


def folder(project: Project, run: str):
    return project.root / "results" / run / "banks"


@pytest.mark.slow
def test_all_years_are_evaluated_together(rolled):
    """Every year's windows and forecasts are there once, with the metrics that those rows give; nothing was trained."""
    parts = [pd.read_csv(folder(rolled, f"rolled-{year}") / "evaluation/forecasts.csv") for year in YEARS]
    assert [set(part["quarter"].str[:4]) for part in parts] == [{year} for year in YEARS]
    together = pd.read_csv(folder(rolled, "rolled") / "evaluation/forecasts.csv")
    keys = ["forecaster", "window_id"]
    expected = pd.concat(parts).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(together.sort_values(keys, ignore_index=True), expected)
    metrics = pd.read_csv(folder(rolled, "rolled") / "evaluation/metrics.csv").query("treatment == treatment.iloc[0]")
    row = metrics[(metrics["forecaster"] == "base") & (metrics["target"] == "change")].iloc[0]
    base = expected[expected["forecaster"] == "base"]
    errors = (base["predicted_delta_musd"].fillna(0) - base["label_delta_musd"]).abs()
    assert row["MAE"] == pytest.approx(errors.mean())
    assert row["n_quarters"] == base["quarter"].nunique() > 4, "more than one year has"
    rules = {path.name for path in (rolled.root / "results/rolled/logs").iterdir() if path.is_dir()}
    assert "pool_runs" in rules
    assert not {"sample_windows", "generate_completions", "train_sft", "predict_baselines"} & rules
    assert (rolled.root / "results/rolled/summary/report.html").is_file()
    first = folder(rolled, "rolled-2019") / "evaluation/baseline_choice.csv"
    assert (folder(rolled, "rolled") / "evaluation/baseline_choice.csv").read_text() == first.read_text()


@pytest.mark.slow
def test_the_training_quarters_expand(rolled):
    """GRPO learns the year before the test, SFT all before that, from the panel's first quarter."""
    for year in YEARS:
        samples = {
            split: sorted({row["quarter"] // 4 for row in iterate_jsonl(path)})
            for split in ("test",)
            for path in [folder(rolled, f"rolled-{year}") / f"datasets/{split}.jsonl"]
        }
        assert samples["test"] == [int(year)]
        report = json.loads((folder(rolled, f"rolled-{year}") / "samples/sft.json").read_text())
        spans = [bucket["quarters"] for bucket in report["buckets"]]
        assert spans[0].startswith("2014")
        assert spans[-1].endswith(f"{int(year) - 2}Q4")


@pytest.mark.slow
def test_nothing_is_done_twice_and_other_runs_are_refused(rolled):
    again = roll(rolled, "-n")
    assert again.returncode == 0, again.stdout + again.stderr
    assert (again.stdout + again.stderr).count("Nothing to be done") == 3
    overlapping = config(evaluation={"stages": ["base"], "rolling_runs": ["rolled-2019", "rolled-2019b"]})
    missing = rolled.run(overlapping)
    assert "evaluation.rolling_runs: results/rolled-2019b/config.yaml does not exist" in missing.stdout + missing.stderr
    other = config(
        evaluation={"stages": ["base"], "rolling_runs": [f"rolled-{year}" for year in YEARS]}, prompts={"decimals": 2}
    )
    refused = rolled.run(other)
    assert refused.returncode != 0
    assert "differs from rolled-2019 in prompts" in refused.stdout + refused.stderr
