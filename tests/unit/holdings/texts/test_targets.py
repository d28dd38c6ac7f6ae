"""Every target is described everywhere, and its answers and changes are the same thing said twice."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.evaluation.tables import QUANTITIES
from workflow_scripts.holdings.forecasts.baselines import BASELINES, baseline_forecasts
from workflow_scripts.holdings.report.summary import CHANGE_TITLES, TRAINED_ON
from workflow_scripts.holdings.rewards.preflight import check_preflight, preflight_table
from workflow_scripts.holdings.rewards.rewards import RewardSettings
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.holdings.texts.conversations import ThinkStyle, grpo_rows, sft_rows, target_numbers
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.texts.targets import CHANGES, TARGETS, Target, TargetName, target_of
from workflow_scripts.holdings.windows.labels import label_arrays
from workflow_scripts.settings.config import Config
from workflow_scripts.settings.reading import read_config
from workflow_scripts.settings.uses import USES

# One that the workflow does not have, in another unit: what a row says must be enough for everything but the words.
TRIAL = Target(
    name="relative_delta",
    change=CHANGES["change"],
    meaning="the change of the position over the next quarter, relative to the position of today",
    formula="holding(t+1) / holding(t) - 1",
    bound="relative_delta >= -1",
    unit="shares of holding(t)",
    to_change=lambda value, holding_t: value * holding_t,
    from_change=lambda change, holding_t: change / holding_t,
    decimals=12,
)
targets = pytest.mark.parametrize("target", [*TARGETS.values(), TRIAL], ids=[*TARGETS, TRIAL.name])


@pytest.fixture
def with_trial(monkeypatch):
    monkeypatch.setitem(TARGETS, TRIAL.name, TRIAL)


@pytest.fixture(scope="module")
def sample():
    """Windows of a rise, a fall, a full exit and no change, at a price that doubles in between."""
    paths = [[1, 2, 3, 4, 5.005], [9, 8, 7, 6, 5.5], [4, 4, 4, 3.357637, 0], [4, 4, 4, 4, 4.0]]
    rows = [row for i, path in enumerate(paths) for row in make_run(i + 1, 10107, path)]
    windows = sample_of(make_panel(rows, prc=lambda i: [20.0, 20, 20, 20, 23.0][i % 5]))
    return windows.filter(np.isfinite(windows["holding_t1"].to_numpy()))


def test_the_choices_of_the_setting_are_the_rows_of_the_table():
    """Type checkers read the names in a Literal, which cannot be computed."""
    assert get_args(TargetName) == tuple(TARGETS)
    with pytest.raises(ValueError, match="target 'x' is unknown; choose one of holding_delta, "):
        target_of("x")


def test_the_report_has_words_for_every_target_and_every_change_is_scored():
    assert set(TRAINED_ON) == set(TARGETS)
    assert set(CHANGE_TITLES) == set(CHANGES) == {target.change.name for target in TARGETS.values()}
    for name, change in CHANGES.items():
        assert QUANTITIES[name].label == change.label


@targets
@given(st.floats(0.01, 1e9), st.floats(-1, 3))
def test_an_answer_says_its_change(target, held, growth):
    change = held * growth
    assert target.to_change(target.from_change(change, held), held) == pytest.approx(change, abs=1e-9 * held)
    assert target.to_change(target.lowest(held), held) == pytest.approx(-held), "the bound is a full exit"
    held, change = np.array([held, 1.0]), np.array([change, 0.0])
    assert target.from_change(change, held)[0] == target.from_change(change[0], held[0]), "floats and arrays"


@targets
@pytest.mark.usefixtures("with_trial")
def test_a_target_goes_from_the_prompt_to_the_forecast(target, sample):
    prompts = build_prompts(sample, PromptSettings(target=target.name))
    assert all(f'<answer>{{"{target.name}": <number>}}</answer>' in prompt["user"] for prompt in prompts)
    rows, _ = sft_rows(prompts, sample, target.name, 6, ThinkStyle("x", 2, 4))
    trained = grpo_rows(prompts, sample, target=target.name)
    truth = label_arrays(sample)[target.label]
    for row, asked, true in zip(rows, trained, truth, strict=True):
        answer = parse_completion(row["messages"][-1]["content"], asked["holding_t"], Contract(target.name))
        assert answer.valid
        assert asked[target.label] == true
        assert answer.delta == pytest.approx(true, abs=1e-5)
    assert tuple(baseline_forecasts(sample, sample, target.name)) == BASELINES
    assert target_numbers(sample, target.name, 0)[2] == f"{target.lowest(3.0):.0f}", "rounded inside the bound"


@targets
@pytest.mark.usefixtures("with_trial")
def test_labels_that_rounding_hides_are_counted_in_the_answers_own_decimals(target, sample):
    prompts = build_prompts(sample, PromptSettings(target=target.name))
    _, fine = sft_rows(prompts, sample, target.name, 6, None)
    _, coarse = sft_rows(prompts, sample, target.name, 0, None)
    assert fine["labels_rounded_to_zero"] == 0
    assert coarse["labels_rounded_to_zero"] >= 1


@targets
@pytest.mark.usefixtures("with_trial")
def test_the_preflight_accepts_the_published_recipe_for_every_target(target):
    """Where too few decimals of an answer were written, the oracle's own rounding would cost it the first place."""
    rewards = ["contract_holdings", "mse_holdings"]
    rng = np.random.default_rng(2)
    held, change, past = rng.uniform(5, 500, 40), rng.normal(0.3, 1.0, 40), rng.uniform(0.1, 1.0, 40)
    values = {"holding_t": held, target.label: np.maximum(change, -held), "past_change": past}
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    table = preflight_table(rows, RewardSettings(rewards, {}, target.name), [0.3, 0.7], 8, 16, rng)
    check_preflight(table, rewards)


@pytest.mark.parametrize("target", list(TARGETS.values()), ids=list(TARGETS))
def test_windows_without_a_price_are_left_out_where_the_target_needs_one(target):
    config: Config = read_config({"run": "x", "prompts": {"target": target.name}})
    wildcards = type("Wildcards", (), {"split": "sft", "firm_type": "banks", "stage": ""})()
    assert USES["sample_windows"](config, wildcards)["needs_active_change"] == target.change.needs_prices
