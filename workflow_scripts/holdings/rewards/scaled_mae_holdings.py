"""scaled_mae_holdings: absolute error on the row's own scale, never so large that a smaller one would earn no more.

The recommended reward of the accuracy (`config/recipes/row_scale.yaml`).
"""

import functools
from collections.abc import Sequence

import numpy as np

from workflow_scripts.holdings.rewards.row_scale import RowScaleSettings, row_scale
from workflow_scripts.holdings.rewards.shared import LABELLED, Reward, finish, numbers, predicted_change
from workflow_scripts.holdings.texts.answers import Contract


def scaled_mae_reward(
    completions: Sequence[str],
    holding_t: Sequence[float | None],
    true_change: Sequence[float | None],
    past_change: Sequence[float | None],
    settings: RowScaleSettings = RowScaleSettings(),
    contract: Contract = Contract(),
) -> list[float]:
    """Absolute error on the row's own scale; -1 where nothing can be parsed.

    x = |predicted - true change| / `row_scale`, the absolute scaled error of Hyndman and Koehler (2006);
    reward = 2 / (1 + x) - 1: 1 without an error, 0 at one scale, towards -1 without reaching it. So answers of a prompt
    are always ordered as their errors are, while a squared error that is cut at two scales pays all that are further
    off the same, and pays next to nothing for the last step to the truth.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> scaled_mae_reward([answer % 1, answer % 2, answer % 4, "no"], [5.0] * 4, [1.0] * 4, [1.0] * 4)
    [1.0, 0.0, -0.5, -1.0]
    """
    predicted, true = predicted_change(completions, holding_t, contract), numbers(true_change)
    x = np.clip(np.abs(predicted - true), 0.0, 1e150) / row_scale(past_change, holding_t, settings)
    return finish(2.0 / (1.0 + x) - 1.0, predicted, true)


REWARD = Reward(
    lambda settings, contract: functools.partial(scaled_mae_reward, settings=settings, contract=contract),
    (*LABELLED, "past_change"),
    RowScaleSettings,
)
