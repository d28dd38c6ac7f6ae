"""Stock-quarters of a slice: the price at t and t+1, and whether the stock was split in between.

A split multiplies everybody's shares by a small rational number while the price falls by about as much. Shares
are holding / price, so a split that the panel does not adjust for looks like trading: it has to be found and set aside.

The holders tell which ratio it was: many of them keep their shares through a split, so that their counts change by the
ratio, even in a quarter in which the price also moved by a third. For each ratio that the price allows, the
likelihood of the holders' shares is compared with that of no split. A holder's trade, the logarithm of shares after /
before without the split, has a density proportional to 1 / (UNTRADED + |trade|): a spike at no trade, heavy tails.
The stock's return, with the density of Laplace, counts as one more witness, and the rarity of splits is a threshold.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.plumbing.files import ROW_GROUP_ROWS

# What is read of a slice, first to find prices, then to find splits.
PRICE_COLUMNS = ("permno", "date", "prc")
HOLDER_COLUMNS = ("permno", "date", "holding_t", "holding_t1")
# Holders that disagree by more than this share of the price leave a stock-quarter without one.
PRICE_TOLERANCE = 0.01
COMMON_RATIOS = np.array([3 / 2, 2, 3, 4, 5, 10, 20])
_FORWARD = np.union1d(COMMON_RATIOS, [5 / 2, 6, 7, 8, 15, 25, 30, 40, 50, 100])
# Nobody merges three shares into two.
SPLIT_RATIOS = np.concatenate([1 / _FORWARD[:0:-1], _FORWARD])
# What a split must gain in log likelihood: splits are rare, and most are of a common ratio.
THRESHOLDS = np.where(np.isin(SPLIT_RATIOS, COMMON_RATIOS), 3.0, 4.0)
# A holder whose shares change by no more than this logarithm has hardly traded.
UNTRADED = np.log(1.02)
# The price must fall by the ratio, give or take a quarter's return: this share of the ratio's logarithm, in bounds.
RETURN_SHARE, MIN_RETURN, MAX_RETURN = 0.4, np.log(1.3), np.log(1.75)
# Mean absolute logarithm of a return beside which a split can be seen.
RETURN_SCALE = 0.25
# Ratios below two are also what trading looks like: they need this many holders who have hardly traded.
MIN_WITNESSES, LARGE_RATIO = 2, 2.0
# Log likelihoods are summed as integers of this unit, exactly: the order of the rows does not matter.
UNIT = 1e-6


class QuarterKeys:
    """Distinct (id, quarter), sorted, which are found by bisection: memory is that of those that there are.

    The ids are those of stocks or of managers.
    """

    def __init__(self, ids: NDArray[np.int64], quarter: NDArray[np.int32]) -> None:
        self.ids = np.unique(ids)
        self.codes = self._codes(np.searchsorted(self.ids, ids), quarter)
        # Of each id the row of its first quarter.
        self._first = np.searchsorted(self.codes, np.arange(len(self.ids)) << 32)

    @staticmethod
    def _codes(place: NDArray[np.int64], quarter: NDArray[np.int32]) -> NDArray[np.int64]:
        # Not by the id itself, which may be any integer.
        return (place << 32) + quarter

    def rows(self, ids: NDArray[np.int64], quarter: NDArray[np.int32]) -> NDArray[np.int64]:
        """The row of each (id, quarter), shape (n,); one past the last row for those that are not there."""
        if not len(self.codes):
            return np.zeros(len(ids), dtype=np.int64)
        # In a sorted slice many rows of one id follow each other: it is looked for once.
        begins = np.flatnonzero(np.append(True, ids[1:] != ids[:-1])[: len(ids)])
        place = np.minimum(np.searchsorted(self.ids, ids[begins]), len(self.ids) - 1)
        place = np.repeat(place, np.diff(begins, append=len(ids)))
        code = self._codes(place, quarter)
        # Where no quarter is missing a row is as far from the id's first one as its quarter is; else it is looked for.
        first = self._first[place]
        row = np.clip(first + code - self.codes[first], 0, len(self.codes) - 1)
        missed = np.flatnonzero(self.codes[row] != code)
        row[missed] = np.minimum(np.searchsorted(self.codes, code[missed]), len(self.codes) - 1)
        return np.where((self.ids[place] == ids) & (self.codes[row] == code), row, len(self.codes))


def stock_quarters(read: Callable[[Sequence[str]], Iterable[pa.Table]]) -> pa.Table:
    """One row per (permno, quarter) of a slice, sorted: prc, prc_t1 ($), holders and split_ratio.

    `read` gives columns of the slice's rows (typed, with `quarter`) in any order, part by part; it is
    called twice. prc is the price that the rows agree on, NaN where none has a positive one or they differ by more than
    `PRICE_TOLERANCE`; prc_t1 is that of the next quarter. `holders` counts the positions held at t and t+1 whose shares
    can be compared. `split_ratio` (shares after / before) is the one of `SPLIT_RATIOS` that explains the holders'
    shares best, NaN where no split does, or where the price did not move in the opposite direction by about as much.
    Holders are those of the slice: a firm type's results depend on no other's.
    """
    prices = _prices(read(PRICE_COLUMNS))
    keys = QuarterKeys(prices["permno"], prices["quarter"])
    agree = prices["prc_max"] <= prices["prc_min"] * (1 + PRICE_TOLERANCE)
    price = np.where(agree, (prices["prc_min"] + prices["prc_max"]) / 2, np.nan)
    # The row below is t+1 where it is the same stock's and one quarter later.
    following = np.where(np.append(np.diff(keys.codes) == 1, False), np.append(price[1:], np.nan), np.nan)
    log_price_ratio = np.log(following) - np.log(price)

    holders = np.zeros(len(price), dtype=np.int64)
    splits = [_Split(ratio, log_price_ratio) for ratio in SPLIT_RATIOS]
    for table in read(HOLDER_COLUMNS):
        held, next_held = (table[name].to_numpy() for name in ("holding_t", "holding_t1"))
        known = np.flatnonzero((held > 0) & (next_held > 0))
        rows = keys.rows(table["permno"].to_numpy()[known], table["quarter"].to_numpy()[known])
        log_price = log_price_ratio[rows]
        np.add.at(holders, rows[~np.isnan(log_price)], 1)
        moved = np.abs(log_price) >= SMALLEST_MOVE
        rows, log_price, known = rows[moved], log_price[moved], known[moved]
        log_shares = np.log(next_held[known] / held[known]) - log_price
        for split in splits:
            split.add(rows, log_price, log_shares)
    return pa.table(
        {
            "permno": prices["permno"],
            "quarter": prices["quarter"],
            "prc": price,
            "prc_t1": following,
            "holders": holders,
            "split_ratio": _likeliest(splits, len(price)),
        }
    )


def _prices(tables: Iterable[pa.Table]) -> dict[str, NDArray]:
    """Least and greatest positive price by (permno, quarter), sorted; NaN where there is none."""
    names = ["permno", "quarter", "prc_min", "prc_max"]
    known = {name: np.empty(0, dtype=kind) for name, kind in zip(names, ("i8", "i4", "f8", "f8"), strict=True)}
    keys, waiting, n_waiting = QuarterKeys(known["permno"], known["quarter"]), [], 0
    for table in tables:
        permno, quarter, prc = (table[name].to_numpy() for name in ("permno", "quarter", "prc"))
        prc = np.where(prc > 0, prc, np.nan)
        rows = keys.rows(permno, quarter)
        new = rows == len(keys.codes)
        # Most stock-quarters have been seen before; the others wait until they are as many.
        np.fmin.at(known["prc_min"], rows[~new], prc[~new])
        np.fmax.at(known["prc_max"], rows[~new], prc[~new])
        waiting.append(dict(zip(names, (permno[new], quarter[new], prc[new], prc[new]), strict=True)))
        n_waiting += len(waiting[-1]["prc_min"])
        if n_waiting > max(len(keys.codes), ROW_GROUP_ROWS):
            known = _merged([known, *waiting])
            keys, waiting, n_waiting = QuarterKeys(known["permno"], known["quarter"]), [], 0
    return _merged([known, *waiting])


def _merged(parts: list[dict[str, NDArray]]) -> dict[str, NDArray]:
    """Parts of `_prices` as one, in which each stock-quarter occurs once."""
    permno, quarter, low, high = (np.concatenate([part[name] for part in parts]) for name in parts[0])
    order = np.lexsort((quarter, permno))
    permno, quarter = permno[order], quarter[order]
    begins = np.flatnonzero(np.append(True, (permno[1:] != permno[:-1]) | (quarter[1:] != quarter[:-1])))
    values = (
        permno[begins],
        quarter[begins],
        np.fmin.reduceat(low[order], begins),
        np.fmax.reduceat(high[order], begins),
    )
    return dict(zip(parts[0], values, strict=True))


class _Split:
    """What speaks for one ratio, in the stock-quarters whose price allows it."""

    def __init__(self, ratio: float, log_price_ratio: NDArray[np.float64]) -> None:
        self.ratio, self.log_ratio = ratio, np.log(ratio)
        self.rows = np.flatnonzero(self._is_allowed(log_price_ratio))
        self.log_price_ratio = log_price_ratio[self.rows]
        self.gain = np.zeros(len(self.rows), dtype=np.int64)
        self.witnesses = np.zeros(len(self.rows), dtype=np.int64)

    def _is_allowed(self, log_price_ratio: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.abs(log_price_ratio + self.log_ratio) <= return_tolerance(self.log_ratio)

    def add(
        self, rows: NDArray[np.int64], log_price_ratio: NDArray[np.float64], log_shares: NDArray[np.float64]
    ) -> None:
        """Positions held before and after: their stock-quarters, logarithms of price and of shares after / before."""
        allowed = np.flatnonzero(self._is_allowed(log_price_ratio))
        at, unsplit = np.searchsorted(self.rows, rows[allowed]), np.abs(log_shares[allowed])
        split = np.abs(log_shares[allowed] - self.log_ratio)
        gain = np.log((UNTRADED + unsplit) / (UNTRADED + split))
        np.add.at(self.gain, at, np.rint(gain / UNIT).astype(np.int64))
        np.add.at(self.witnesses, at, split <= UNTRADED)

    def evidence(self) -> NDArray[np.float64]:
        """Log likelihood ratio to no split, shape of `rows`; -inf where the holders alone do not speak for it."""
        price = self.log_price_ratio
        total = self.gain * UNIT + (np.abs(price) - np.abs(price + self.log_ratio)) / RETURN_SCALE
        enough = self.gain > 0
        if max(self.ratio, 1 / self.ratio) < LARGE_RATIO:
            enough &= self.witnesses >= MIN_WITNESSES
        return np.where(enough, total, -np.inf)


def return_tolerance(log_ratio: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the logarithm of the price may end from where the split alone would have taken it."""
    return np.clip(RETURN_SHARE * np.abs(log_ratio), MIN_RETURN, MAX_RETURN)


# A price that moved by less allows no ratio: most positions need not be looked at.
SMALLEST_MOVE = np.min(np.abs(np.log(SPLIT_RATIOS)) - return_tolerance(np.log(SPLIT_RATIOS)))


def _likeliest(splits: list[_Split], size: int) -> NDArray[np.float64]:
    """The ratio for which most speaks beyond its threshold, NaN for none; shape (size,)."""
    ratio, most = np.full(size, np.nan), np.zeros(size)
    for split, threshold in zip(splits, THRESHOLDS, strict=True):
        beyond = split.evidence() - threshold
        wins = beyond > most[split.rows]
        won = split.rows[wins]
        ratio[won], most[won] = split.ratio, beyond[wins]
    return ratio


class StockQuarters:
    """Prices and splits of stock-quarters, found by stock and quarter; NaN where unknown."""

    def __init__(self, stocks: pa.Table) -> None:
        self._keys = QuarterKeys(*(stocks[name].to_numpy() for name in ("permno", "quarter")))
        # One row more, for what is not there.
        self._columns = {name: np.append(stocks[name].to_numpy(), np.nan) for name in ("prc", "prc_t1", "split_ratio")}

    @property
    def newest_quarter(self) -> int:
        """The id of the last quarter in which a stock has a row."""
        return int((self._keys.codes & 0xFFFFFFFF).max())

    def find(self, name: str, permno: NDArray, quarter: NDArray) -> NDArray[np.float64]:
        """A column of `stock_quarters`, shape (n,)."""
        return self._columns[name][self._keys.rows(permno, quarter)]

    def next_prices(self, permno: NDArray, quarter: NDArray) -> dict[str, NDArray[np.float64]]:
        """prc_t1 ($), price_ratio (prc_t1 / prc) and split_ratio, shape (n,).

        All are label-side: they are dated t+1 and never enter a prompt.
        """
        rows = self._keys.rows(permno, quarter)
        prc, prc_t1, split_ratio = (column[rows] for column in self._columns.values())
        return {"prc_t1": prc_t1, "price_ratio": prc_t1 / prc, "split_ratio": split_ratio}

    def has_active_change(self, permno: NDArray, quarter: NDArray) -> NDArray[np.bool_]:
        """True where both prices are known and the stock was not split; shape (n,)."""
        prices = self.next_prices(permno, quarter)
        return ~np.isnan(prices["price_ratio"]) & np.isnan(prices["split_ratio"])
