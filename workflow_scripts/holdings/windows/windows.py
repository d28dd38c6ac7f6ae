"""Windows: strictly consecutive quarters t-(n-1)..t of one (mgrno, permno) pair."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import pyarrow as pa
from annotated_doc import Doc
from annotated_types import Ge, Le, Predicate
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.pairs import key_arrays, same_pair
from workflow_scripts.holdings.panel.quarters import label_ids


def is_stock_quarter(text: str) -> bool:
    """Whether a text is a permno and a quarter, such as `10107 2016Q4`."""
    stock, _, quarter = text.partition(" ")
    is_quarter = len(quarter) == 6 and quarter[:4].isdecimal() and quarter[4] == "Q" and quarter[5] in "1234"
    return stock.removeprefix("-").isdecimal() and is_quarter


StockQuarter = Annotated[str, Predicate(is_stock_quarter)]


@dataclass(frozen=True)
class WindowSettings:
    """The history that a forecast may use."""

    history_quarters: Annotated[
        int, Ge(2), Le(40), Doc("Strictly consecutive quarters of a window, t included; two, for at least one change.")
    ] = 4
    set_aside: Annotated[
        list[StockQuarter],
        Doc(
            'Stock-quarters that no window and no label may come from, such as "10107 2016Q4": those that check_panel '
            "finds off by 10^3 or more (odd_stock_quarters in panel_report.json)."
        ),
    ] = field(default_factory=list)


# What is read of a slice to find its windows.
WINDOW_COLUMNS = ("mgrno", "permno", "date", "holding_t", "holding_t1", "aum")


def without_stock_quarters(block: pa.Table, set_aside: Sequence[str]) -> pa.Table:
    """A block without the rows of some stock-quarters, and without the labels that are dated then.

    `block` has permno, quarter and holding_t1 beside any other columns.
    """
    permno, quarter, label = (block[name].to_numpy() for name in ("permno", "quarter", "holding_t1"))
    stocks = np.array([int(one.split()[0]) for one in set_aside], dtype=np.int64)
    quarters = label_ids(one.split()[1] for one in set_aside)
    kept = np.ones(len(permno), dtype=bool)
    for stock in np.unique(stocks):
        rows = np.flatnonzero(permno == stock)
        odd = quarters[stocks == stock]
        kept[rows[np.isin(quarter[rows], odd)]] = False
        before = rows[np.isin(quarter[rows] + 1, odd)]
        if len(before):
            label = label.copy()
            label[before] = np.nan
    return block.set_column(block.column_names.index("holding_t1"), "holding_t1", pa.array(label)).filter(
        pa.array(kept)
    )


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
