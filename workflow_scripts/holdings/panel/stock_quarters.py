"""Stock-quarters of a slice: the price at t and t+1, and whether the stock was split in between.

A split multiplies everybody's shares by a small rational number while the price falls by about as much. Shares
are holding / price, so a split that the panel does not adjust for looks like trading: it has to be found and set aside.

Which ratio it was, the holders say: many keep their shares through a split, so that the ratio is where most of them
meet, also in a quarter in which the price moved by a third besides. For each ratio that the price allows, the
likelihood of the holders' shares is compared with that of no split. A holder's trade, the logarithm of shares after /
before without the split, has a density proportional to 1 / (UNTRADED + |trade|): a spike at no trade, heavy tails.
The stock's return, with the density of Laplace, counts as one more witness, and the rarity of splits is a threshold.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# What is read of a slice to find prices and splits.
STOCK_COLUMNS = ("permno", "date", "holding_t", "holding_t1", "prc")
# Holders that disagree by more than this share of the price leave a stock-quarter without one.
PRICE_TOLERANCE = 0.01
COMMON_RATIOS = np.array([3 / 2, 2, 3, 4, 5, 10, 20])
_FORWARD = np.union1d(COMMON_RATIOS, [5 / 2, 6, 7, 8, 15, 25, 30, 40, 50, 100])
# Nobody merges three shares into two.
SPLIT_RATIOS = np.concatenate([1 / _FORWARD[:0:-1], _FORWARD])
# What a split must gain in log likelihood: splits are rare, and most are of a common ratio.
THRESHOLDS = np.where(np.isin(SPLIT_RATIOS, COMMON_RATIOS), 3.0, 4.0)
# Who keeps his shares up to this change of their logarithm has hardly traded.
UNTRADED = np.log(1.02)
# The price must fall by the ratio give or take the quarter's return: a share of the ratio's logarithm, within bounds.
RETURN_SHARE, MIN_RETURN, MAX_RETURN = 0.4, np.log(1.3), np.log(1.75)
# Mean absolute logarithm of a return beside which a split can be seen.
RETURN_SCALE = 0.25
# Ratios below two are also what trading looks like: they need this many holders who have hardly traded.
MIN_WITNESSES, LARGE_RATIO = 2, 2.0
# Log likelihoods are summed as integers of this unit, exactly: the order of the rows does not matter.
UNIT = 1e-6


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
    `split_ratio` (shares after / before) is the one of `SPLIT_RATIOS` that explains the holders' shares best, NaN where
    no split does, or where the price did not move in the opposite direction by about as much. Holders are those of the
    slice: a firm type's results depend on no other's.
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
    splits = [_Split(ratio, log_price_ratio) for ratio in SPLIT_RATIOS]
    for table in read():
        cells = grid.cells(table["permno"].to_numpy(), table["quarter"].to_numpy())
        held, next_held = (table[name].to_numpy() for name in ("holding_t", "holding_t1"))
        known = (held > 0) & (next_held > 0) & ~np.isnan(log_price_ratio[cells])
        cells = cells[known]
        np.add.at(holders, cells, 1)
        moved = np.abs(log_price_ratio[cells]) >= SMALLEST_MOVE
        cells, log_value = cells[moved], np.log(next_held[known][moved] / held[known][moved])
        for split in splits:
            split.add(cells, log_value - log_price_ratio[cells])
    ratio = _likeliest(splits, grid.size)
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


class _Split:
    """What speaks for one ratio, in the stock-quarters whose price allows it."""

    def __init__(self, ratio: float, log_price_ratio: NDArray[np.float64]) -> None:
        self.ratio, self.log_ratio, self.log_price_ratio = ratio, np.log(ratio), log_price_ratio
        self.cells = np.flatnonzero(self._is_allowed(log_price_ratio))
        self.gain = np.zeros(len(self.cells), dtype=np.int64)
        self.witnesses = np.zeros(len(self.cells), dtype=np.int64)

    def _is_allowed(self, log_price_ratio: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.abs(log_price_ratio + self.log_ratio) <= _tolerance(self.log_ratio)

    def add(self, cells: NDArray[np.int64], log_shares: NDArray[np.float64]) -> None:
        """Positions held before and after, and the logarithm of shares after / before."""
        allowed = np.flatnonzero(self._is_allowed(self.log_price_ratio[cells]))
        at, unsplit = np.searchsorted(self.cells, cells[allowed]), np.abs(log_shares[allowed])
        split = np.abs(log_shares[allowed] - self.log_ratio)
        gain = np.log((UNTRADED + unsplit) / (UNTRADED + split))
        np.add.at(self.gain, at, np.rint(gain / UNIT).astype(np.int64))
        np.add.at(self.witnesses, at, split <= UNTRADED)

    def evidence(self) -> NDArray[np.float64]:
        """Log likelihood ratio to no split, shape of `cells`; -inf where the holders alone do not speak for it."""
        price = self.log_price_ratio[self.cells]
        total = self.gain * UNIT + (np.abs(price) - np.abs(price + self.log_ratio)) / RETURN_SCALE
        enough = self.gain > 0
        if max(self.ratio, 1 / self.ratio) < LARGE_RATIO:
            enough &= self.witnesses >= MIN_WITNESSES
        return np.where(enough, total, -np.inf)


def _tolerance(log_ratio: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the logarithm of the price may end from where the split alone would have taken it."""
    return np.clip(RETURN_SHARE * np.abs(log_ratio), MIN_RETURN, MAX_RETURN)


# A price that moved by less allows no ratio: most positions need not be looked at.
SMALLEST_MOVE = np.min(np.abs(np.log(SPLIT_RATIOS)) - _tolerance(np.log(SPLIT_RATIOS)))


def _likeliest(splits: list[_Split], size: int) -> NDArray[np.float64]:
    """The ratio for which most speaks beyond its threshold, NaN for none; shape (size,)."""
    ratio, most = np.full(size, np.nan), np.zeros(size)
    for split, threshold in zip(splits, THRESHOLDS, strict=True):
        beyond = split.evidence() - threshold
        wins = beyond > most[split.cells]
        won = split.cells[wins]
        ratio[won], most[won] = split.ratio, beyond[wins]
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
