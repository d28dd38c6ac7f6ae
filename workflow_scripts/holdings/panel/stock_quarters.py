"""Stock-quarters of a slice: the price at t and t+1, and whether the stock was split in between.

A split multiplies everybody's shares by a small rational number while the price falls by about as much. Shares
are holding / price, so a split that the panel does not adjust for looks like trading: it has to be found and set aside.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# What is read of a slice to find prices and splits.
STOCK_COLUMNS = ("permno", "date", "holding_t", "holding_t1", "prc")
# Holders that disagree by more than this share of the price leave a stock-quarter without one.
PRICE_TOLERANCE = 0.01
_FORWARD = np.array([3 / 2, 2, 5 / 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50, 100])
# Nobody merges three shares into two.
SPLIT_RATIOS = np.concatenate([1 / _FORWARD[:0:-1], _FORWARD])
# Who holds through a split also trades: his shares change by the ratio give or take this share of its logarithm.
TRADING, MAX_TRADING = 0.25, np.log(1.4)
# The price must fall by the ratio give or take the quarter's return.
MAX_RETURN = np.log(1.3)
# Small ratios are also what trading looks like: they need this many holders, one of whom has hardly traded.
MIN_HOLDERS, LARGE_RATIO, UNTRADED = 3, 2.0, np.log(1.02)


class _Grid:
    """Cells of stocks x quarters as one range of integers, a quarter longer than the data: t+1 is the next cell."""

    def __init__(self, permno: NDArray[np.int64], quarter: NDArray[np.int32]) -> None:
        self.permnos = np.unique(permno)
        self.first = int(quarter.min())
        self.span = int(quarter.max()) - self.first + 2
        self.size = len(self.permnos) * self.span

    def cells(self, permno: NDArray[np.int64], quarter: NDArray[np.int32]) -> NDArray[np.int64]:
        """The cell of each stock-quarter, shape (n,); the last one, which is never used, for one outside the grid."""
        stock = np.minimum(np.searchsorted(self.permnos, permno), len(self.permnos) - 1)
        place = quarter.astype(np.int64) - self.first
        inside = (self.permnos[stock] == permno) & (place >= 0) & (place < self.span - 1)
        return np.where(inside, stock * self.span + place, self.size - 1)


def stock_quarters(read: Callable[[], Iterable[pa.Table]]) -> pa.Table:
    """One row per (permno, quarter) of a slice, sorted: prc, prc_t1 ($), holders and split_ratio.

    `read` gives the slice's rows (`STOCK_COLUMNS` typed, and `quarter`) in any order, twice, part by part. prc is the
    price that the rows agree on, NaN where none has a positive one or they differ by more than `PRICE_TOLERANCE`;
    prc_t1 is that of the next quarter. `holders` counts the positions held at t and t+1 whose shares can be compared.
    `split_ratio` (shares after / before) is NaN unless most holders' shares changed by nearly one of `SPLIT_RATIOS`,
    and the price in the opposite direction by as much. Holders are those of the slice: a firm type's results depend
    on no other's.
    """
    prices = _prices(read())
    grid = _Grid(prices["permno"], prices["quarter"])
    cell = grid.cells(prices["permno"], prices["quarter"])
    price = np.full(grid.size, np.nan)
    agree = prices["prc_max"] <= prices["prc_min"] * (1 + PRICE_TOLERANCE)
    price[cell] = np.where(agree, (prices["prc_min"] + prices["prc_max"]) / 2, np.nan)
    following = np.append(price[1:], np.nan)
    log_price_ratio = np.log(following) - np.log(price)

    holders = np.zeros(grid.size, dtype=np.int64)
    hits: list[list[tuple[NDArray, NDArray]]] = [[] for _ in SPLIT_RATIOS]
    for table in read():
        cells = grid.cells(table["permno"].to_numpy(), table["quarter"].to_numpy())
        held, next_held = (table[name].to_numpy() for name in ("holding_t", "holding_t1"))
        known = (held > 0) & (next_held > 0) & ~np.isnan(log_price_ratio[cells])
        cells = cells[known]
        np.add.at(holders, cells, 1)
        log_shares = np.log(next_held[known] / held[known]) - log_price_ratio[cells]
        for number, (near, distance) in enumerate(_near(log_shares, log_price_ratio[cells])):
            hits[number].append((cells[near], distance))
    ratio = _most_holders(hits, holders)
    return pa.table(
        {
            "permno": prices["permno"],
            "quarter": prices["quarter"],
            "prc": price[cell],
            "prc_t1": following[cell],
            "holders": holders[cell],
            "split_ratio": ratio[cell],
        }
    )


def _prices(tables: Iterable[pa.Table]) -> dict[str, NDArray]:
    """Least and greatest positive price by (permno, quarter), sorted; NaN where there is none."""
    parts, keys = [], ["permno", "quarter"]
    for table in tables:
        prc = table["prc"].to_numpy()
        table = table.select(keys).append_column("prc", pa.array(np.where(prc > 0, prc, np.nan), from_pandas=True))
        parts.append(table.group_by(keys).aggregate([("prc", "min"), ("prc", "max")]))
        if len(parts) > 64:
            parts = [_merge(parts, keys)]
    merged = _merge(parts, keys).sort_by([(key, "ascending") for key in keys])
    return {name: merged[name].to_numpy() for name in merged.column_names}


def _merge(parts: list[pa.Table], keys: list[str]) -> pa.Table:
    merged = pa.concat_tables(parts).group_by(keys).aggregate([("prc_min", "min"), ("prc_max", "max")])
    return merged.rename_columns([*keys, "prc_min", "prc_max"])


def _near(log_shares: NDArray[np.float64], log_price_ratio: NDArray[np.float64]) -> Iterable[tuple[NDArray, NDArray]]:
    """For each split ratio, which positions moved by about it while the price moved against them, and how far off."""
    logs = np.log(SPLIT_RATIOS)
    tolerance = np.minimum(TRADING * np.abs(logs), MAX_TRADING)
    smallest = np.abs(logs).min()
    # Most positions are near no ratio: looking at the others alone makes this twenty times faster.
    moved = np.flatnonzero(
        (np.abs(log_shares) >= (1 - TRADING) * smallest) & (np.abs(log_price_ratio) >= smallest - MAX_RETURN)
    )
    shares, price = log_shares[moved], log_price_ratio[moved]
    for number, log_ratio in enumerate(logs):
        distance = np.abs(shares - log_ratio)
        near = (distance <= tolerance[number]) & (np.abs(price + log_ratio) <= MAX_RETURN)
        yield moved[near], distance[near]


def _most_holders(hits: list[list[tuple[NDArray, NDArray]]], holders: NDArray[np.int64]) -> NDArray[np.float64]:
    """The ratio that most holders of a stock-quarter are near (the nearer of two), NaN for none; shape of `holders`."""
    ratio, best, nearest = np.full(len(holders), np.nan), np.zeros(len(holders)), np.zeros(len(holders))
    for split_ratio, parts in zip(SPLIT_RATIOS, hits, strict=True):
        found, distances = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        cells, place, counts = np.unique(found, return_inverse=True, return_counts=True)
        distance = np.bincount(place, distances, minlength=len(cells)) / counts
        enough = np.ones(len(cells), dtype=bool)
        if max(split_ratio, 1 / split_ratio) < LARGE_RATIO:
            untraded = np.bincount(place, distances <= UNTRADED, minlength=len(cells))
            enough = (holders[cells] >= MIN_HOLDERS) & (untraded > 0)
        closer = (counts > best[cells]) | ((counts == best[cells]) & (distance < nearest[cells]))
        wins = enough & (2 * counts > holders[cells]) & closer
        won = cells[wins]
        ratio[won], best[won], nearest[won] = split_ratio, counts[wins], distance[wins]
    return ratio


class StockQuarters:
    """Prices and splits of stock-quarters, found by stock and quarter; NaN where unknown."""

    def __init__(self, stocks: pa.Table) -> None:
        keys = [stocks[name].to_numpy() for name in ("permno", "quarter")]
        self._grid = _Grid(*keys)
        cells = self._grid.cells(*keys)
        self._columns = {name: np.full(self._grid.size, np.nan) for name in ("prc", "prc_t1", "split_ratio")}
        for name, whole in self._columns.items():
            whole[cells] = stocks[name].to_numpy()

    def find(self, name: str, permno: NDArray, quarter: NDArray) -> NDArray[np.float64]:
        """A column of `stock_quarters`, shape (n,)."""
        return self._columns[name][self._grid.cells(permno, quarter)]

    def next_prices(self, permno: NDArray, quarter: NDArray) -> dict[str, NDArray[np.float64]]:
        """prc_t1 ($), price_ratio (prc_t1 / prc) and split_ratio, shape (n,).

        All are label-side: they are dated t+1 and never enter a prompt.
        """
        prc, prc_t1, split_ratio = (self.find(name, permno, quarter) for name in self._columns)
        return {"prc_t1": prc_t1, "price_ratio": prc_t1 / prc, "split_ratio": split_ratio}

    def has_active_change(self, permno: NDArray, quarter: NDArray) -> NDArray[np.bool_]:
        """True where both prices are known and the stock was not split; shape (n,)."""
        prices = self.next_prices(permno, quarter)
        return ~np.isnan(prices["price_ratio"]) & np.isnan(prices["split_ratio"])
