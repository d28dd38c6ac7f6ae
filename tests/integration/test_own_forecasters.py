"""Forecasters of one's own in a second run: adapters of the first one, a file of forecasts, and only some stages.

The second run trains nothing: what it answers can be held against the first one's tables.
"""

import filecmp

import pandas as pd
import pytest

from tests.project import Project, copy_of, tiny_config
from workflow_scripts.holdings.evaluation.forecaster_pairs import forecaster_pairs
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.plumbing.files import read_json

pytestmark = pytest.mark.slow
ADAPTERS = {
    "first_sft": {"path": "results/tiny/{firm_type}/adapters/sft", "base_model": "results/tiny/demo_model"},
    "first_grpo": {
        "path": "results/tiny/{firm_type}/adapters/grpo",
        "base_model": "results/tiny/{firm_type}/merged/sft",
    },
}


def second_config(**changes) -> dict:
    config = {
        "run": "second",
        "firm_types": ["banks"],
        "model": {"path": "results/tiny/demo_model"},
        "evaluation": {"stages": ["base"]},
        "adapters": ADAPTERS,
        "forecasts": {"my_ridge": "mine/{firm_type}.csv"},
    }
    return tiny_config(**(config | changes))


@pytest.fixture(scope="module")
def second(finished, tmp_path_factory) -> Project:
    """A second run beside the first one, in a copy of its folder."""
    project = copy_of(finished, tmp_path_factory.mktemp("second"))
    ridge = pd.read_csv(project.results("banks/predictions/ridge.csv"), dtype=str)
    (project.root / "mine").mkdir()
    # In another order, and with its quantiles under another name of the first.
    quantiles = ["q05", "q10", "q25", "q50", "q75", "q90", "q95"]
    ridge = ridge[["window_id", "predicted_delta", *quantiles]].iloc[::-1].rename(columns={"q05": "q5"})
    ridge.to_csv(project.root / "mine/banks.csv", index=False)
    result = project.run(second_config())
    assert result.returncode == 0, result.stdout + result.stderr
    assert "rule train_" not in result.stdout + result.stderr
    return project


def test_an_adapter_of_an_earlier_run_answers_as_it_did_there(second):
    """The same texts, and conditions that say the same base model below the merge."""
    for name in ("base", "sft", "grpo"):
        own = name if name == "base" else f"first_{name}"
        folder = second.root / "results/second/banks/completions"
        assert filecmp.cmp(folder / f"{own}.jsonl", second.results(f"banks/completions/{name}.jsonl"), shallow=False)
        # How a model is told to be read is the same; of the conditions the digest is enough.
        assert read_json(folder / f"{own}.json") == read_json(second.results(f"banks/completions/{name}.json"))


def test_a_copy_of_a_baseline_has_its_figures_in_every_table(second):
    folder = second.root / "results/second/banks"
    tables = ["metrics", "metrics_by_quarter", "metrics_by_size", "metrics_trimmed", "coverage", "forecasts", "skill",
              "residuals", "ic_by_quarter", "distributions", "reliability", "pit"]  # fmt: skip
    for name in tables:
        table = pd.read_csv(folder / f"evaluation/{name}.csv")
        mine, ridge = (
            table[table["forecaster"] == forecaster].drop(columns="forecaster").reset_index(drop=True)
            for forecaster in ("my_ridge", "ridge")
        )
        assert len(mine) > 0, name
        pd.testing.assert_frame_equal(mine, ridge, check_exact=True)


def test_own_forecasters_are_in_every_comparison_and_in_the_report(second):
    folder = second.root / "results/second"
    comparisons = pd.read_csv(folder / "banks/evaluation/comparisons.csv").query(
        "metric == 'MAE' and target == 'change'"
    )
    names = [*BASELINES, "base", *ADAPTERS, "my_ridge", "oracle"]
    found = comparisons.set_index(["baseline", "candidate"])
    assert list(found.index) == forecaster_pairs(names)
    same = found["same_base_model"].to_dict()
    assert same["first_sft", "base"] == "yes"
    assert pd.isna(same["no_change", "first_sft"])
    # The pair ridge - base, seen from both sides of the same forecasts.
    values = ["difference", "interval_low", "interval_high", "p_value"]
    pd.testing.assert_series_equal(
        found.loc[("my_ridge", "base"), values], found.loc[("ridge", "base"), values], check_names=False
    )
    origins = pd.read_csv(folder / "summary/origins.csv").set_index("forecaster")
    assert origins.loc[["base", "first_sft", "my_ridge"], "kind"].tolist() == ["stage", "adapter", "forecasts"]
    assert origins.loc["first_grpo", "source"] == "results/tiny/{firm_type}/adapters/grpo"
    report = (folder / "summary/report.html").read_text()
    assert "first_sft, first_grpo, my_ridge: made outside this run" in report
    assert "Forecasters of your own" in report


def test_nothing_of_a_stage_that_is_not_evaluated_is_planned(finished):
    """SFT without GRPO gets its metrics: neither GRPO's data nor its training nor its gates are made."""
    plan = finished.plan(tiny_config(run="other", evaluation={"stages": ["base", "sft"]}))
    assert not {"train_grpo", "merge_adapter", "preflight_rewards", "build_grpo_dataset"} & plan.keys()
    assert (plan["train_sft"], plan["generate_completions"], plan["evaluate_forecasts"]) == (2, 4, 2)
    # What the stages share is there already.
    plan = finished.plan(tiny_config(evaluation={"stages": ["base", "sft"]}))
    twice = ("audit_leakage", "evaluate_forecasts", "trim_metrics", "score_periods", "compare_forecasts",
             "evaluate_distributions", "plot_forecasts", "write_dataset_card")  # fmt: skip
    assert plan == dict.fromkeys(twice, 2) | {"summarize_run": 1, "write_config": 1, "all": 1}


def test_without_a_model_forecasts_are_judged_by_the_baselines(second):
    """No stage and no adapter: nothing of a model is made or needed, and the report is whole."""
    config = second_config(evaluation={"stages": []}, adapters={})
    target = "results/second/summary/report.html"
    assert second.plan(config, target) == {
        "evaluate_forecasts": 1, "trim_metrics": 1, "score_periods": 1, "compare_forecasts": 1,
        "evaluate_distributions": 1, "plot_forecasts": 1, "summarize_run": 1,
    }  # fmt: skip
    result = second.run(config, target)
    assert result.returncode == 0, result.stdout + result.stderr
    folder = second.root / "results/second"
    comparisons = pd.read_csv(folder / "summary/comparisons.csv").query("metric == 'MAE' and target == 'change'")
    assert set(comparisons["candidate"]) == {"my_ridge"}
    same = comparisons.set_index("baseline").loc["ridge"]
    assert (same["difference"], same["verdict"]) == (0.0, "not shown")
    assert list(pd.read_csv(folder / "summary/rewards.csv")) == ["firm_type"]
    # As it was, for the tests that follow.
    result = second.run(second_config())
    assert result.returncode == 0, result.stdout + result.stderr


def test_sft_without_grpo_gets_its_metrics(edited):
    config = tiny_config(evaluation={"stages": ["base", "sft"]})
    result = edited.run(config)
    assert result.returncode == 0, result.stdout + result.stderr
    metrics = pd.read_csv(edited.results("summary/metrics.csv"))
    assert set(metrics["forecaster"]) == {*BASELINES, "base", "sft", "oracle"}
    comparisons = pd.read_csv(edited.results("summary/comparisons.csv"))
    assert {"base", "ridge"} <= set(comparisons.loc[comparisons["candidate"] == "sft", "baseline"])
    assert not (comparisons[["baseline", "candidate"]] == "grpo").any(axis=None)
    assert list(pd.read_csv(edited.results("summary/preflight.csv"))) == ["firm_type"], "no gate of another day"
    assert edited.plan(config) == {}


def test_what_own_forecasters_are_made_of_counts_by_content(second):
    config = second_config()
    assert second.plan(config) == {}
    forecasts = second.root / "mine/banks.csv"
    text = forecasts.read_text()
    forecasts.touch()
    assert second.plan(config) == {}
    header, first, *others = text.splitlines()
    forecasts.write_text("\n".join([header, first.rsplit(",", 1)[0] + ",2e9", *others]) + "\n")
    assert second.plan(config)["import_forecasts"] == 1
    forecasts.write_text(text)
    weights = second.results("banks/adapters/sft/adapter_model.safetensors")
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    plan = second.plan(config)
    weights.write_bytes(before)
    assert (plan["generate_completions"], plan["parse_predictions"]) == (1, 1)
    assert not {"train_sft", "import_forecasts"} & plan.keys()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"adapters": {"x": ADAPTERS["first_grpo"] | {"base_model": "results/tiny/demo_model"}}},
         "was trained on another model than results/tiny/demo_model, its base_model"),
        ({"adapters": {"x": {"path": "results/tiny", "base_model": "results/tiny/demo_model"}}},
         "adapters.x.path: results/tiny/adapter_model.safetensors does not exist"),
        ({"forecasts": {"x": "results/tiny/banks/predictions/nobody.csv"}}, "forecasts.x: results/tiny/banks/predict"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_forecaster_is_told_before_the_first_job(second, changes, words):
    result = second.run(second_config(**changes, run="third"))
    assert result.returncode == 1
    assert words in result.stderr
    assert not (second.root / "results/third/banks").exists(), "no job was begun"
