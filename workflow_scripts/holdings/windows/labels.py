"""What came true for the windows of a sample, and how much their positions moved before."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.windows.lags import lagged, sample_lags

# Below this share of holding_t an active change is the rounding of a division.
ROUNDING = 1e-9
Array = NDArray[np.float64]


def past_change(sample: pa.Table) -> Array:
    """Mean |change| of the position from quarter to quarter within the window, $ million; shape (n,)."""
    holdings = np.array([sample[lagged("holding_t", lag)].to_numpy() for lag in sample_lags(sample)])
    return np.abs(np.diff(holdings, axis=0)).mean(axis=0)


def active_change(held: Array, held_next: Array, price_ratio: Array, split_ratio: Array) -> Array:
    """What was traded until the next quarter, valued at this quarter's price: $ million, shape (n,).

    The next position at the old price, less this one: the dollar change without the stock's return. NaN where the stock
    was split, and where a price is missing, but for a full exit, which needs none: it is -held.
    """
    at_old_price = np.where(held_next == 0, 0.0, held_next / price_ratio)
    active = np.where(np.isnan(split_ratio), at_old_price, np.nan) - held
    # Who keeps his shares has traded nothing: what is left of the division is rounding.
    return np.where(np.abs(active) < ROUNDING * held, 0.0, active)


def label_arrays(sample: pa.Table) -> dict[str, Array]:
    """holding_t, label_tp1, label_delta and label_active (`active_change`) of a sample ($ million), shape (n,)."""
    holding_t, holding_t1, price_ratio, split_ratio = (
        sample[name].to_numpy() for name in ("holding_t", "holding_t1", "price_ratio", "split_ratio")
    )
    return {
        "holding_t": holding_t,
        "label_tp1": holding_t1,
        "label_delta": holding_t1 - holding_t,
        "label_active": active_change(holding_t, holding_t1, price_ratio, split_ratio),
    }
