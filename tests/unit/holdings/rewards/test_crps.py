"""The reward of a distribution: by hand, on one scale for all rows, and largest for who says what he believes."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.holdings.rewards.test_preflight import rows, table, total
from tests.unit.holdings.rewards.test_rewards import numbers
from tests.unit.holdings.texts.test_quantile_answers import say, texts
from workflow_scripts.holdings.rewards.contract_holdings import contract_reward
from workflow_scripts.holdings.rewards.crps import crps
from workflow_scripts.holdings.rewards.crps_holdings import crps_reward
from workflow_scripts.holdings.rewards.preflight import PreflightSettings, check_preflight
from workflow_scripts.holdings.rewards.rewards import REWARD_NAMES, RewardSettings, build, reward_columns, score
from workflow_scripts.holdings.rewards.row_scale import RowScaleSettings
from workflow_scripts.holdings.rewards.scaled_mae_holdings import scaled_mae_reward
from workflow_scripts.holdings.texts.answers import LEVELS, Contract, quantile_object
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.plumbing.errors import InputError

CONTRACT = Contract(answer="quantiles")
NO_FLOOR = RowScaleSettings(scale_floor=0.0)
RECIPE = ["contract_holdings", "crps_holdings"], [0.3, 0.7]


def told(quantiles) -> str:
    return say(quantile_object(f"{number:.9f}" for number in quantiles))


def test_by_hand():
    """Scale 2, so that 6 counts a half: truth 0, quantiles -1/2, -1/4, 0, 0, 0, 1/4, 1/2 when bent."""
    columns = [50.0], [0.0], [2.0]
    (paid,) = crps_reward([told([-6, -2, 0, 0, 0, 2, 6])], *columns, contract=CONTRACT)
    losses = np.array([0.05 * 0.5, 0.1 * 0.25, 0, 0, 0, 0.1 * 0.25, 0.05 * 0.5])
    weights = np.array([0.05, 0.1, 0.2, 0.25, 0.2, 0.1, 0.05]) / 0.95
    assert paid == pytest.approx(1 - 2 * (losses * weights).sum())
    # Off by the six that count a half, and sure of it; the floor of the scale, a hundredth of the position.
    assert crps_reward([told([6] * 7)], *columns, contract=CONTRACT) == [pytest.approx(0.5)]
    assert crps_reward([told([1.5] * 7)], [50.0], [0.0], [0.0], contract=CONTRACT) == [pytest.approx(0.5)]


def test_of_one_number_it_is_the_distance_of_what_is_bent():
    """And ordered as the errors are, on either side of the truth, however far off; silence is worse than any number."""
    answers, true = [2.0, 2.5, 4.0, 1e3, 1e6], [2.0] * 5
    said = [say(f"{number}") for number in answers]
    columns = [1e9] * 5, true, [1e7] * 5
    bent = np.array([*answers, 2.0]) / (3e7 + np.array([*answers, 2.0]))
    assert crps_reward(said, *columns) == pytest.approx(1 - np.abs(bent[:-1] - bent[-1]))
    order = np.argsort(scaled_mae_reward(said, *columns))
    assert np.argsort(crps_reward(said, *columns)).tolist() == order.tolist()
    assert crps_reward(["no"], [9.0], [2.0], [1.0]) == [-1.0]
    assert crps_reward(said[:1], [9.0], [None], [1.0]) == [0.0]


LAWS = {"normal": scipy.stats.norm(), "t": scipy.stats.t(2), "exponential": scipy.stats.expon(-1)}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_who_says_what_he_believes_earns_the_most(law, scale):
    """A bounded function of the score itself, such as 2 / (1 + CRPS) - 1, would pay more for narrower bands."""
    true = law.ppf((np.arange(4000) + 0.5) / 4000)
    honest = law.ppf(LEVELS)
    columns = [1e9] * len(true), true.tolist(), [scale] * len(true)

    def mean(factor: float, shift: float = 0.0) -> float:
        said = told(np.median(true) + shift + factor * (honest - np.median(true)))
        return float(np.mean(crps_reward([said] * len(true), *columns, NO_FLOOR, CONTRACT)))

    best = mean(1.0)
    assert all(mean(factor) < best for factor in (0.0, 0.6, 0.85, 1.15, 1.5, 3.0))
    assert all(mean(1.0, shift) < best for shift in (-0.15, 0.15))
    narrow = np.tile(np.median(true) + 0.85 * (honest - np.median(true)), (len(true), 1))
    whole = np.tile(honest, (len(true), 1))
    luck = [float(np.mean(2 / (1 + crps(true, said) / scale) - 1)) for said in (narrow, whole)]
    assert luck[0] > luck[1], "the form that was not taken"


def test_the_contract_is_broken_by_falling_quantiles_and_by_one_number():
    good, fallen, one = told([0, 1, 2, 3, 4, 5, 6]), told([0, 1, 2, 3, 2, 5, 6]), say("3")
    below = told([-6, 1, 2, 3, 4, 5, 6])
    assert contract_reward([good, fallen, one, below], [5.0] * 4, CONTRACT) == [1.0, -1.0, -1.0, -1.0]
    paid = crps_reward([good, fallen, one, below], [5.0] * 4, [3.0] * 4, [1.0] * 4, contract=CONTRACT)
    assert paid[0] > paid[3] > paid[1] > 0 > paid[2] == -1.0, "each quantile as it is written, also a falling one"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(texts, numbers, numbers, numbers), min_size=1, max_size=12),
    st.sampled_from(REWARD_NAMES),
    st.sampled_from(list(TARGETS)),
)
def test_every_reward_of_quantiles_is_finite_and_bounded_and_never_raises(drawn, name, target):
    completions, *columns = (list(column) for column in zip(*drawn, strict=True))
    reward = build(name, RewardSettings([name], {}, target, answer="quantiles"))
    columns = dict(zip(reward_columns(REWARD_NAMES, target), columns, strict=True))
    values = np.array(score(reward, name, completions, columns, target))
    assert values.shape == (len(drawn),)
    assert np.isfinite(values).all()
    assert (np.abs(values) <= 1.0 + 1e-12).all()


def test_the_other_rewards_read_the_median():
    quantiles, number = told([-4, -3, -2, 1, 2, 3, 9]), say("1")
    columns = {"holding_t": [5.0], "label_delta": [2.0], "past_change": [1.0]}
    for name in set(REWARD_NAMES) - {"contract_holdings", "crps_holdings"}:
        paid = [
            score(build(name, RewardSettings([name], {}, answer=answer)), name, [text], columns, "holding_delta")
            for answer, text in (("quantiles", quantiles), ("number", number))
        ]
        assert paid[0] == paid[1], name


def preflight(rewards, weights, **more):
    return table(rewards, weights, answer="quantiles", **more)


@pytest.mark.parametrize("think", [True, False])
@pytest.mark.parametrize("target", list(TARGETS))
def test_the_preflight_tells_a_reward_of_the_width_from_others(target, think):
    frame = preflight(*RECIPE, target=target, think=think)
    check_preflight(frame, RECIPE[0])
    found = total(frame)
    mean = found["mean"]
    assert mean["oracle"] == pytest.approx(1.0, abs=1e-6), "being sure of the truth"
    assert mean["oracle"] > mean["sensible_width"] > mean["absurd_width"] > mean["malformed"] == -1.0
    assert mean["sensible_width"] > mean["crossed"]
    paid = frame.set_index(["policy", "reward"])["mean"]
    assert paid["sensible_width", "crps_holdings"] > paid["crossed", "crps_holdings"], "without the form, too"
    assert paid["crossed", "contract_holdings"] == -1.0
    assert mean["no_change"] > mean["sign_flip"] > mean["huge"]
    assert found["dead_groups"]["scaled_truth"] == 0.0
    assert found["in_order"]["scaled_truth"] > 0.85


def test_rewards_that_look_at_the_median_alone_are_refused_for_quantiles():
    """The width would be free: an absurd one earns as much as the sure truth."""
    names = ["contract_holdings", "scaled_mae_holdings"]
    with pytest.raises(InputError, match=r"no more than .*absurd_width 1\.0000.*crps_holdings pays for the width"):
        check_preflight(preflight(names, [0.3, 0.7]), names)
    both = [*names, "crps_holdings"]
    check_preflight(preflight(both, [0.3, 0.3, 0.4]), both)
    form = ["contract_holdings"]
    check_preflight(preflight(form, [1.0]), form)


def test_a_reward_that_pays_for_absurd_widths_is_refused():
    frame = preflight(*RECIPE)
    same = total(frame)["mean"]["sensible_width"]
    frame.loc[(frame["policy"] == "absurd_width") & (frame["reward"] == "total"), "mean"] = same
    with pytest.raises(InputError, match=rf"an absurd width around the truth {same:.4f} on average, no less than"):
        check_preflight(frame, RECIPE[0], PreflightSettings())


def test_one_number_has_no_policies_of_width():
    assert not {"sensible_width", "absurd_width", "crossed"} & set(table(*RECIPE)["policy"])
    assert {"sensible_width", "absurd_width", "crossed"} < set(preflight(*RECIPE, data=rows(4))["policy"])
