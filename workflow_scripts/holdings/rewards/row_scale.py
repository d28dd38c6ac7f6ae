"""The scale of a row: how much its position moved before. No completion can move it, whoever is scored beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_doc import Doc
from annotated_types import Ge, Le
from numpy.typing import NDArray

from workflow_scripts.holdings.rewards.shared import MIN_SCALE, numbers


@dataclass(frozen=True)
class RowScaleSettings:
    """The constant of the rewards on the row's own scale."""

    scale_floor: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc("Smallest scale of scaled_mse_holdings, scaled_mae_holdings and crps_holdings, as a share of holding_t."),
    ] = 0.01


def row_scale(
    past_change: Sequence[float | None], holding_t: Sequence[float | None], settings: RowScaleSettings
) -> NDArray[np.float64]:
    """max(past_change, scale_floor * holding_t, 1e-6) by row, $ million; shape (n,).

    past_change is the mean |change| of the position within the window, known at t: the mean error that no-change had
    there, by which Hyndman and Koehler (2006) scale errors of series of different size.
    """
    floor = settings.scale_floor * numbers(holding_t)
    return np.fmax(np.fmax(numbers(past_change), floor), MIN_SCALE)
