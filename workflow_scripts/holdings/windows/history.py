"""The history of sampled windows: every feature at every lag, as wide columns `{feature}_lag{k}`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FEATURES, IDS, LABELS
from workflow_scripts.holdings.panel.pairs import key_arrays, same_pair
from workflow_scripts.holdings.panel.slices import read_pairs
from workflow_scripts.holdings.windows.lags import history_lags, lagged
from workflow_scripts.holdings.windows.windows import window_ids
from workflow_scripts.plumbing.errors import InputError


def prompt_columns(history_quarters: int) -> list[str]:
    """The columns of a sample that a prompt may show: ids, and features dated t or before."""
    features = [lagged(feature, lag) for lag in history_lags(history_quarters) for feature in FEATURES]
    return ["window_id", "firm_type", "permno", *features, "held_quarters"]


def read_history(panel_path: str | Path, sample: pa.Table) -> pa.Table:
    """The panel rows of the sampled pairs: ids, quarter, all features and the label, in the order of the slice."""
    return read_pairs(panel_path, (*IDS, "date", *FEATURES, *LABELS), sample).drop_columns(["date"])


def attach_history(sample: pa.Table, panel: pa.Table, firm_type: str, history_quarters: int) -> pa.Table:
    """Add window_id, label and the features of t-(n-1)..t to a sample of `build_windows` rows.

    `panel` holds at least the rows of the sampled pairs (`read_history`). The result has the columns
    window_id, firm_type, mgrno, permno, quarter, holding_t, holding_t1 ($ million), delta_sign,
    then `{feature}_lag{k}` for k = n-1..0, and held_quarters: for how many quarters in a row, t included, the pair's
    rows show a position. Raises InputError if a row of a window has vanished from
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
    columns["held_quarters"] = _held_quarters(panel, order)[last]
    return pa.table(columns)


def _held_quarters(panel: pa.Table, order: NDArray[np.intp]) -> NDArray[np.int32]:
    """Quarters in a row with a position up to each row of the panel in `order` (sorted by key), shape (n,)."""
    mgrno, permno, quarter = (key[order] for key in key_arrays(panel))
    held = panel["holding_t"].to_numpy()[order] > 0
    goes_on = same_pair(mgrno, permno, 1) & (np.diff(quarter) == 1) & held[:-1]
    begins = np.append(True, ~goes_on)[: len(held)]
    place = np.arange(len(held))
    return np.where(held, place - np.maximum.accumulate(np.where(begins, place, 0)) + 1, 0).astype(np.int32)
