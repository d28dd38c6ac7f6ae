"""Windows: strictly consecutive quarters t-(n-1)..t of one (mgrno, permno) pair."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WINDOW_COLUMNS = ("mgrno", "permno", "date", "holding_t", "holding_t1", "aum")


def sort_order(mgrno: NDArray, permno: NDArray, quarter: NDArray) -> NDArray[np.intp] | None:
    """Order that sorts rows by (mgrno, permno, quarter), or None where they are sorted already.

    Testing is one pass; sorting 10^8 rows is not, and slices that the field's tools write are sorted.
    """
    if len(quarter) < 2:
        return None
    same_manager = mgrno[1:] == mgrno[:-1]
    same_pair = same_manager & (permno[1:] == permno[:-1])
    ascending = (
        (mgrno[1:] > mgrno[:-1])
        | (same_manager & (permno[1:] > permno[:-1]))
        | (same_pair & (quarter[1:] >= quarter[:-1]))
    )
    return None if ascending.all() else np.lexsort((quarter, permno, mgrno))


def follows_previous(mgrno: NDArray, permno: NDArray, quarter: NDArray) -> NDArray[np.bool_]:
    """True where a sorted row is the quarter right after the row before it, of the same pair."""
    follows = np.zeros(len(quarter), dtype=bool)
    follows[1:] = (mgrno[1:] == mgrno[:-1]) & (permno[1:] == permno[:-1]) & (quarter[1:] == quarter[:-1] + 1)
    return follows


def window_ends(follows: NDArray[np.bool_], history_quarters: int) -> NDArray[np.intp]:
    """Positions of the rows t whose `history_quarters` - 1 predecessors are strictly consecutive."""
    position = np.arange(len(follows))
    run_start = np.maximum.accumulate(np.where(follows, 0, position))
    return np.flatnonzero(position - run_start >= history_quarters - 1)


def build_windows(panel: pa.Table, quarter: NDArray[np.int32], history_quarters: int = 4) -> pa.Table:
    """All windows of a panel slice, from its whole history, sorted by (mgrno, permno, quarter).

    `panel` has mgrno, permno, holding_t, holding_t1 ($ million) and aum ($ million); `quarter` holds
    the quarter id of each row. The result has one row per window: mgrno, permno, quarter (id of t),
    holding_t, holding_t1, aum (all at t) and `delta_sign`, the sign of holding_t1 - holding_t (int8,
    null where holding_t1 is missing). Raises ValueError for `history_quarters` < 2, because a
    window needs at least one change.
    """
    if history_quarters < 2:
        raise ValueError(f"history_quarters is {history_quarters}; a window needs at least 2")
    mgrno, permno = (panel[name].to_numpy() for name in ("mgrno", "permno"))
    order = sort_order(mgrno, permno, quarter)
    if order is not None:
        mgrno, permno, quarter = mgrno[order], permno[order], quarter[order]
    ends = window_ends(follows_previous(mgrno, permno, quarter), history_quarters)
    rows = ends if order is None else order[ends]
    values = {name: panel[name].to_numpy()[rows] for name in ("holding_t", "holding_t1", "aum")}
    delta = values["holding_t1"] - values["holding_t"]
    unknown = np.isnan(delta)
    sign = pa.array(np.sign(np.where(unknown, 0.0, delta)).astype(np.int8), mask=unknown)
    return pa.table(
        {"mgrno": mgrno[ends], "permno": permno[ends], "quarter": quarter[ends], **values, "delta_sign": sign}
    )


def window_ids(firm_type: str, mgrno: NDArray, permno: NDArray, quarter: NDArray) -> list[str]:
    """`{firm_type}-{mgrno}-{permno}-{YYYY}Q{q}`: the key of every later join.

    >>> window_ids("banks", np.array([7]), np.array([10107]), np.array([8068]))
    ['banks-7-10107-2017Q1']
    """
    return [
        f"{firm_type}-{m}-{p}-{q // 4}Q{q % 4 + 1}"
        for m, p, q in zip(mgrno.tolist(), permno.tolist(), quarter.tolist(), strict=True)
    ]
