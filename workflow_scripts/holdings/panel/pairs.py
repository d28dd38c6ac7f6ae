"""Rows of one (mgrno, permno) pair in a sorted block: keys, neighbours, and the label that the next row gives."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import IDS


def key_arrays(table: pa.Table) -> tuple[NDArray, NDArray, NDArray]:
    """mgrno, permno and quarter of a block, arrays of shape (n,)."""
    return table["mgrno"].to_numpy(), table["permno"].to_numpy(), table["quarter"].to_numpy()


def same_pair(mgrno: NDArray, permno: NDArray, distance: int) -> NDArray[np.bool_]:
    """True where a sorted row and the one `distance` rows before it are of one pair; shape (n - distance,)."""
    return (mgrno[distance:] == mgrno[:-distance]) & (permno[distance:] == permno[:-distance])


def is_ascending(mgrno: NDArray, permno: NDArray, quarter: NDArray) -> bool:
    """Whether rows are sorted by (mgrno, permno, quarter), equal keys allowed."""
    same_manager = mgrno[1:] == mgrno[:-1]
    same_pair = same_manager & (permno[1:] == permno[:-1])
    ascending = (mgrno[1:] > mgrno[:-1]) | (same_manager & (permno[1:] > permno[:-1]))
    return bool((ascending | (same_pair & (quarter[1:] >= quarter[:-1]))).all())


def pair_numbers(*tables: pa.Table) -> list[NDArray[np.intp]]:
    """A number for every pair, the same in all tables, in whatever order their rows are; arrays of shape (n,)."""
    mgrno, permno = (np.concatenate([table[name].to_numpy() for table in tables]) for name in IDS)
    order = np.lexsort((permno, mgrno))
    begins = np.append(True, ~same_pair(mgrno[order], permno[order], 1))[: len(order)]
    number = np.empty(len(order), dtype=np.intp)
    number[order] = np.cumsum(begins)
    return np.split(number, np.cumsum([table.num_rows for table in tables])[:-1])


def next_holding(
    mgrno: NDArray, permno: NDArray, quarter: NDArray, holding_t: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """What holding_t1 must be in sorted rows, shape (n,): the mask of rows that have a label, and the label.

    A row has one if the next row is the same pair's and exactly one quarter later; NaN elsewhere.
    """
    has_next = np.append(same_pair(mgrno, permno, 1) & (quarter[1:] - quarter[:-1] == 1), False)
    return has_next, np.where(has_next, np.append(holding_t[1:], np.nan), np.nan)
