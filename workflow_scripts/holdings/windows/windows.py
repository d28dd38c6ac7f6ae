"""Windows: strictly consecutive quarters t-(n-1)..t of one (mgrno, permno) pair."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from annotated_doc import Doc
from annotated_types import Ge, Le
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.pairs import key_arrays, same_pair


@dataclass(frozen=True)
class WindowSettings:
    """The history that a forecast may use."""

    history_quarters: Annotated[
        int, Ge(2), Le(40), Doc("Strictly consecutive quarters of a window, t included; two, for at least one change.")
    ] = 4


# What is read of a slice to find its windows.
WINDOW_COLUMNS = ("mgrno", "permno", "date", "holding_t", "holding_t1", "aum")


def build_windows(block: pa.Table, history_quarters: int = 4) -> pa.Table:
    """The windows of whole pairs, from their whole history, sorted by (mgrno, permno, quarter).

    `block` comes from `panel_blocks` and has mgrno, permno, quarter, holding_t, holding_t1 and aum ($ million).
    The result has one row per window: mgrno, permno, quarter (id of t), aum at t, `zero_holding` (holding_t is
    0) and `delta_sign`, the sign of holding_t1 - holding_t (int8, null where holding_t1 is missing). Raises
    ValueError for `history_quarters` < 2, because a window needs at least one change, and for rows that
    are not strictly ascending.
    """
    if history_quarters < 2:
        raise ValueError(f"history_quarters is {history_quarters}; a window needs at least 2")
    mgrno, permno, quarter = key_arrays(block)
    if not (~same_pair(mgrno, permno, 1) | (quarter[1:] > quarter[:-1])).all():
        raise ValueError("rows are not sorted, or a (mgrno, permno, quarter) occurs twice; check_panel refuses that")
    # Quarters of a pair ascend without repetition: n rows are consecutive if the last is n - 1 after the first.
    distance = history_quarters - 1
    complete = same_pair(mgrno, permno, distance) & (quarter[distance:] - quarter[:-distance] == distance)
    ends = np.flatnonzero(complete) + distance
    holding_t, holding_t1 = (block[name].to_numpy()[ends] for name in ("holding_t", "holding_t1"))
    delta = holding_t1 - holding_t
    unknown = np.isnan(delta)
    return pa.table(
        {
            "mgrno": mgrno[ends],
            "permno": permno[ends],
            "quarter": quarter[ends],
            "aum": block["aum"].to_numpy()[ends],
            "zero_holding": holding_t == 0,
            "delta_sign": pa.array(np.sign(np.where(unknown, 0.0, delta)).astype(np.int8), mask=unknown),
        }
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
