"""crps_holdings: the score of a distribution on the row's own scale: place and width are paid by one number.

The reward of answers that are quantiles (`config/recipes/quantiles.yaml`). One number is a sure forecast.

A reward has to be bounded, and the CRPS is not. Bending the score itself, as 2 / (1 + x) - 1 does, would teach false
confidence: it pays for luck, and is largest at 0.65 of the width that a forecaster believes in, whose 80 % band then
holds 59 % (of a Gaussian, its mean |change| as scale). So the *outcome* is bent, truth and quantiles alike, by a
function that rises everywhere: quantiles of what is bent are the bent quantiles, and whoever says what he believes
still earns the most.
"""

import functools
from collections.abc import Sequence

import numpy as np

from workflow_scripts.holdings.rewards.crps import crps
from workflow_scripts.holdings.rewards.row_scale import RowScaleSettings, row_scale
from workflow_scripts.holdings.rewards.shared import LABELLED, Array, Reward, finish, numbers, predicted_quantiles
from workflow_scripts.holdings.texts.answers import Contract

# A change of so many scales of its row counts half of the most that any change counts. Up to there it counts nearly in
# proportion, so that the outer quantiles, too, are worth an effort.
HALF = 3.0


def bent(change: Array, scale: Array) -> Array:
    """change / (HALF * scale + |change|): between -1 and 1, and rising everywhere."""
    # Larger numbers have no quotient; they are all ±1 long before.
    cut = np.clip(change, -1e150, 1e150)
    return cut / (HALF * np.minimum(scale, 1e150) + np.abs(cut))


def crps_reward(
    completions: Sequence[str],
    holding_t: Sequence[float | None],
    true_change: Sequence[float | None],
    past_change: Sequence[float | None],
    settings: RowScaleSettings = RowScaleSettings(),
    contract: Contract = Contract(),
) -> list[float]:
    """1 - `crps` of truth and quantiles, all of them `bent` at the row's scale; -1 where nothing can be parsed.

    That is the CRPS weighted by the slope of `bent`, which is proper (Gneiting and Ranjan 2011; Allen, Ginsbourger and
    Ziegel 2023). 1 is being sure of the truth; of one number it is 1 - |bent(predicted) - bent(true)|, whose best
    answer is the median.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> crps_reward([answer % 0, answer % 3, answer % -9, "no"], [5.0] * 4, [0.0] * 4, [1.0] * 4)
    [1.0, 0.5, 0.25, -1.0]
    """
    said, true = predicted_quantiles(completions, holding_t, contract), numbers(true_change)
    scale = row_scale(past_change, holding_t, settings)
    return finish(1.0 - crps(bent(true, scale), bent(said, scale[:, None])), said[:, 0], true)


REWARD = Reward(
    lambda settings, contract: functools.partial(crps_reward, settings=settings, contract=contract),
    (*LABELLED, "past_change"),
    RowScaleSettings,
)
