"""The preflight tells what rewards pay to known policies, and refuses rewards that do not prefer the truth."""

import numpy as np
import pytest

from workflow_scripts.holdings.rewards.preflight import OTHER_FORM, check_preflight, preflight_table
from workflow_scripts.holdings.rewards.rewards import RewardSettings
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.plumbing.errors import InputError

RECIPE = ["contract_holdings", "mse_holdings"], [0.3, 0.7]


def rows(n: int = 40, scale: float = 1.0) -> list[dict]:
    generator = np.random.default_rng(2)
    return [
        {
            "holding_t": float(held),
            **dict.fromkeys(("label_delta", "label_active"), float(max(change, -held))),
            "past_change": float(abs(past)),
        }
        for held, change, past in zip(
            generator.uniform(5, 50, n) * scale,
            generator.normal(0.3, 1.0, n).round(3) * scale,
            generator.normal(0, 1, n) * scale,
            strict=True,
        )
    ]


def table(rewards, weights, data=None, target="holding_delta", think=True):
    settings = RewardSettings(rewards, {}, target, think)
    return preflight_table(data or rows(), settings, weights, 8, 16, np.random.default_rng(1))


def total(frame):
    return frame[frame["reward"] == "total"].set_index("policy")


@pytest.mark.parametrize("think", [True, False])
@pytest.mark.parametrize("target", list(TARGETS))
def test_the_published_recipe_by_hand(target, think):
    """Also without think blocks: the other form is then the answer with one, and pays as little."""
    frame = table(*RECIPE, target=target, think=think)
    check_preflight(frame, RECIPE[0])
    by_reward = frame.set_index(["policy", "reward"])["mean"]
    assert by_reward["oracle", "contract_holdings"] == 1.0
    assert by_reward[OTHER_FORM, "contract_holdings"] == by_reward["malformed", "contract_holdings"] == -1.0
    assert by_reward[OTHER_FORM, "mse_holdings"] == by_reward["oracle", "mse_holdings"] > 0.9
    assert by_reward["empty", "total"] == -1.0
    assert by_reward["oracle", "total"] == pytest.approx(0.3 + 0.7 * by_reward["oracle", "mse_holdings"])
    assert by_reward["no_change", "mse_holdings"] < by_reward["oracle", "mse_holdings"]


def test_a_batch_scaled_reward_sees_no_spread_where_changes_differ_by_orders_of_magnitude():
    """One position a million times larger than its batch: the weakness that the row's own scale mends."""
    data = rows(32)
    large = {name: value * 1e6 for name, value in data[0].items()}
    mixed = [{**large} if i % 2 == 0 else row for i, row in enumerate(data)]
    batch_scaled = total(table(["mse_holdings"], [1.0], mixed))
    row_scaled = total(table(["scaled_mse_holdings"], [1.0], mixed))
    assert batch_scaled.loc["sampled", "small_spread"] > 0.4
    assert row_scaled.loc["sampled", "small_spread"] < 0.5 * batch_scaled.loc["sampled", "small_spread"]


def test_rewards_that_prefer_something_else_are_refused():
    with pytest.raises(InputError, match=r"pay the oracle .* no more than .*sign_flip"):
        check_preflight(table(RECIPE[0], [0.3, -0.7]), RECIPE[0])
    flat = [row | {"label_delta": 0.0} for row in rows()]
    with pytest.raises(InputError, match=r"no more than .*no_change"):
        check_preflight(table(*RECIPE, flat), RECIPE[0])


def test_a_reward_of_the_form_alone_is_a_recipe_too():
    check_preflight(table(["contract_holdings"], [1.0]), ["contract_holdings"])
    with pytest.raises(InputError, match="no more than malformed"):
        check_preflight(table(["contract_holdings"], [-1.0]), ["contract_holdings"])


def test_without_a_contract_reward_the_think_block_is_free():
    frame = table(["scaled_mse_holdings"], [1.0])
    check_preflight(frame, ["scaled_mse_holdings"])
    assert total(frame).loc[OTHER_FORM, "mean"] == total(frame).loc["oracle", "mean"]
