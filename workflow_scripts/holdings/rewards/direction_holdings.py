"""direction_holdings: is the direction of the change right? It depends on its own row alone."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_doc import Doc
from annotated_types import Ge

from workflow_scripts.holdings.rewards.shared import LABELLED, Reward, finish, numbers, predicted_change
from workflow_scripts.holdings.texts.answers import Contract


@dataclass(frozen=True)
class DirectionSettings:
    """The constant of direction_holdings."""

    dead_band: Annotated[float, Ge(0), Doc("Changes up to this share of holding_t are flat in direction_holdings.")] = (
        0.01
    )


def direction_reward(
    completions: Sequence[str],
    holding_t: Sequence[float | None],
    true_change: Sequence[float | None],
    settings: DirectionSettings = DirectionSettings(),
    contract: Contract = Contract(),
) -> list[float]:
    """1 where the direction (up, flat or down) is right, 0 where it is one off, -1 for the opposite or no number.

    Flat is a change of at most dead_band * holding_t, so that a forecast of no change is not paid for a move.

    >>> answer = '<answer>{"holding_delta": %s}</answer>'
    >>> direction_reward([answer % 1, answer % 0.01, answer % -1], [5.0] * 3, [2.0] * 3)
    [1.0, 0.0, -1.0]
    """
    predicted, true = predicted_change(completions, holding_t, contract), numbers(true_change)
    band = settings.dead_band * np.nan_to_num(numbers(holding_t))
    direction = [np.sign(change) * (np.abs(change) > band) for change in (predicted, true)]
    return finish(1.0 - np.abs(direction[0] - direction[1]), predicted, true)


REWARD = Reward(
    lambda settings, contract: functools.partial(direction_reward, settings=settings, contract=contract),
    LABELLED,
    DirectionSettings,
)
