"""A run that names a base run makes what differs, and nothing else; then both can be compared."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from tests.integration.reruns import CONFIG, SETTINGS
from tests.project import Project, copy_of, tiny_config
from workflow_scripts.plumbing.files import file_digest, read_json

CHANGES = [
    {"grpo": {"beta": 0.1}},
    {"sft": {"learning_rate": 0.001}},
    {"labels": {"think": "none"}},
    {"prompts": {"identity": "hidden"}},
    {"prompts": {"target": "active_delta"}},
    {"generation": {"max_tokens": 25}},
    {"evaluation": {"confidence": 0.9}},
]
# What a run says of itself is its own in any case.
OWN = {**CONFIG, "summarize_panel": 1}


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory) -> Project:
    return copy_of(finished, tmp_path_factory.mktemp("base_run"))


def ablation(name: str, **changes) -> dict:
    return tiny_config(run=name, base_run="tiny", **changes)


@pytest.mark.parametrize("change", CHANGES, ids=json.dumps)
def test_the_plan_is_that_of_the_setting_changed_in_the_run_itself(project, change):
    """Whatever differs: as many jobs of each rule as `reruns.py` expects of the base run, were it changed there."""
    expected = next(jobs for changed, jobs in SETTINGS if changed == change)
    name = f"plan{CHANGES.index(change)}"
    assert project.plan(ablation(name, **change)) == {**expected, **OWN}


def test_a_learning_rate_of_grpo_trains_grpo_alone(project):
    plan = project.plan(ablation("rate", grpo={"learning_rate": 0.001}))
    assert plan["train_grpo"] == plan["generate_completions"] == 2, "of two firm types"
    assert not {"simulate_panel", "build_windows", "sample_windows", "build_prompts", "train_sft"} & set(plan)


def test_another_panel_is_refused_with_the_settings(project):
    config = ablation("other", simulation={"managers": 9}, seed=7)
    result = project.told(*project.arguments(config, "-n"))
    assert result.returncode != 0
    said = "base_run: tiny has another panel or other windows, so that nothing of it can be taken: "
    assert said + "seed (1 there, 7 here), simulation.managers (8 there, 9 here)." in result.stdout + result.stderr
    assert not (project.root / "results/other").exists()


def test_a_base_run_that_is_not_there_is_an_error(project):
    result = project.told(*project.arguments(tiny_config(run="lost", base_run="never")))
    assert "base_run: results/never/config.yaml does not exist" in result.stdout + result.stderr
    assert result.returncode != 0


@pytest.fixture(scope="module")
def ablated(project) -> Project:
    """GRPO with another learning rate has been trained and evaluated on what the tiny run had made."""
    before = digests(project, "tiny")
    result = project.run(ablation("faster", grpo={"learning_rate": 0.01}))
    assert result.returncode == 0, result.stdout + result.stderr
    assert digests(project, "tiny") == before, "the base run is as it was"
    return project


def digests(project: Project, run: str) -> dict[str, str]:
    folder = project.root / "results" / run
    return {str(path.relative_to(folder)): file_digest(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_what_is_the_same_is_the_same_file_and_what_differs_is_new(ablated):
    own, base = (ablated.root / "results" / run / "banks" for run in ("faster", "tiny"))
    for name in ("windows.parquet", "datasets/grpo.jsonl", "completions/base.jsonl", "adapters/sft/manifest.json"):
        assert (own / name).samefile(base / name), name
    for name in ("adapters/grpo/adapter_model.safetensors", "completions/grpo.jsonl", "evaluation/comparisons.csv"):
        assert not os.path.samefile(own / name, base / name), name
    rates = [read_json(folder / "adapters/grpo/manifest.json")["identity"]["options"]["learning_rate"]
             for folder in (own, base)]  # fmt: skip
    assert rates == [0.01, tiny_config()["grpo"]["learning_rate"]]
    assert ablated.plan(ablation("faster", grpo={"learning_rate": 0.01})) == {}


@pytest.mark.slow
def test_a_training_that_is_the_same_is_published_from_the_store(ablated):
    """Its gate has run again, and so it is queued; the store came along, too."""
    config = ablation("gate", preflight={"max_dead_groups": 0.99})
    target = "results/gate/banks/adapters/grpo/adapter_model.safetensors"
    result = ablated.run(config, target)
    assert result.returncode == 0, result.stdout + result.stderr
    log = (ablated.root / "results/gate/logs/train_grpo/banks.grpo.log").read_text()
    assert "was trained before" in log


@pytest.mark.slow
def test_nothing_of_the_base_run_stays_under_the_name_of_a_run_that_fails(ablated):
    """GRPO cannot be trained; no forecast, completion or adapter of the base run's GRPO stands where its own would."""
    config = ablation("failing", grpo={"max_length": 20})
    assert ablated.run(config).returncode != 0
    own = ablated.root / "results/failing/banks"
    assert (own / "adapters/sft/manifest.json").is_file()
    left = [path for path in own.rglob("*") if path.is_file() and ("grpo" in path.stem or "adapters/grpo" in str(path))]
    expected = {"datasets", "samples", "histories", "prompts", "training_windows", "audit", "preflight"}
    assert {path.parent.name for path in left} <= expected
    assert not (own / "evaluation/forecasts.csv").exists()


@pytest.mark.slow
def test_the_ablation_is_compared_with_its_base_run(ablated):
    """The differences are those of the forecasts of both runs."""
    command = [sys.executable, "-m", "workflow_scripts.settings.compare_runs", "--runs", "tiny", "faster"]
    result = subprocess.run(command, cwd=ablated.root, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    out = ablated.root / "results/compare/tiny_faster"
    assert (out / "compare.html").is_file()
    rows = pd.read_csv(out / "comparisons.csv").query("firm_type == 'banks' and forecaster == 'grpo'")
    row = rows[(rows["target"] == "change") & (rows["metric"] == "MAE")].iloc[0]
    means = []
    for run in ("tiny", "faster"):
        table = pd.read_csv(ablated.root / "results" / run / "banks/evaluation/forecasts.csv")
        grpo = table[table["forecaster"] == "grpo"]
        means.append((grpo["predicted_delta_musd"].fillna(0) - grpo["label_delta_musd"]).abs().mean())
    assert row["difference"] == pytest.approx(means[1] - means[0])
    base = pd.read_csv(out / "comparisons.csv").query("forecaster == 'base'")
    assert (base["difference"].dropna() == 0).all(), "both have the same completions of the base model"
    runs = pd.read_csv(out / "runs.csv")
    assert list(runs.columns[:3]) == ["firm_type", "run", "grpo.learning_rate"]
