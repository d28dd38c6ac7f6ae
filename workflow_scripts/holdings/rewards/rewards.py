"""Reward functions of the GRPO stage: functions of completion texts and label columns, never raising.

Each takes a batch of n completions and the columns of their prompts (lists of length n, $ million)
and returns n floats in [-1, 1]. What "the batch" is decides the caller: ms-swift passes the
completions that one process scores together. A row without a label gets 0 from the rewards that need
one: the same for every completion of the prompt, hence without effect on the policy.

`contract_holdings`, `mse_holdings` and `external_holdings` are the published recipe. The scale that `mse_holdings`
takes from a batch of dollar errors moves over orders of magnitude; `scaled_mse_holdings` and `direction_holdings`
depend on their own row alone.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.texts.completions import Parsed, parse_completion
from workflow_scripts.holdings.texts.targets import LABELS

MIN_SCALE = 1e-6


@dataclass(frozen=True)
class RewardSettings:
    """Constants of the rewards; the defaults are the published recipe's."""

    target: str = "holding_delta"
    ema_decay: float = 0.9
    magnitude_weight: float = 0.6
    direction_weight: float = 0.4
    magnitude_threshold: float = 1.5
    direction_slope: float = 5.0
    direction_margin: float = 0.0
    scale_floor: float = 0.01
    dead_band: float = 0.01


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _parse(
    completions: Sequence[str], holding_t: Sequence[float | None], settings: RewardSettings
) -> tuple[list[Parsed], NDArray[np.float64]]:
    """What the completions say, and the positions at t; a missing position satisfies no bound."""
    held = _numbers(holding_t)
    parsed = [parse_completion(c, h, settings.target) for c, h in zip(completions, held.tolist(), strict=True)]
    return parsed, held


def _predicted_and_true(
    completions: Sequence[str],
    holding_t: Sequence[float | None],
    label_delta: Sequence[float | None],
    settings: RewardSettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    predicted = _numbers([parsed.delta for parsed in _parse(completions, holding_t, settings)[0]])
    return predicted, _numbers(label_delta)


def contract_reward(
    completions: Sequence[str], holding_t: Sequence[float], settings: RewardSettings = RewardSettings()
) -> list[float]:
    """+1 where the completion obeys the contract exactly and the bound holds, else -1.

    >>> contract_reward(['<think></think><answer>{"holding_delta": 1.0}</answer>', "1.0"], [5.0, 5.0])
    [1.0, -1.0]
    """
    return [1.0 if parsed.valid else -1.0 for parsed in _parse(completions, holding_t, settings)[0]]


def mse_reward(
    completions: Sequence[str],
    holding_t: Sequence[float],
    label_delta: Sequence[float | None],
    settings: RewardSettings = RewardSettings(),
) -> list[float]:
    """Squared error on the scale of the batch; -1 where nothing can be parsed.

    e = predicted - true change; scale = 95th percentile (linear interpolation) of |e| over the
    parsed, labelled completions of the batch, at least 1e-6; x = e / scale;
    reward = 2 * (1 - min(x^2, 4) / 4) - 1.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> mse_reward([answer % 1, answer % 1, "no"], [5.0] * 3, [1.0] * 3)
    [1.0, 1.0, -1.0]
    """
    predicted, true = _predicted_and_true(completions, holding_t, label_delta, settings)
    # Clipping keeps the square finite; errors this large earn -1 in any case.
    error = np.clip(predicted - true, -1e150, 1e150)
    known = ~np.isnan(error)
    scale = max(float(np.quantile(np.abs(error[known]), 0.95)), MIN_SCALE) if known.any() else MIN_SCALE
    return _finish(_squared(error, scale), predicted, true)


def _squared(error: NDArray[np.float64], scale: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """2 * (1 - min(x^2, 4) / 4) - 1 with x = error / scale: 1 without an error, -1 from two scales on."""
    return 2.0 * (1.0 - np.minimum(np.abs(error) / scale, 2.0) ** 2 / 4.0) - 1.0


def scaled_mse_reward(
    completions: Sequence[str],
    holding_t: Sequence[float],
    label_delta: Sequence[float | None],
    past_change: Sequence[float | None],
    settings: RewardSettings = RewardSettings(),
) -> list[float]:
    """Squared error on the row's own scale, which no other completion can move; -1 where nothing can be parsed.

    scale = max(past_change, scale_floor * holding_t, 1e-6), where past_change is the mean |change| of the
    position within the window, known at t; x = e / scale; reward = 2 * (1 - min(x^2, 4) / 4) - 1.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> scaled_mse_reward([answer % 1, answer % 2, "no"], [5.0] * 3, [1.0] * 3, [1.0] * 3)
    [1.0, 0.5, -1.0]
    """
    predicted, true = _predicted_and_true(completions, holding_t, label_delta, settings)
    floor = settings.scale_floor * _numbers(holding_t)
    scale = np.fmax(np.fmax(_numbers(past_change), floor), MIN_SCALE)
    return _finish(_squared(np.clip(predicted - true, -1e150, 1e150), scale), predicted, true)


def direction_reward(
    completions: Sequence[str],
    holding_t: Sequence[float],
    label_delta: Sequence[float | None],
    settings: RewardSettings = RewardSettings(),
) -> list[float]:
    """1 for the right one of up, flat and down, 0 for a neighbour, -1 for the opposite; -1 where nothing can be parsed.

    Flat is a change of at most dead_band * holding_t, so that a forecast of no change is not paid for a move.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> direction_reward([answer % 1, answer % 0.01, answer % -1], [5.0] * 3, [2.0] * 3)
    [1.0, 0.0, -1.0]
    """
    predicted, true = _predicted_and_true(completions, holding_t, label_delta, settings)
    band = settings.dead_band * np.nan_to_num(_numbers(holding_t))
    direction = [np.sign(change) * (np.abs(change) > band) for change in (predicted, true)]
    return _finish(1.0 - np.abs(direction[0] - direction[1]), predicted, true)


def _finish(reward: NDArray[np.float64], predicted: NDArray, true: NDArray) -> list[float]:
    """0 without a label, -1 without a number, the reward otherwise."""
    return np.where(np.isnan(true), 0.0, np.where(np.isnan(predicted), -1.0, reward)).tolist()


@dataclass
class ExternalReward:
    """0.6 * magnitude + 0.4 * direction, each in [-1, 1], on scales that follow the training.

    Scales are exponential moving averages over calls, decay lambda = 0.9, started by the first
    batch's mean: c_mag = 1.5 * EMA(|e|), c_dir = EMA(|true change|), both at least 1e-6.
    Magnitude: the Huber loss of e with threshold c_mag over its value at the threshold,
    2 * (1 - min(., 1)) - 1. Direction: 2 * sigmoid(5 * (predicted / c_dir * sign(true) - margin)) - 1.
    The averages live in the object: every process has its own, of the completions that it scores itself.
    `state` and `restore` let the plugin keep them with the checkpoints.
    """

    settings: RewardSettings = field(default_factory=RewardSettings)
    mean_error: float | None = None
    mean_change: float | None = None

    def __call__(
        self, completions: Sequence[str], holding_t: Sequence[float], label_delta: Sequence[float | None]
    ) -> list[float]:
        """Rewards of a batch; updates the moving averages first."""
        s = self.settings
        predicted, true = _predicted_and_true(completions, holding_t, label_delta, s)
        error = np.clip(np.abs(predicted - true), 0.0, 1e150)
        self.mean_error = self._averaged(self.mean_error, error)
        self.mean_change = self._averaged(self.mean_change, np.abs(true))
        threshold = s.magnitude_threshold * max(self.mean_error or 0.0, MIN_SCALE)
        # Huber over its value at the threshold c is (e/c)^2 below c; above, the minimum with 1 takes over.
        magnitude = 2.0 * (1.0 - np.minimum(error / threshold, 1.0) ** 2) - 1.0
        relative = np.clip(predicted / max(self.mean_change or 0.0, MIN_SCALE), -1e3, 1e3)
        slope = s.direction_slope * (relative * np.sign(true) - s.direction_margin)
        # tanh(z / 2) is 2 * sigmoid(z) - 1, without overflow.
        direction = np.tanh(slope / 2.0)
        return _finish(s.magnitude_weight * magnitude + s.direction_weight * direction, predicted, true)

    def state(self) -> dict[str, float | None]:
        """The moving averages, as `restore` takes them."""
        return {"mean_error": self.mean_error, "mean_change": self.mean_change}

    def restore(self, state: Mapping[str, float | None]) -> None:
        """Go on from earlier moving averages."""
        self.mean_error, self.mean_change = state["mean_error"], state["mean_change"]

    def _averaged(self, mean: float | None, values: NDArray[np.float64]) -> float | None:
        values = values[~np.isnan(values)]
        if not len(values):
            return mean
        batch = float(values.mean())
        decay = self.settings.ema_decay
        return batch if mean is None else decay * mean + (1.0 - decay) * batch


def _bound(function: Callable[..., list[float]]) -> Callable[[RewardSettings], Callable[..., list[float]]]:
    return lambda settings: functools.partial(function, settings=settings)


@dataclass(frozen=True)
class Reward:
    """How a reward is built, which dataset columns its calls take in this order, which settings it uses.

    `LABEL` among the columns stands for the label of the target.
    """

    build: Callable[[RewardSettings], Callable[..., list[float]]]
    columns: tuple[str, ...]
    constants: tuple[str, ...] = ()


LABEL = "label"
_LABELLED = ("holding_t", LABEL)
# Training, replays and the preflight share these.
REWARDS = {
    "contract_holdings": Reward(_bound(contract_reward), ("holding_t",)),
    "mse_holdings": Reward(_bound(mse_reward), _LABELLED),
    "external_holdings": Reward(
        ExternalReward,
        _LABELLED,
        ("ema_decay", "magnitude_weight", "direction_weight", "magnitude_threshold", "direction_slope",
         "direction_margin"),
    ),
    "scaled_mse_holdings": Reward(_bound(scaled_mse_reward), (*_LABELLED, "past_change"), ("scale_floor",)),
    "direction_holdings": Reward(_bound(direction_reward), _LABELLED, ("dead_band",)),
}  # fmt: skip


def _columns(name: str, target: str) -> list[str]:
    return [LABELS[target] if column == LABEL else column for column in REWARDS[name].columns]


def reads_label(names: Sequence[str]) -> bool:
    """Whether one of the named rewards looks at the truth."""
    return any(LABEL in REWARDS[name].columns for name in names)


def reward_columns(names: Sequence[str], target: str) -> list[str]:
    """The dataset columns that the named rewards need for a target."""
    return sorted({column for name in names for column in _columns(name, target)})


def score(
    reward: Callable[..., list[float]],
    name: str,
    completions: Sequence[str],
    columns: Mapping[str, Sequence],
    target: str,
) -> list[float]:
    """Call a built reward with its columns of a batch."""
    return reward(completions, *(columns[column] for column in _columns(name, target)))


def replay(
    name: str, settings: RewardSettings, completions: Sequence[str], columns: Mapping[str, Sequence], batch: int
) -> NDArray[np.float64]:
    """Rewards of completions, shape (n,), by one new reward object in consecutive batches of `batch`."""
    reward = REWARDS[name].build(settings)
    parts = [
        score(
            reward,
            name,
            completions[i : i + batch],
            {key: column[i : i + batch] for key, column in columns.items()},
            settings.target,
        )
        for i in range(0, len(completions), batch)
    ]
    return np.concatenate([np.asarray(part, float) for part in parts])
