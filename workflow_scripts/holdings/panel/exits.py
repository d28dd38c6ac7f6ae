"""Exit rows that a panel lacks: a position that is gone from the next filing of its manager was sold.

A row of holding 0 is made where a manager files in t+1, the stock is still there, and the pair has no row. A manager
who skips a quarter gives none, and a stock without a row in t+1, in any slice, gives none: it may have left the market,
and nobody sold it.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FACTORS, PANEL_COLUMNS
from workflow_scripts.holdings.panel.pairs import key_arrays, next_holding, same_pair
from workflow_scripts.holdings.panel.slices import SCHEMA
from workflow_scripts.holdings.panel.stock_quarters import QuarterKeys

FILING_COLUMNS, OF_FILING = ("mgrno", "date", "holding_t", "aum", "outaum"), ("date", "aum", "outaum")
OF_STOCK = (*FACTORS, "prc")
STOCK_COLUMNS = ("permno", "date", *OF_STOCK)


class QuarterValues:
    """Values of a manager's or a stock's quarters, found by id and quarter."""

    def __init__(self, table: pa.Table, name: str, columns: Sequence[str]) -> None:
        table = table.sort_by([(name, "ascending"), ("quarter", "ascending")])
        self._keys = QuarterKeys(table[name].to_numpy(), table["quarter"].to_numpy())
        self._columns = {column: table[column].to_numpy() for column in columns}
        self._rows = table.num_rows

    def rows(self, ids: NDArray[np.int64], quarter: NDArray[np.int32]) -> NDArray[np.int64]:
        """Where each quarter stands, -1 for those that are not there; shape (n,)."""
        rows = self._keys.rows(ids, quarter)
        return np.where(rows < self._rows, rows, -1)

    def values(self, rows: NDArray[np.int64]) -> dict[str, NDArray]:
        """The columns of some rows."""
        return {name: column[rows] for name, column in self._columns.items()}


def _quarters(tables: Iterable[pa.Table], name: str, columns: Sequence[str]) -> QuarterValues:
    """Every quarter of an id once; the least of values that differ, so that no order of rows matters."""
    parts = []
    for table in tables:
        for column in columns:
            if pa.types.is_floating(table[column].type):
                known = pc.if_else(pc.is_nan(table[column]), None, table[column])
                table = table.set_column(table.column_names.index(column), column, known)
        parts.append(_least(table, name, columns))
    return QuarterValues(_least(pa.concat_tables(parts), name, columns), name, columns)


def _least(table: pa.Table, name: str, columns: Sequence[str]) -> pa.Table:
    least = table.group_by([name, "quarter"]).aggregate([(column, "min") for column in columns])
    return least.rename_columns([column.removesuffix("_min") for column in least.column_names])


def filings(tables: Iterable[pa.Table]) -> QuarterValues:
    """The quarters in which managers hold anything; from parts of a slice with FILING_COLUMNS and `quarter`."""
    return _quarters((table.filter(pc.greater(table["holding_t"], 0)) for table in tables), "mgrno", OF_FILING)


def stocks(tables: Iterable[pa.Table]) -> QuarterValues:
    """The quarters of all stocks with price and factors; from parts of slices with STOCK_COLUMNS and `quarter`."""
    return _quarters(tables, "permno", OF_STOCK)


def add_exits(block: pa.Table, filed: QuarterValues, traded: QuarterValues) -> tuple[pa.Table, int]:
    """A block of whole pairs, sorted, with its exit rows and their labels; and how many rows were made.

    The row before gets the label 0. An exit row has one where the pair comes back in the next quarter.
    """
    mgrno, permno, quarter = key_arrays(block)
    holding, label = block["holding_t"].to_numpy(), block["holding_t1"].to_numpy().copy()
    has_next, _ = next_holding(mgrno, permno, quarter, holding)
    at = np.flatnonzero(~has_next & (holding > 0))
    filing, stock = filed.rows(mgrno[at], quarter[at] + 1), traded.rows(permno[at], quarter[at] + 1)
    gone = (filing >= 0) & (stock >= 0)
    at, filing, stock = at[gone], filing[gone], stock[gone]
    label[at] = 0.0
    returns = np.append(same_pair(mgrno, permno, 1) & (np.diff(quarter) == 2), False)[at]
    rows = {
        "type": block["type"].take(at).cast(pa.string()),
        "mgrno": mgrno[at],
        "permno": permno[at],
        "holding_t": np.zeros(len(at)),
        "holding_t1": np.where(returns, holding[np.minimum(at + 1, len(holding) - 1)], np.nan),
        **filed.values(filing),
        **traded.values(stock),
    }
    kept = block.set_column(block.column_names.index("holding_t1"), "holding_t1", pa.array(label))
    exits = pa.table({name: rows[name] for name in PANEL_COLUMNS})
    both = pa.concat_tables([kept.select(PANEL_COLUMNS).cast(SCHEMA), exits.cast(SCHEMA)])
    # Each right after the row that it follows.
    order = np.insert(np.arange(len(holding)), at + 1, len(holding) + np.arange(len(at)))
    return both.take(order), len(at)
