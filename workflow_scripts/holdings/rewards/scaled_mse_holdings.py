"""scaled_mse_holdings: squared error on the row's own scale, which no other completion can move."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_doc import Doc
from annotated_types import Ge

from workflow_scripts.holdings.rewards.shared import (
    LABELLED,
    MIN_SCALE,
    Reward,
    finish,
    numbers,
    predicted_change,
    squared,
)


@dataclass(frozen=True)
class ScaledMseSettings:
    """The constant of scaled_mse_holdings."""

    scale_floor: Annotated[float, Ge(0), Doc("Smallest scale of scaled_mse_holdings, as a share of holding_t.")] = 0.01


def scaled_mse_reward(
    completions: Sequence[str],
    holding_t: Sequence[float | None],
    true_change: Sequence[float | None],
    past_change: Sequence[float | None],
    settings: ScaledMseSettings = ScaledMseSettings(),
    target: str = "holding_delta",
) -> list[float]:
    """Squared error on the row's own scale; -1 where nothing can be parsed.

    scale = max(past_change, scale_floor * holding_t, 1e-6), where past_change is the mean |change| of the
    position within the window, known at t; x = e / scale; reward = 2 * (1 - min(x^2, 4) / 4) - 1.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> scaled_mse_reward([answer % 1, answer % 2, "no"], [5.0] * 3, [1.0] * 3, [1.0] * 3)
    [1.0, 0.5, -1.0]
    """
    predicted, true = predicted_change(completions, holding_t, target), numbers(true_change)
    floor = settings.scale_floor * numbers(holding_t)
    scale = np.fmax(np.fmax(numbers(past_change), floor), MIN_SCALE)
    return finish(squared(np.clip(predicted - true, -1e150, 1e150), scale), predicted, true)


REWARD = Reward(
    lambda settings, target: functools.partial(scaled_mse_reward, settings=settings, target=target),
    (*LABELLED, "past_change"),
    ScaledMseSettings,
)
