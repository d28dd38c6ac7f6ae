"""A whole run whose answers are quantiles, by the real ms-swift: from the prompts to the tables of distributions."""

import numpy as np
import pandas as pd
import pytest

from tests.project import Project, checkout, tiny_config
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.texts.answers import QUANTILES, Contract
from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.plumbing.files import read_json, read_jsonl

pytestmark = pytest.mark.slow
CONTRACT = Contract(answer="quantiles")
STAGES = ["base", "sft", "grpo"]


def config(**changes) -> dict:
    settings = {
        "run": "quantiles",
        "firm_types": ["banks"],
        "prompts": {"answer": "quantiles"},
        # Long enough to answer in the form that is asked for, now and then.
        "demo_model": {"steps": 120, "batch": 8, "malformed_share": 0.1, "windows_per_type": 300},
        "grpo": {"rewards": ["contract_holdings", "crps_holdings"], "max_completion_length": 128},
        "generation": {"max_tokens": 128},
        "evaluation": {"score_rewards": ["contract_holdings", "scaled_mae_holdings", "crps_holdings"]},
        "forecast": {"max_windows": 6},
    }
    return tiny_config(**(settings | changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Project:
    project = checkout(tmp_path_factory.mktemp("quantiles"))
    result = project.run(config(), "all", "forecast")
    assert result.returncode == 0, result.stdout + result.stderr
    return project


def banks(run: Project, name: str):
    return run.root / "results/quantiles/banks" / name


def test_prompts_labels_and_base_model_have_the_form(run):
    for row in read_jsonl(banks(run, "datasets/sft.jsonl")):
        parsed = parse_completion(row["messages"][-1]["content"], row["holding_t"], CONTRACT)
        assert parsed.valid, parsed.fault
        assert parsed.delta == pytest.approx(row["label_delta"], abs=0.1001), "the median is the rounded label"
    for split in ("grpo", "test"):
        first = read_jsonl(banks(run, f"datasets/{split}.jsonl"))[0]
        assert '{"holding_delta": {"q05": <number>, "q10": <number>' in first["messages"][1]["content"]
    base = pd.read_csv(banks(run, "predictions/base.csv"))
    assert base["valid_share"].mean() > 0.3, "the demo's base model has seen it"
    assert "asks for quantiles of `holding_delta`" in banks(run, "datasets/README.md").read_text()


def test_grpo_was_paid_by_the_width(run):
    table = pd.read_csv(banks(run, "preflight/grpo.csv")).set_index(["policy", "reward"])["mean"]
    assert table["oracle", "crps_holdings"] > table["sensible_width", "crps_holdings"]
    assert table["sensible_width", "crps_holdings"] > table["absurd_width", "crps_holdings"]
    steps = read_jsonl(banks(run, "adapters/grpo/training_log.jsonl"))
    assert all(-1 <= step["rewards/crps_holdings/mean"] <= 1 for step in steps)
    assert any(step["rewards/crps_holdings/std"] > 0 for step in steps)
    rewards = read_json(banks(run, "adapters/grpo/manifest.json"))["identity"]["rewards"]["settings"]
    assert (rewards["answer"], rewards["names"]) == ("quantiles", ["contract_holdings", "crps_holdings"])


@pytest.mark.parametrize("stage", STAGES)
def test_what_answers_say_is_what_is_scored(run, stage):
    """Each stage is a row of the distributions, greedy as it is, and its quantiles are those of its completions."""
    predictions = pd.read_csv(banks(run, f"predictions/{stage}.csv")).set_index("window_id")
    assert predictions["parsed"].any()
    held = {row["window_id"]: row["holding_t"] for row in read_jsonl(banks(run, "datasets/test.jsonl"))}
    for row in read_jsonl(banks(run, f"completions/{stage}.jsonl")):
        said = parse_completion(row["completion"], held[row["window_id"]], CONTRACT, lenient=True)
        found = predictions.loc[row["window_id"], [*QUANTILES, "predicted_delta"]].to_numpy(float)
        expected = [np.nan] * 8 if said.delta is None else [*said.quantiles, said.delta]
        assert found == pytest.approx(expected, nan_ok=True)
    scored = pd.read_csv(banks(run, "evaluation/distributions.csv")).set_index("forecaster")
    assert set(scored.index) >= {*BASELINES, *STAGES}
    assert scored.loc[stage, "capped_relative_CRPS"] > 0
    paid = pd.read_csv(banks(run, f"evaluation/rewards_{stage}.csv")).set_index("reward")
    assert paid.loc["crps_holdings", "count"] == len(held)
    assert -1 < paid.loc["crps_holdings", "mean"] < 1, "some answer was read, and not all are the truth"


def test_the_forecast_of_the_next_quarter_has_them_too(run):
    table = pd.read_csv(banks(run, "forecast/forecasts.csv"))
    said = table[table["forecaster"] == "sft"].dropna(subset=["predicted_delta_musd"])
    columns = [name for name in table if name.startswith("q") and name[1:3].isdigit()]
    assert len(columns) == 7
    assert not said[columns].isna().any(axis=None)


def test_the_report_says_that_quantiles_were_asked_for(run):
    assert (
        "quantiles of the dollar change (holding_delta)"
        in (run.root / "results/quantiles/summary/report.html").read_text()
    )


def test_a_probe_is_refused_before_its_first_job(run):
    result = run.run(config(), "probe")
    assert result.returncode == 1
    assert "probe a run with prompts.answer: number" in result.stdout + result.stderr
    assert not banks(run, "probes").exists()


def test_a_second_run_does_nothing(run):
    assert run.plan(config()) == {}
    assert run.plan(config(), "forecast") == {"forecast": 1}, "the record is checked each time"
