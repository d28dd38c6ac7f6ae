"""mse_holdings: squared error on the scale of the batch. One of the published recipe's two rewards.

The mean of this reward has no scale: errors that are all a thousand times as large earn the same, so that it says
nothing between policies, stages or batches. Only what it pays within a group teaches. On real dollar changes the scale
of a batch moves over orders of magnitude, and small positions beside a large one earn practically the same whatever
they answer; scaled_mae_holdings takes the row's own scale.
"""

import functools
from collections.abc import Sequence

import numpy as np

from workflow_scripts.holdings.rewards.shared import (
    LABELLED,
    MIN_SCALE,
    Reward,
    finish,
    numbers,
    predicted_change,
    squared,
)
from workflow_scripts.holdings.texts.answers import Contract


def mse_reward(
    completions: Sequence[str],
    holding_t: Sequence[float | None],
    true_change: Sequence[float | None],
    contract: Contract = Contract(),
) -> list[float]:
    """Squared error on the scale of the batch; -1 where nothing can be parsed.

    e = predicted - true change; scale = 95th percentile (linear interpolation) of |e| over the
    parsed, labelled completions of the batch, at least 1e-6; x = e / scale;
    reward = 2 * (1 - min(x^2, 4) / 4) - 1.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> mse_reward([answer % 1, answer % 1, "no"], [5.0] * 3, [1.0] * 3)
    [1.0, 1.0, -1.0]
    """
    predicted, true = predicted_change(completions, holding_t, contract), numbers(true_change)
    # Clipping keeps the square finite; errors this large earn -1 in any case.
    error = np.clip(predicted - true, -1e150, 1e150)
    known = ~np.isnan(error)
    scale = max(float(np.quantile(np.abs(error[known]), 0.95)), MIN_SCALE) if known.any() else MIN_SCALE
    return finish(squared(error, scale), predicted, true)


REWARD = Reward(lambda settings, contract: functools.partial(mse_reward, contract=contract), LABELLED, self_scaled=True)
