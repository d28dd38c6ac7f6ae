"""What a manager did with all of his positions: the facts about him that are known at t, beside the window's own.

A trade is the active change of a position from one quarter to the next over its value before, between -1 (sold) and 1
(doubled or more), dated by the later quarter; a position bought from nothing has none. All sums are of integers, exact:
the order of the rows does not matter.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FACTORS
from workflow_scripts.holdings.panel.stock_quarters import QuarterKeys, StockQuarters
from workflow_scripts.holdings.windows.labels import Array, active_change
from workflow_scripts.holdings.windows.lags import lagged

MANAGER_COLUMNS = ("mgrno", "permno", "date", "holding_t", "holding_t1", *FACTORS)
# What is counted and summed per manager and quarter.
TRADES = ("trades", "sum_trade", "untraded", "sold")
# Characteristics of Koijen and Yogo's demand, with the position's own logarithm first.
DEMAND = ("log_holding", "log_me", "log_be", "profit", "Gat", "beta")
HELD = "positions"
SUMS_OF_DEMAND = tuple(f"sum_{name}" for name in DEMAND)
KEYS = ["mgrno", "quarter"]
COUNTS = (*TRADES, HELD, *SUMS_OF_DEMAND)
# What is summed is rounded to this unit, and cut off beyond the limit: 10^6 positions of a manager fit.
UNIT, LIMIT = 1e-9, 1e3
# The most that a trade counts for, as in the headline of the evaluation.
CAP = 1.0
MEANS_OF_DEMAND = tuple(f"manager_mean_{name}" for name in DEMAND)
# The columns of a sample that this module adds; of the own position, the trade of the last quarter is left out of the
# first four, so that they say what the manager did elsewhere.
TRADE_FACTS = (
    "manager_trades",
    "manager_mean_trade",
    "manager_untraded",
    "manager_sold",
    "manager_past_trades",
    "manager_past_mean_trade",
)
FACTS = (*TRADE_FACTS, *MEANS_OF_DEMAND)


def trades(held: Array, held_next: Array, price_ratio: Array, split_ratio: Array) -> Array:
    """Active change over the position, from -CAP to CAP, shape (n,); NaN where it is unknown or nothing was held."""
    with np.errstate(divide="ignore", invalid="ignore"):
        trade = active_change(held, held_next, price_ratio, split_ratio) / held
    return np.where(held > 0, np.clip(trade, -CAP, CAP), np.nan)


def demand_columns(held: Array, factors: Sequence[Array]) -> list[Array]:
    """The columns of DEMAND of positions, shape (n,) each, `factors` being those of FACTORS; NaN where one is unknown.

    Logarithms of position, market and book equity; profit, Gat and beta as they are (Koijen and Yogo 2019, A Demand
    System Approach to Asset Pricing, equation 10).
    """
    columns, known = _demand(held, factors)
    return [np.where(known, column, np.nan) for column in columns]


def _demand(held: Array, factors: Sequence[Array]) -> tuple[list[Array], NDArray[np.bool_]]:
    """The columns of DEMAND, and where all of them are known."""
    me, be, *others = factors
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [np.log(held), np.log(me), np.log(be), *others]
    return columns, np.all([np.isfinite(column) for column in columns], axis=0)


def _integers(values: Array) -> NDArray[np.int64]:
    return np.rint(np.clip(values, -LIMIT, LIMIT) / UNIT).astype(np.int64)


def _added(tables: Sequence[pa.Table]) -> pa.Table:
    """Sums of all columns by manager and quarter."""
    table = pa.concat_tables(tables)
    names = [name for name in table.column_names if name not in KEYS]
    added = table.group_by(KEYS, use_threads=False).aggregate([(name, "sum") for name in names])
    return added.select([*KEYS, *(f"{name}_sum" for name in names)]).rename_columns([*KEYS, *names])


def _part_sums(part: pa.Table, stocks: StockQuarters) -> tuple[pa.Table, pa.Table]:
    """Sums of the trades of some rows, which are dated the quarter after, and of their positions."""
    mgrno, permno, quarter = (part[name].to_numpy() for name in ("mgrno", "permno", "quarter"))
    held, held_next = (part[name].to_numpy() for name in ("holding_t", "holding_t1"))
    prices = stocks.next_prices(permno, quarter)
    trade = trades(held, held_next, prices["price_ratio"], prices["split_ratio"])
    known = ~np.isnan(trade)
    trade = trade[known]
    counts = (np.ones(len(trade), np.int64), _integers(trade), (trade == 0).astype(int), (trade == -1).astype(int))
    of_trades = {"mgrno": mgrno[known], "quarter": quarter[known] + 1, **dict(zip(TRADES, counts, strict=True))}
    columns, known = _demand(held, [part[name].to_numpy() for name in FACTORS])
    sums = {name: _integers(np.where(known, x, 0.0)) for name, x in zip(SUMS_OF_DEMAND, columns, strict=True)}
    # Of all rows: a manager has his past also in a quarter in which nothing of him is known.
    of_positions = {"mgrno": mgrno, "quarter": quarter, HELD: known.astype(int), **sums}
    return _added([pa.table(of_trades)]), _added([pa.table(of_positions)])


def _both_added(parts: Sequence[tuple[pa.Table, pa.Table]]) -> tuple[pa.Table, pa.Table]:
    of_trades, of_positions = zip(*parts, strict=True)
    return _added(of_trades), _added(of_positions)


def _with_all_counts(table: pa.Table) -> pa.Table:
    """The columns of COUNTS; those that are not there are 0."""
    zero = np.zeros(table.num_rows, dtype=np.int64)
    counts = {name: table[name] if name in table.column_names else zero for name in COUNTS}
    return pa.table({**{name: table[name] for name in KEYS}, **counts})


def manager_quarters(parts: Iterable[pa.Table], stocks: StockQuarters) -> pa.Table:
    """One row per manager and quarter, sorted: counts and sums (integers, sums in UNIT) of what is known at its end.

    `parts` are the rows of a slice (MANAGER_COLUMNS, with `quarter`) in any order. Columns: mgrno, quarter; `trades`
    until this quarter, `sum_trade` of these, how many of them were 0 (`untraded`) and -1 (`sold`); `past_trades` and
    `past_sum_trade`, the first two over this quarter and all before; `positions` whose columns of DEMAND are all known,
    and `sum_` of each.
    """
    waiting: list[tuple[pa.Table, pa.Table]] = []
    for part in parts:
        waiting.append(_part_sums(part, stocks))
        if len(waiting) > 25:
            waiting = [_both_added(waiting)]
    table = _added([_with_all_counts(sums) for sums in _both_added(waiting)])
    table = table.sort_by([(name, "ascending") for name in KEYS])
    mgrno = table["mgrno"].to_numpy()
    begins = np.append(True, mgrno[1:] != mgrno[:-1])[: len(mgrno)]
    first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    for name in ("trades", "sum_trade"):
        values = table[name].to_numpy()
        total = np.cumsum(values)
        table = table.append_column(f"past_{name}", pa.array(total - (total - values)[first]))
    return table


class ManagerQuarters:
    """Rows of `manager_quarters`, found by manager and quarter; 0 where there is none."""

    def __init__(self, table: pa.Table) -> None:
        self._keys = QuarterKeys(*(table[name].to_numpy() for name in KEYS))
        names = [name for name in table.column_names if name not in KEYS]
        # One row more, for what is not there.
        self._columns = {name: np.append(table[name].to_numpy(), 0) for name in names}

    def find(self, mgrno: NDArray, quarter: NDArray) -> dict[str, NDArray[np.int64]]:
        """All columns, shape (n,) each."""
        rows = self._keys.rows(mgrno, quarter)
        return {name: column[rows] for name, column in self._columns.items()}


def attach_managers(sample: pa.Table, managers: ManagerQuarters, stocks: StockQuarters) -> pa.Table:
    """The sample (of `attach_history`) with the columns of FACTS; NaN where there is nothing to take a mean of.

    Trades are those until t; the first four leave the own position out. Means of DEMAND are over the manager's
    positions at t, the own one included.
    """
    mgrno, permno, quarter = (sample[name].to_numpy() for name in ("mgrno", "permno", "quarter"))
    sums = managers.find(mgrno, quarter)
    before, held = (sample[lagged("holding_t", lag)].to_numpy() for lag in (1, 0))
    prices = stocks.next_prices(permno, quarter - 1)
    own = trades(before, held, prices["price_ratio"], prices["split_ratio"])
    known = ~np.isnan(own)
    own = np.where(known, own, 0.0)
    others = sums["trades"] - known
    columns = {"manager_trades": others.astype(float)}
    for name, total, mine, unit in (
        ("manager_mean_trade", sums["sum_trade"], _integers(own), UNIT),
        ("manager_untraded", sums["untraded"], known & (own == 0), 1),
        ("manager_sold", sums["sold"], known & (own == -1), 1),
    ):
        columns[name] = _means(total - mine, others, unit)
    columns["manager_past_trades"] = sums["past_trades"].astype(float)
    columns["manager_past_mean_trade"] = _means(sums["past_sum_trade"], sums["past_trades"], UNIT)
    for column, name in zip(MEANS_OF_DEMAND, SUMS_OF_DEMAND, strict=True):
        columns[column] = _means(sums[name], sums[HELD], UNIT)
    for name, values in columns.items():
        sample = sample.append_column(name, pa.array(values))
    return sample


def _means(total: NDArray[np.int64], number: NDArray[np.int64], unit: float) -> Array:
    return np.where(number > 0, total * unit / np.maximum(number, 1), np.nan)
