"""Rewards worked out by hand, and bounds that hold for any completion."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.holdings.rewards import REWARDS, ExternalReward, RewardSettings, contract_reward, mse_reward


def say(number: float | str) -> str:
    return f'<think>x</think><answer>{{"holding_delta": {number}}}</answer>'


def test_contract_by_hand():
    texts = [say(1), say(-5), say(-5.1), "no", '<answer>{"holding_delta": 1}</answer>']
    assert contract_reward(texts, [5.0] * 5) == [1.0, 1.0, -1.0, -1.0, -1.0]


def test_mse_by_hand():
    # |e| = 0, 1, 2, 3: the 95th percentile by linear interpolation is 2 + 0.85 * 1 = 2.85.
    rewards = mse_reward([say(0), say(1), say(-2), say(3)], [9.0] * 4, [0.0] * 4)
    expected = [1 - 2 * (e / 2.85) ** 2 / 4 for e in (0, 1, 2, 3)]
    assert rewards == pytest.approx(expected)


def test_mse_is_at_least_minus_one_and_unparsed_get_it():
    # Small errors and an outlier: x of the outlier is far above 2, so its reward is cut at -1.
    texts = [say(0.1)] * 39 + [say(1000), "nothing"]
    rewards = mse_reward(texts, [9.0] * 41, [0.0] * 41)
    assert rewards[39] == -1.0
    assert rewards[40] == -1.0
    assert rewards[0] > 0.4


def test_mse_of_perfect_forecasts_is_one_at_the_smallest_scale():
    assert mse_reward([say(1), say(2)], [9.0] * 2, [1.0, 2.0]) == [1.0, 1.0]


def test_mse_does_not_mistake_zero_for_missing():
    assert mse_reward([say(0), say(1)], [9.0] * 2, [0.0, 0.0])[0] == 1.0


def test_missing_label_is_neutral():
    for name in ("mse_holdings", "external_holdings"):
        reward = REWARDS[name](RewardSettings())
        assert reward([say(1), "no", say(1)], [9.0] * 3, [None, float("nan"), 1.0])[:2] == [0.0, 0.0]


def test_external_by_hand():
    reward = ExternalReward()
    # First batch: errors 0 and 2, mean 1, threshold 1.5; changes 1 and 1, mean 1.
    first = reward([say(1), say(3)], [9.0] * 2, [1.0, 1.0])
    direction = [2 / (1 + math.exp(-5 * p)) - 1 for p in (1, 3)]
    assert first == pytest.approx([0.6 * 1 + 0.4 * direction[0], 0.6 * -1 + 0.4 * direction[1]])
    # Second batch: error 1 -> EMA 0.9 * 1 + 0.1 * 1 = 1; change -2 -> EMA 0.9 * 1 + 0.1 * 2 = 1.1.
    second = reward([say(-1)], [9.0], [-2.0])
    magnitude = 2 * (1 - (1 / 1.5) ** 2) - 1
    assert second == pytest.approx([0.6 * magnitude + 0.4 * (2 / (1 + math.exp(-5 / 1.1)) - 1)])


def test_external_punishes_the_wrong_direction_and_silence():
    right, wrong, silent = ExternalReward()([say(1), say(-1), "?"], [9.0] * 3, [1.0] * 3)
    assert right > 0 > wrong
    assert silent == -1.0


texts = st.sampled_from([say(0), say(-3), say("1e3"), say("9" * 30), say("-" + "9" * 30), "", "junk", say(0.5) * 2])
labels = st.one_of(st.none(), st.floats(-1e12, 1e12), st.just(float("nan")))


@given(
    st.lists(st.tuples(texts, st.floats(0, 1e12), labels), min_size=1, max_size=12), st.sampled_from(sorted(REWARDS))
)
def test_every_reward_is_finite_and_bounded(rows, name):
    completions, holding, label = (list(column) for column in zip(*rows, strict=True))
    reward = REWARDS[name](RewardSettings())
    for _ in range(2):
        values = np.array(reward(completions, holding, label))
        assert values.shape == (len(rows),)
        assert np.isfinite(values).all()
        assert (np.abs(values) <= 1.0 + 1e-12).all()
