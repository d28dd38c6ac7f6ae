"""scaled_mse_holdings: squared error on the row's own scale, which no other completion can move."""

import functools
from collections.abc import Sequence

import numpy as np

from workflow_scripts.holdings.rewards.row_scale import RowScaleSettings, row_scale
from workflow_scripts.holdings.rewards.shared import LABELLED, Reward, finish, numbers, predicted_change, squared
from workflow_scripts.holdings.texts.answers import Contract


def scaled_mse_reward(
    completions: Sequence[str],
    holding_t: Sequence[float | None],
    true_change: Sequence[float | None],
    past_change: Sequence[float | None],
    settings: RowScaleSettings = RowScaleSettings(),
    contract: Contract = Contract(),
) -> list[float]:
    """Squared error on the row's own scale; -1 where nothing can be parsed.

    x = (predicted - true change) / `row_scale`; reward = 2 * (1 - min(x^2, 4) / 4) - 1.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> scaled_mse_reward([answer % 1, answer % 2, "no"], [5.0] * 3, [1.0] * 3, [1.0] * 3)
    [1.0, 0.5, -1.0]
    """
    predicted, true = predicted_change(completions, holding_t, contract), numbers(true_change)
    error = np.clip(predicted - true, -1e150, 1e150)
    return finish(squared(error, row_scale(past_change, holding_t, settings)), predicted, true)


REWARD = Reward(
    lambda settings, contract: functools.partial(scaled_mse_reward, settings=settings, contract=contract),
    (*LABELLED, "past_change"),
    RowScaleSettings,
)
