"""A grid file makes runs and a page that compares them; one line of seeds makes a run of each. Base model alone."""

import subprocess
import sys

import pandas as pd
import pytest

from tests.integration.test_rolling import config
from tests.project import Project, copy_of, job_counts

pytestmark = pytest.mark.slow
GRID = """
axes:
  generation.max_tokens: [4, 24]
curve: max_tokens
"""


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory) -> Project:
    return copy_of(finished, tmp_path_factory.mktemp("grid"))


def driven(project: Project, module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"workflow_scripts.settings.{module}", *arguments, "--cores", "2"]
    result = subprocess.run(command, cwd=project.root, env=project.environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_the_runs_of_a_grid_share_what_is_the_same_and_are_compared(project):
    (project.root / "lengths.yaml").write_text(GRID)
    arguments = ["--grid", "lengths.yaml", "--configfile", str(project.write(config(run="cut")))]
    driven(project, "make_grid", *arguments)
    first, second = (project.root / "results" / f"cut-max_tokens{tokens}" for tokens in (4, 24))
    rules = {path.name for path in (second / "logs").iterdir() if path.is_dir()}
    assert "generate_completions" in rules
    assert not {"simulate_panel", "build_windows", "sample_windows", "build_prompts", "predict_baselines"} & rules
    assert (second / "banks/datasets/test.jsonl").samefile(first / "banks/datasets/test.jsonl")
    out = project.root / "results/compare/cut-lengths"
    assert (out / "compare.html").is_file()
    rows = pd.read_csv(out / "comparisons.csv")
    assert set(rows["baseline"]) == {"cut-max_tokens4"}
    assert set(rows["candidate"]) == {"cut-max_tokens24"}
    curve = pd.read_csv(out / "curve.csv")
    assert curve["x"].tolist() == [4, 24]
    assert curve["skill"].iloc[0] == 0, "nothing was read of four tokens: no change"
    again = driven(project, "make_grid", *arguments)
    assert again.count("Nothing to be done") == 2


def test_one_line_of_seeds_makes_a_run_of_each_and_their_mean(project):
    path = str(project.write(config(run="often", seed=5, seeds=[5, 6])))
    driven(project, "make_seeds", "--configfile", path)
    metrics = [pd.read_csv(project.root / "results" / run / "summary/metrics.csv") for run in ("often", "often-seed6")]
    keys = {"forecaster": "ridge", "target": "change", "treatment": "unparsed_as_no_change"}
    values = [table.loc[(table[list(keys)] == pd.Series(keys)).all(axis=1), "MAE"].item() for table in metrics]
    assert values[0] != values[1], "another seed is another panel"
    seeds = pd.read_csv(project.root / "results/often/summary/metrics_over_seeds.csv")
    row = seeds.query("forecaster == 'ridge' and target == 'change' and metric == 'MAE'").iloc[0]
    assert row["mean"] == pytest.approx(sum(values) / 2)
    assert row["by_seed"] == f"5: {values[0]:.4g}; 6: {values[1]:.4g}"
    assert job_counts(driven(project, "make_seeds", "--configfile", path, "-n")) == {}
