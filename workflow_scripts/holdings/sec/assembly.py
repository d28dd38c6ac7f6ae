"""From positions to the rows of the panel: what was held, what was sold, what was not told.

    held    a position in a quarter; one in a stock that is not inside (characteristics.py) is an outside asset, no row
    sold    no position in a quarter for which the manager filed holdings, after one within `exit_quarters`: a zero row,
            where the stock still exists and most holders have not left it at once, as they do when it gets a new CUSIP
    gap     the manager filed no holdings for the quarter (nothing, or a notice): no row. What is missing in a quarter
            may also be told by another manager, where he began to file combination reports, or be kept confidential

A position is worth shares * price, both as all panels have it. Where that is more than twice or less than half of the
filed value, the filer counts other shares (ordinary ones of an ADS, those before a split, or the value once more) and
the filed value stands; unless the value is off by 10^3 or 10^6, an error of its unit.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FACTORS, FIRM_TYPES, PANEL_COLUMNS
from workflow_scripts.holdings.panel.quarters import quarter_starts
from workflow_scripts.holdings.panel.slices import SCHEMA
from workflow_scripts.holdings.sec.panel_settings import SecPanelSettings
from workflow_scripts.holdings.sec.stocks import LEFT, Stocks

# A filed value is off by its unit if it is shares * price times 10^3 or 10^6, give or take this factor.
UNIT_ERRORS = (3, 6)
SAME = 1.25
# Shares * price beyond this factor of the filed value are other shares.
OTHER_SHARES = 2.0
HOUSEHOLDS = FIRM_TYPES.index("households")
BY_PRICE = "shares x price"
UNIT_ERROR = "shares x price: the filed value is off by 10^3 or 10^6"
AS_FILED = "filed value: no price"
NOT_THESE_SHARES = "filed value: the shares do not fit it"
COUNTED_VALUE = "filed value: the shares repeat it"
VALUED = (BY_PRICE, UNIT_ERROR, AS_FILED, NOT_THESE_SHARES, COUNTED_VALUE)


@dataclass
class Managers:
    """Managers by number: firm type (place in FIRM_TYPES); by quarter whether they filed holdings, as a combination
    report, with positions kept confidential."""

    mgrno: NDArray[np.int64]
    firm_type: NDArray[np.int64]
    filed: NDArray[np.bool_]
    combination: NDArray[np.bool_]
    confidential: NDArray[np.bool_]


def make_managers(filings: pa.Table, types: pd.DataFrame, first_quarter: int, quarters: int) -> Managers:
    """`filings` is managers.parquet, `types` has mgrno and type; quarters outside the panel's are left out."""
    mgrno = types["mgrno"].to_numpy(np.int64)
    row = np.searchsorted(mgrno, filings["mgrno"].to_numpy())
    column = filings["quarter"].to_numpy() - first_quarter
    inside = (column >= 0) & (column < quarters)
    grids = []
    for name in ("has_holdings", "is_combination", "is_confidential"):
        true = inside & filings[name].to_numpy()
        grids.append(np.zeros((len(mgrno), quarters), dtype=bool))
        grids[-1][row[true], column[true]] = True
    firm_type = types["type"].map({name: place for place, name in enumerate(FIRM_TYPES)}).to_numpy(np.int64)
    return Managers(mgrno, firm_type, *grids)


def holdings_of(
    shares: NDArray[np.float64], value: NDArray[np.float64], price: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What each position is worth, $ million, and why (place in `VALUED`); shape (n,). The rules stand above."""
    computed = shares * price / 1e6
    usable = computed > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.log(value / computed)
        off = [np.abs(np.abs(distance) - power * np.log(10)) <= np.log(SAME) for power in UNIT_ERRORS]
        repeats = np.abs(value * 1e6 / shares - 1) < 1e-6
    fits = (np.abs(distance) <= np.log(OTHER_SHARES)) | ~(value > 0)
    cases = [~usable, fits, repeats, np.any(off, axis=0)]
    names = [AS_FILED, BY_PRICE, COUNTED_VALUE, UNIT_ERROR]
    why = np.select(cases, [VALUED.index(name) for name in names], VALUED.index(NOT_THESE_SHARES))
    by_price = np.isin(why, [VALUED.index(BY_PRICE), VALUED.index(UNIT_ERROR)])
    return np.where(by_price, computed, value), why


def _last_seen(held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Column of the last True up to each cell, -1 before the first; shape of `held`."""
    columns = np.arange(held.shape[1])
    return np.maximum.accumulate(np.where(held, columns, -1), axis=1)


class Assembly:
    """Makes the rows of block after block of managers, and counts what it saw."""

    def __init__(self, stocks: Stocks, managers: Managers, alive: NDArray[np.bool_], settings: SecPanelSettings):
        self.stocks, self.managers, self.alive, self.settings = stocks, managers, alive, settings
        self.valued = np.zeros(len(VALUED), dtype=np.int64)
        self.counts = dict.fromkeys(
            ("positions", "held rows", "zero rows", "positions outside", "positions without a stock"), 0
        )

    def rows(self, block: pa.Table) -> pa.Table:
        """The rows of whole managers by the panel contract, sorted by (mgrno, permno, date)."""
        stocks, managers = self.stocks, self.managers
        n_stocks, quarters = len(stocks.permno), stocks.quarters
        numbers, manager = np.unique(block["mgrno"].to_numpy(), return_inverse=True)
        of_all = np.searchsorted(managers.mgrno, numbers)
        row, quarter = stocks.rows(block["cusip"]), block["quarter"].to_numpy() - stocks.first_quarter
        price = np.where(row < 0, np.nan, stocks.grids["price"][row, quarter])
        holding, why = holdings_of(block["shares"].to_numpy(), block["value"].to_numpy(), price)
        self.valued += np.bincount(why, minlength=len(VALUED))
        aum = np.zeros((len(numbers), quarters))
        np.add.at(aum, (manager, quarter), holding)

        is_stock = row >= 0
        pairs, pair = np.unique(manager[is_stock] * n_stocks + row[is_stock], return_inverse=True)
        pair_manager, pair_stock = pairs // n_stocks, pairs % n_stocks
        held_value = np.zeros((len(pairs), quarters))
        np.add.at(held_value, (pair, quarter[is_stock]), holding[is_stock])
        held = held_value > 0
        # What has neither a price nor a value that is more than a rounded 0 is no row, and has not been sold either.
        told = np.zeros_like(held)
        told[pair, quarter[is_stock]] = (block["shares"].to_numpy() > 0)[is_stock]
        filed = managers.filed[of_all] & (aum > 0)
        can_be_sold = (filed & ~managers.confidential[of_all])[pair_manager] & ~told
        sold = self._sold(held, can_be_sold, managers.combination[of_all][pair_manager], pair_stock)
        inside = stocks.grids["inside"][pair_stock] > 0
        is_row = (held | sold) & inside
        inside_sum = np.zeros_like(aum)
        np.add.at(inside_sum, pair_manager, np.where(held & inside, held_value, 0.0))
        kind = self._types(of_all, aum, filed)

        self.counts["positions"] += len(row)
        self.counts["positions without a stock"] += int((~is_stock).sum())
        self.counts["positions outside"] += int((held & ~inside).sum())
        self.counts["held rows"] += int((held & inside).sum())
        self.counts["zero rows"] += int((sold & inside).sum())
        return self._table(is_row, held_value, (pair_manager, pair_stock), kind, (numbers, aum, inside_sum))

    def _sold(self, held: NDArray, can_be_sold: NDArray, combination: NDArray, stock: NDArray) -> NDArray[np.bool_]:
        """Zero rows of each pair and quarter, shape of `held`."""
        last = _last_seen(held)
        columns = np.arange(held.shape[1])
        at = np.maximum(last, 0)
        holders = self.stocks.grids["holders"][stock]
        was_held_by = np.take_along_axis(holders, at, axis=1)
        left_at_once = LEFT * (holders + 1) <= was_held_by
        other_reporter = combination & ~np.take_along_axis(combination, at, axis=1)
        sold = ~held & (last >= 0) & (columns - last <= self.settings.exit_quarters) & can_be_sold
        return sold & self.alive[stock] & ~left_at_once & ~other_reporter

    def _types(self, managers: NDArray[np.int64], aum: NDArray[np.float64], filed: NDArray[np.bool_]) -> NDArray:
        """Firm type of each manager and quarter: households until the assets have once reached the limit."""
        own = np.repeat(self.managers.firm_type[managers][:, None], aum.shape[1], axis=1)
        limit = self.settings.households_below
        if limit is None:
            return own
        reached = np.maximum.accumulate(np.where(filed, aum, 0.0), axis=1) >= limit
        return np.where(reached, own, HOUSEHOLDS)

    def _table(
        self,
        is_row: NDArray[np.bool_],
        value: NDArray[np.float64],
        pair: tuple[NDArray[np.int64], NDArray[np.int64]],
        kind: NDArray[np.int64],
        assets: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    ) -> pa.Table:
        """The cells of `is_row` as a table; `pair` has the manager and the stock of each line of the grids."""
        (numbers, aum, inside_sum), grids = assets, self.stocks.grids
        line, quarter = np.nonzero(is_row)
        manager, stock = pair[0][line], pair[1][line]
        types = kind[manager, quarter]
        following = np.minimum(quarter + 1, is_row.shape[1] - 1)
        has_next = is_row[line, following] & (following > quarter) & (kind[manager, following] == types)
        names = pa.array(FIRM_TYPES, pa.string())
        columns = {
            "type": names.take(pa.array(types)),
            "mgrno": numbers[manager],
            "permno": self.stocks.permno[stock],
            "date": quarter_starts(quarter + self.stocks.first_quarter),
            **{name: grids[name][stock, quarter] for name in FACTORS},
            "aum": aum[manager, quarter],
            # A difference of sums; below a dollar it is their rounding.
            "outaum": _without_rounding(aum[manager, quarter] - inside_sum[manager, quarter]),
            "holding_t": value[line, quarter],
            "prc": grids["price"][stock, quarter],
            "holding_t1": np.where(has_next, value[line, following], np.nan),
        }
        return pa.table(columns).select(PANEL_COLUMNS).cast(SCHEMA)


def _without_rounding(outside: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(outside < 1e-6, 0.0, outside)
