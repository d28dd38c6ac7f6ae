"""The history of sampled windows: every feature at every lag, as wide columns `{feature}_lag{k}`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.panel import FEATURES, IDS, LABELS, key_arrays, read_pairs
from workflow_scripts.holdings.windows import window_ids

# Below this share of holding_t an active change is the rounding of a division.
ROUNDING = 1e-9


def lagged(feature: str, lag: int | str) -> str:
    """Column name of a feature `lag` quarters before t; lag 0 is t itself."""
    return f"{feature}_lag{lag}"


def history_lags(history_quarters: int) -> range:
    """Lags of a window, oldest first: 3, 2, 1, 0 for four quarters."""
    return range(history_quarters - 1, -1, -1)


def sample_lags(sample: pa.Table) -> range:
    """Lags of a sample's windows, oldest first."""
    return history_lags(sum(name.startswith(lagged("holding_t", "")) for name in sample.column_names))


def past_change(sample: pa.Table) -> NDArray[np.float64]:
    """Mean |change| of the position from quarter to quarter within the window, $ million; shape (n,)."""
    holdings = np.array([sample[lagged("holding_t", lag)].to_numpy() for lag in sample_lags(sample)])
    return np.abs(np.diff(holdings, axis=0)).mean(axis=0)


def label_arrays(sample: pa.Table) -> dict[str, NDArray[np.float64]]:
    """holding_t, label_tp1, label_delta and label_active of a sample ($ million), shape (n,).

    label_active = holding_t1 * prc_t / prc_t1 - holding_t is what the manager traded, valued at the price of t: the
    dollar change without the stock's return. NaN where the stock was split, and where a price is missing, but for a
    full exit, which needs none: it is -holding_t.
    """
    holding_t, holding_t1, price_ratio, split_ratio = (
        sample[name].to_numpy() for name in ("holding_t", "holding_t1", "price_ratio", "split_ratio")
    )
    at_old_price = np.where(holding_t1 == 0, 0.0, holding_t1 / price_ratio)
    active = np.where(np.isnan(split_ratio), at_old_price, np.nan) - holding_t
    # Who keeps his shares has traded nothing: what is left of the division is rounding.
    active = np.where(np.abs(active) < ROUNDING * holding_t, 0.0, active)
    return {
        "holding_t": holding_t,
        "label_tp1": holding_t1,
        "label_delta": holding_t1 - holding_t,
        "label_active": active,
    }


def prompt_columns(history_quarters: int) -> list[str]:
    """The columns of a sample that a prompt may show: ids, and features dated t or before."""
    features = [lagged(feature, lag) for lag in history_lags(history_quarters) for feature in FEATURES]
    return ["window_id", "firm_type", "permno", *features]


def read_history(panel_path: str | Path, sample: pa.Table) -> pa.Table:
    """The panel rows of the sampled pairs, all features and the label, in the order of the slice."""
    return read_pairs(panel_path, (*IDS, "date", *FEATURES, *LABELS), sample)


def attach_history(sample: pa.Table, panel: pa.Table, firm_type: str, history_quarters: int) -> pa.Table:
    """Add window_id, label and the features of t-(n-1)..t to a sample of `build_windows` rows.

    `panel` holds at least the rows of the sampled pairs (`read_history`). The result has the columns
    window_id, firm_type, mgrno, permno, quarter, holding_t, holding_t1 ($ million), delta_sign,
    then `{feature}_lag{k}` for k = n-1..0. Raises InputError if a row of a window has vanished from
    the panel since the windows were built.
    """
    wanted, there = key_arrays(sample), key_arrays(panel)
    order = np.lexsort(there[::-1])
    keys = np.rec.fromarrays([key[order] for key in there])
    last = np.searchsorted(keys, np.rec.fromarrays(wanted, dtype=keys.dtype))
    rows = {}
    for lag in history_lags(history_quarters):
        expected = np.rec.fromarrays([*wanted[:2], wanted[2] - lag], dtype=keys.dtype)
        at = np.maximum(last - lag, 0)
        if not np.array_equal(keys.take(at, mode="clip"), expected):
            raise InputError(
                f"{firm_type}: rows of sampled windows are no longer in the panel; build the windows again"
            )
        rows[lag] = order[at]
    columns = {
        "window_id": window_ids(firm_type, *wanted),
        "firm_type": [firm_type] * sample.num_rows,
        **{name: sample[name] for name in (*IDS, "quarter")},
        **{name: panel[name].to_numpy()[rows[0]] for name in ("holding_t", "holding_t1")},
        "delta_sign": sample["delta_sign"],
    }
    for lag in rows:
        for feature in FEATURES:
            columns[lagged(feature, lag)] = panel[feature].to_numpy()[rows[lag]]
    return pa.table(columns)
