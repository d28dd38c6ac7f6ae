"""Recipes are planned over the production config, and what they say is what ms-swift trains with."""

import json
import math

import pytest
import yaml

from tests.project import Project, checkout, job_counts, merged, tiny_config
from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.plumbing.code_digest import ROOT

OVERLAYS = sorted((ROOT / "config/recipes").glob("*.yaml"))
# Two updates, whatever the recipe's batch.
SHORT = {"max_steps": 2, "save_steps": 1, "max_completion_length": 24}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return checkout(tmp_path_factory.mktemp("recipes"))


@pytest.mark.parametrize("recipe", OVERLAYS, ids=lambda path: path.stem)
def test_a_recipe_is_planned_over_the_production_config(project, recipe):
    """The command of the README: both files are merged, and all results go below the recipe's own run."""
    arguments = ["-n", "--cores", "1", "--configfile", "config/config.yaml", f"config/recipes/{recipe.name}"]
    result = project.told(*arguments)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    jobs = job_counts(output)
    assert jobs["train_sft"] == jobs["train_grpo"] == len(FIRM_TYPES)
    assert f"results/{recipe.stem}/banks/adapters/grpo/" in output
    assert "results/production/" not in output


def recipe(name: str) -> dict:
    return yaml.safe_load((ROOT / f"config/recipes/{name}.yaml").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        recipe("dapo"),
        recipe("gspo"),
        {"grpo": {"loss_type": "sapo", "scale_rewards": "none", "extra_args": {"tau_neg": 1.1}}},
        {"grpo": {"loss_type": "cispo", "epsilon_high": 5.0, "scale_rewards": "gdpo", "steps_per_generation": 2}},
    ],
    ids=["dapo", "gspo", "sapo", "cispo"],
)
def test_ms_swift_trains_by_a_recipe(edited, changes):
    """Its own record of the options has each of the recipe's words, and two finite steps were logged."""
    config = merged(tiny_config(firm_types=["banks"]), {**changes, "run": "tiny"})
    config["grpo"] |= SHORT
    result = edited.run(config, "results/tiny/banks/adapters/grpo/manifest.json")
    assert result.returncode == 0, result.stdout + result.stderr
    folder = edited.results("banks/adapters/grpo")
    options = json.loads((folder / "manifest.json").read_text())["identity"]["options"]
    words = dict(changes["grpo"])
    words |= words.pop("extra_args", {})
    for name, value in words.items():
        assert options[name] == value, name
    steps = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    assert [math.isfinite(step["loss"]) for step in steps if "loss" in step] == [True, True]
