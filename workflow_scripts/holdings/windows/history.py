"""The history of sampled windows: every feature at every lag, as wide columns `{feature}_lag{k}`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FEATURES, IDS, LABELS
from workflow_scripts.holdings.panel.pairs import is_ascending, key_arrays, same_pair
from workflow_scripts.holdings.panel.slices import read_pairs
from workflow_scripts.holdings.windows.lags import history_lags, lagged
from workflow_scripts.holdings.windows.managers import TRADE_FACTS
from workflow_scripts.holdings.windows.windows import window_ids
from workflow_scripts.plumbing.errors import InputError

# More quarter ids than there are.
QUARTERS = 1 << 16


def prompt_columns(history_quarters: int) -> list[str]:
    """The columns of a sample that a prompt may show: ids, features and facts about the manager dated t or before."""
    features = [lagged(feature, lag) for lag in history_lags(history_quarters) for feature in FEATURES]
    return ["window_id", "firm_type", "permno", *features, "held_quarters", *TRADE_FACTS]


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
    # Rows of a sorted slice are in order already: to sort millions of them again would take longer than all else here.
    order = np.arange(len(there[0])) if is_ascending(*there) else np.lexsort(there[::-1])
    mgrno, permno, quarter = (key[order] for key in there)
    begins = np.append(True, ~same_pair(mgrno, permno, 1))[: len(order)]
    # Records compare slowly: they find pairs, of which there are few; a row is found by one number.
    pairs = np.rec.fromarrays([mgrno[begins], permno[begins]])
    asked = np.rec.fromarrays(wanted[:2], dtype=pairs.dtype)
    pair = np.searchsorted(pairs, asked)
    is_known = pairs.take(pair, mode="clip") == asked
    codes, ends = (np.cumsum(begins) - 1) * QUARTERS + quarter, pair * QUARTERS + wanted[2]
    last = np.searchsorted(codes, ends)
    rows = {}
    for lag in history_lags(history_quarters):
        at = np.maximum(last - lag, 0)
        if not (is_known & (codes.take(at, mode="clip") == ends - lag)).all():
            raise InputError(
                f"{firm_type}: rows of sampled windows are no longer in the panel; build the windows again"
            )
        rows[lag] = order[at]
    features: dict[str, NDArray] = {}
    for feature in FEATURES:
        values = panel[feature].to_numpy()
        features |= {lagged(feature, lag): values[at] for lag, at in rows.items()}
    columns = {
        "window_id": window_ids(firm_type, *wanted),
        "firm_type": [firm_type] * sample.num_rows,
        **{name: sample[name] for name in (*IDS, "quarter")},
        **{name: panel[name].to_numpy()[rows[0]] for name in ("holding_t", "holding_t1")},
        "delta_sign": sample["delta_sign"],
    }
    columns |= {name: features[name] for lag in rows for name in (lagged(feature, lag) for feature in FEATURES)}
    columns["held_quarters"] = _held_quarters(panel["holding_t"].to_numpy()[order] > 0, codes)[last]
    return pa.table(columns)


def _held_quarters(held: NDArray[np.bool_], codes: NDArray[np.int64]) -> NDArray[np.int32]:
    """Quarters in a row with a position up to each row, shape (n,); the codes of a pair's next quarter differ by 1."""
    goes_on = (np.diff(codes) == 1) & held[:-1]
    begins = np.append(True, ~goes_on)[: len(held)]
    place = np.arange(len(held))
    return np.where(held, place - np.maximum.accumulate(np.where(begins, place, 0)) + 1, 0).astype(np.int32)
