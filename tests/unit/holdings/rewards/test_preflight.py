"""The preflight tells what rewards pay to known policies, and refuses rewards that do not prefer the truth."""

import numpy as np
import pytest

from workflow_scripts.holdings.rewards.preflight import (
    OTHER_FORM,
    PreflightSettings,
    check_preflight,
    group_shares,
    misleading_means,
    preflight_table,
)
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


def table(rewards, weights, data=None, target="holding_delta", think=True, constants=None, answer="number"):
    settings = RewardSettings(rewards, constants or {}, target, think, answer=answer)
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
    row_scaled = total(table(["scaled_mae_holdings"], [1.0], mixed))
    for policy in ("sampled", "scaled_truth", "no_change"):
        assert batch_scaled.loc[policy, "dead_groups"] > 0.4, policy
        assert row_scaled.loc[policy, "dead_groups"] < 0.1, policy


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


def test_a_group_is_dead_where_ms_swift_leaves_less_than_half_of_its_advantages():
    """s / (s + 1e-4): a standard deviation of 1e-3 keeps 91 %, one of 1.1e-4 a little more than half, 0.9e-4 less."""
    error = np.array([[0.0, 1.0]] * 4)
    # Of two values d apart the standard deviation is d / sqrt(2), with n - 1 in the denominator.
    paid = np.array([[s * np.sqrt(2), 0.0] for s in (1e-3, 1.1e-4, 0.9e-4, 0.0)])
    assert group_shares(paid, error) == {"dead_groups": 0.5, "in_order": 0.75}


def test_groups_and_pairs_whose_errors_do_not_differ_ask_for_no_spread():
    """Where the truth is no change, its multiples are one answer: that a reward pays them alike is right."""
    error = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 2.0]])
    assert group_shares(np.array([[1.0, 1.0, 1.0], [0.5, 0.5, 0.1]]), error) == {"dead_groups": 0.0, "in_order": 1.0}
    assert group_shares(np.array([[1.0, 1.0, 1.0], [0.1, 0.1, 0.5]]), error)["in_order"] == 0.0
    # One of both pairs that count is paid alike.
    assert group_shares(np.array([[1.0, 1.0, 1.0], [0.5, 0.1, 0.1]]), error)["in_order"] == 0.5
    assert np.isnan(list(group_shares(np.ones((1, 2)), np.ones((1, 2))).values())).all()


def test_what_is_equal_in_single_precision_is_equal_pay():
    """ms-swift keeps rewards as float32."""
    assert group_shares(np.array([[1.0, 1.0 - 1e-9]]), np.array([[0.0, 1.0]]))["in_order"] == 0.0


def test_the_wrong_unit_and_the_sign_alone_by_hand():
    """Two windows: +1 and -2 of 10. 1,000 times that and the sign with 10^9 are 1,000, 10^9 and twice a full exit."""
    data = [
        {"holding_t": 10.0, "label_delta": change, "past_change": 1.0} for change in (1.0, -2.0)
    ]  # fmt: skip
    frame = table(["scaled_mae_holdings", "direction_holdings"], [1.0, 1.0], data).set_index(["policy", "reward"])
    for policy, error in (("thousandfold", 999.0), ("sign_only", 1e9 - 1)):
        assert frame["mean_abs_error"][policy, "total"] == (error + 8.0) / 2
        assert frame["mean"][policy, "scaled_mae_holdings"] == pytest.approx((2 / (1 + error) + 2 / 9) / 2 - 1)
        assert frame["mean"][policy, "direction_holdings"] == 1.0, "pays for the sign alone"


def test_answers_of_a_group_are_paid_in_the_order_of_their_errors():
    shares = {name: total(table([name], [1.0])).loc["scaled_truth"] for name in ("scaled_mae_holdings", "mse_holdings")}
    assert shares["scaled_mae_holdings"]["in_order"] == 1.0
    assert shares["scaled_mae_holdings"]["dead_groups"] == 0.0
    assert 0.9 < shares["mse_holdings"]["in_order"] <= 1.0


def test_a_reward_for_the_direction_alone_is_refused():
    """It pays 10^9 with the right sign like the truth: only half of the pairs are told apart."""
    names, weights = ["contract_holdings", "direction_holdings"], [0.3, 0.7]
    # A few windows with a flat truth, as real ones have: otherwise the sign alone earns as much as the oracle.
    data = rows() + [row | {"label_delta": 0.0} for row in rows(4)]
    frame = table(names, weights, data)
    with pytest.raises(
        InputError, match=r"pairs only \(fewer than preflight.min_in_order = 0.75\).*scaled_mae_holdings"
    ):
        check_preflight(frame, names)
    check_preflight(frame, names, PreflightSettings(min_in_order=0.5))
    # Beside a reward of the size it is welcome.
    both = [*names, "scaled_mae_holdings"]
    check_preflight(table(both, [0.3, 0.3, 0.4], data), both)


@pytest.mark.parametrize(
    ("rewards", "weights", "who"),
    [
        (["scaled_mse_holdings"], [1.0], "the rewards scaled_mse_holdings in total pay"),
        # Another reward makes up for it in the total; it is a mistake all the same.
        (["scaled_mae_holdings", "scaled_mse_holdings"], [0.5, 0.5], "the reward scaled_mse_holdings pays"),
    ],
)
def test_a_scale_so_large_that_all_answers_earn_the_same_is_refused(rewards, weights, who):
    frame = table(rewards, weights, constants={"scaled_mse_holdings": {"scale_floor": 1000}})
    with pytest.raises(
        InputError, match=rf"{who} .* in 100% of the groups \(more than preflight.max_dead_groups = 0.5"
    ):
        check_preflight(frame, rewards)
    check_preflight(frame, rewards, PreflightSettings(max_dead_groups=1.0, min_in_order=0.0))


def test_means_that_pay_larger_errors_more_are_warned_of():
    """mse_holdings is scaled by its batch: 999 times the error of no change in every row earns the same."""
    data = [row | {"label_delta": abs(row["label_delta"])} for row in rows()]
    scaled_by_itself = table(*RECIPE, data)
    mean = total(scaled_by_itself)["mean"]
    assert mean["thousandfold"] == pytest.approx(mean["no_change"])
    warning = misleading_means(scaled_by_itself)
    assert "thousandfold" in warning
    assert "earn no less than no_change, with larger errors: a reward that is scaled by the errors" in warning
    assert scaled_by_itself.set_index(["policy", "reward"])["self_scaled"]["oracle"].to_dict() == {
        "contract_holdings": False, "mse_holdings": True, "total": True}  # fmt: skip
    assert misleading_means(table(["contract_holdings", "scaled_mae_holdings"], [0.3, 0.7], data)) == ""
