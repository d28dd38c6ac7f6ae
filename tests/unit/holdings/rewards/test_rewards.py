"""Rewards worked out by hand, and bounds that hold for any completion."""

import itertools
import json
import math
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.holdings.rewards.contract_holdings import contract_reward
from workflow_scripts.holdings.rewards.direction_holdings import direction_reward
from workflow_scripts.holdings.rewards.external_holdings import ExternalReward, ExternalSettings
from workflow_scripts.holdings.rewards.mse_holdings import mse_reward
from workflow_scripts.holdings.rewards.rewards import (
    REWARD_NAMES,
    RewardSettings,
    build,
    constants_of,
    is_self_scaled,
    module_of,
    replay,
    reward_columns,
    score,
)
from workflow_scripts.holdings.rewards.scaled_mae_holdings import scaled_mae_reward
from workflow_scripts.holdings.rewards.scaled_mse_holdings import scaled_mse_reward
from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.plumbing.code_digest import imported_modules
from workflow_scripts.settings.config import RewardSection


def say(number: float | str) -> str:
    return f'<think>x</think><answer>{{"holding_delta": {number}}}</answer>'


def test_contract_by_hand():
    texts = [say(1), say(-5), say(-5.1), "no", '<answer>{"holding_delta": 1}</answer>']
    assert contract_reward(texts, [5.0] * 5) == [1.0, 1.0, -1.0, -1.0, -1.0]


def test_contract_without_think_blocks_is_broken_by_one():
    """As training, preflight and replays build it: `labels.think: none` is part of the reward's settings."""
    texts = [say(1), '<answer>{"holding_delta": 1}</answer>', '<answer>{"holding_delta": -5.1}</answer>', "no"]
    settings = RewardSettings(["contract_holdings"], {}, think=False)
    columns = {"holding_t": [5.0] * 4}
    assert replay("contract_holdings", settings, texts, columns, 4).tolist() == [-1.0, 1.0, -1.0, -1.0]


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
    for name in set(REWARD_NAMES) - {"contract_holdings"}:
        reward = build(name, RewardSettings([name], {}))
        columns = {"holding_t": [9.0] * 3, "label_delta": [None, float("nan"), 1.0], "past_change": [None] * 3}
        assert score(reward, name, [say(1), "no", say(1)], columns, "holding_delta")[:2] == [0.0, 0.0]


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


def test_the_margin_is_what_a_forecast_in_the_right_direction_must_exceed():
    """In moving mean changes: 1 here, so that 1 earns nothing for its direction, and 2 does."""
    reward = ExternalReward(ExternalSettings(magnitude_weight=0.0, direction_weight=1.0, direction_margin=1.0))
    at, above, below = reward([say(-1), say(-2), say(0)], [9.0] * 3, [-1.0] * 3)
    assert at == 0.0
    assert above == pytest.approx(2 / (1 + math.exp(-5)) - 1) == pytest.approx(-below)


def test_external_punishes_the_wrong_direction_and_silence():
    right, wrong, silent = ExternalReward()([say(1), say(-1), "?"], [9.0] * 3, [1.0] * 3)
    assert right > 0 > wrong
    assert silent == -1.0


def test_scaled_mse_by_hand():
    # Scales: the past change 2, the floor 0.01 * 100, the smallest scale.
    columns = ([5.0, 100.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.5, 0.0])
    rewards = scaled_mse_reward([say(1), say(1.5), say(0)], *columns)
    assert rewards == pytest.approx([2 * (1 - 0.25 / 4) - 1, 2 * (1 - 1.5**2 / 4) - 1, 1.0])


def test_scaled_mae_by_hand():
    """2 / (1 + x) - 1 on the same scales: the past change 2, the floor 0.01 * 100, the smallest scale."""
    columns = ([5.0, 100.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.5, 0.0])
    rewards = scaled_mae_reward([say(1), say(1.5), say(0)], *columns)
    assert rewards == pytest.approx([2 / 1.5 - 1, 2 / 2.5 - 1, 1.0])


def test_scaled_mae_orders_the_answers_of_a_row_however_far_off_they_are():
    """Where the squared error is cut at -1, errors of three and of thirty scales earn the same."""
    answers = [say(number) for number in (1, 1.01, 0, 4, 31, 301, 10**6)]
    row = [9.0] * 7, [1.0] * 7, [1.0] * 7
    near_to_far = scaled_mae_reward(answers, *row)
    assert all(nearer > further for nearer, further in itertools.pairwise(near_to_far))
    assert near_to_far[-1] > -1 == scaled_mae_reward(["no"], [9.0], [1.0], [1.0])[0], "worse than any number"
    assert scaled_mse_reward(answers, *row)[3:] == [-1.0] * 4


@pytest.mark.parametrize("reward", [scaled_mse_reward, scaled_mae_reward])
def test_a_reward_on_the_scale_of_the_row_depends_on_no_other_row(reward):
    row = ([say(1)], [5.0], [0.5], [1.0])
    alone = reward(*row)
    together = reward(row[0] + [say(10**9), "no"], [5.0] * 3, [0.5, 0.0, 1.0], [1.0] * 3)
    assert together[0] == alone[0]
    assert mse_reward([say(1)], [5.0], [0.5]) != mse_reward(row[0] + [say(10**9)], [5.0] * 2, [0.5, 0.0])[:1]


@pytest.mark.parametrize("name", REWARD_NAMES)
def test_what_is_called_self_scaled_pays_errors_a_thousand_times_as_large_the_same(name):
    """And nothing else does: of the others the mean tells a better stage from a worse one."""

    def mean(factor: float) -> float:
        errors = np.array([0.1, -0.4, 0.7, 1.0]) * factor
        columns = {"holding_t": [1e6] * 4, "label_delta": [0.0] * 4, "past_change": [1.0] * 4}
        settings = RewardSettings([name], {"external_holdings": {"magnitude_weight": 1.0, "direction_weight": 0.0}})
        return replay(name, settings, [say(f"{error:.6f}") for error in errors], columns, 4).mean()

    if name not in ("contract_holdings", "direction_holdings"):  # which do not look at the size of an error
        assert (abs(mean(1000.0) - mean(1.0)) < 1e-6) == is_self_scaled([name])
    assert is_self_scaled([name]) == (name in ("mse_holdings", "external_holdings"))


def test_direction_by_hand():
    texts = [say(2), say(0.05), say(-2), say(0), say(0.06), "?"]
    assert direction_reward(texts, [5.0] * 6, [1.0] * 6) == [1.0, 0.0, -1.0, 0.0, 1.0, -1.0]
    assert direction_reward([say(0.05), say(1)], [5.0] * 2, [-0.05, 0.0]) == [1.0, 0.0], "both are flat"


def test_averages_can_be_kept_and_restored():
    batches = [([say(1), say(3)], [9.0] * 2, [1.0, 1.0]), ([say(-1)], [9.0], [-2.0]), ([say(4)], [9.0], [2.0])]
    through = ExternalReward()
    expected = [through(*batch) for batch in batches]
    first, second = ExternalReward(), ExternalReward()
    assert [first(*batch) for batch in batches[:2]] == expected[:2]
    second.restore(first.state())
    assert second(*batches[2]) == expected[2]
    assert ExternalReward()(*batches[2]) != expected[2]


def test_a_replay_keeps_one_reward_for_all_batches():
    settings = RewardSettings(["external_holdings"], {})
    texts, columns = [say(1), say(3), say(-1)], {"holding_t": [9.0] * 3, "label_delta": [1.0, 1.0, -2.0]}
    through = ExternalReward()
    expected = through(texts[:2], [9.0] * 2, [1.0, 1.0]) + through(texts[2:], [9.0], [-2.0])
    assert replay("external_holdings", settings, texts, columns, 2).tolist() == expected


def test_constants_are_settings_and_every_setting_is_somebodys():
    """Two rewards share the scale of the row, and its floor."""
    used = {constant for name in REWARD_NAMES for constant in constants_of(name, RewardSection())}
    assert {*used, "plugins"} == set(RewardSection.__dataclass_fields__)
    halved = RewardSettings(["external_holdings"], {"external_holdings": {"magnitude_weight": 0.3}})
    right, rows = say(1), ([9.0], [1.0])
    assert build("external_holdings", halved)([right], *rows)[0] == pytest.approx(
        ExternalReward()([right], *rows)[0] - 0.3
    )
    assert reward_columns(["contract_holdings"], "holding_delta") == ["holding_t"]
    assert reward_columns(REWARD_NAMES, "holding_tp1") == ["holding_t", "label_delta", "past_change"]
    assert reward_columns(REWARD_NAMES, "active_delta") == ["holding_t", "label_active", "past_change"]


def test_a_reward_brings_no_other_rewards_code():
    """The fingerprint of a GRPO adapter covers the rewards that it is trained with, and no others."""
    plugin = imported_modules("workflow_scripts.training.rewards_plugin", "workflow_scripts.train_grpo")
    assert [name for name in REWARD_NAMES if module_of(name) in plugin] == []
    for name in REWARD_NAMES:
        mine = imported_modules(module_of(name))
        assert [other for other in REWARD_NAMES if module_of(other) in mine] == [name]


# Pieces of right and wrong answers, and what tends to break readers of numbers.
PIECES = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    '{"holding_delta": ',
    '{"holding_tp1": ',
    "}",
    '"',
    "-",
    ".",
    "e",
]
PIECES += [
    "E9",
    "+",
    "0",
    "1",
    "9" * 30,
    "1e999",
    "NaN",
    "Infinity",
    "null",
    "[1]",
    "\u0661",
    "\x00",
    "\n",
    " ",
    ",",
    "1.5",
]
pieces = st.sampled_from(PIECES)
texts = st.one_of(
    st.sampled_from([say(0), say(-3), say("1e3"), say("9" * 30), say("-" + "9" * 30), "", say(0.5) * 2]),
    st.lists(pieces, max_size=12).map("".join),
    st.tuples(st.just(say(1.25)), st.integers(0, 60), pieces).map(lambda t: t[0][: t[1]] + t[2] + t[0][t[1] :]),
    st.none(),
)
numbers = st.one_of(
    st.none(), st.floats(-1e300, 1e300), st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.0])
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(texts, numbers, numbers, numbers), min_size=1, max_size=12),
    st.sampled_from(REWARD_NAMES),
    st.sampled_from(list(TARGETS)),
)
def test_every_reward_is_finite_and_bounded_and_never_raises(rows, name, target):
    completions, *columns = (list(column) for column in zip(*rows, strict=True))
    reward = build(name, RewardSettings([name], {}, target))
    for _ in range(2):
        values = np.array(
            score(
                reward,
                name,
                completions,
                dict(zip(reward_columns(REWARD_NAMES, target), columns, strict=True)),
                target,
            )
        )
        assert values.shape == (len(rows),)
        assert np.isfinite(values).all()
        assert (np.abs(values) <= 1.0 + 1e-12).all()


def mutate(text: str, generator: random.Random) -> str:
    """One to four cuts, doublings, swaps and foreign pieces."""
    for _ in range(generator.randint(1, 4)):
        a, b = sorted((generator.randint(0, len(text)), generator.randint(0, len(text))))
        text = generator.choice(
            [
                text[:a] + text[b:],
                text[:b] + text[a:],
                text[b:] + text[:a],
                text[:a] + generator.choice(PIECES) + text[b:],
            ]
        )
    return text


def test_mutated_completions():
    """FUZZ_COMPLETIONS=1000000 runs a million; what is read must be what a careful reader of the frame would read."""
    generator = random.Random(7)
    count = int(os.environ.get("FUZZ_COMPLETIONS", "20000"))
    built = {name: build(name, RewardSettings([name], {})) for name in REWARD_NAMES}
    for start in range(0, count, 1000):
        size = min(1000, count - start)
        held = [generator.choice([0.0, 3.5, 1e6, None]) for _ in range(size)]
        texts = [mutate(say(generator.choice(["1.5", "-3.5", "0", "-0.000001"])), generator) for _ in range(size)]
        columns = {
            "holding_t": held,
            "label_delta": [generator.choice([None, 0.0, -2.0, 1e9])] * size,
            "past_change": held,
        }
        for name, reward in built.items():
            values = np.array(score(reward, name, texts, columns, "holding_delta"))
            assert np.isfinite(values).all()
            assert (np.abs(values) <= 1.0 + 1e-12).all()
        for text, h in zip(texts, held, strict=True):
            parsed = parse_completion(text, np.nan if h is None else h)
            assert parsed.valid == (parsed.fault == "")
            if parsed.valid:
                assert text.count("<answer>") == 1
                answer = json.loads(text.split("<answer>")[1].split("</answer>")[0])
                assert {name: float(value) for name, value in answer.items()} == {"holding_delta": parsed.delta}
                assert parsed.delta >= -h - 1e-6
