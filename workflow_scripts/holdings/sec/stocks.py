"""The stocks of a panel: stable ids, CUSIPs that follow each other, and their numbers by quarter.

All numbers of stocks lie in grids of shape (stocks, quarters), stocks by permno, quarters without a gap from the first
to the last.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from workflow_scripts.holdings.panel.stock_quarters import stock_quarters
from workflow_scripts.holdings.sec.cusip_quarters import manager_blocks
from workflow_scripts.holdings.sec.cusips import CHARACTERS, LENGTH

Grid = NDArray[np.float64]
# A CUSIP is left by its holders where fewer than one in ten of them stays, and comes where one in ten was there before.
LEFT = 10
# Holders of both CUSIPs in two quarters that follow each other: their share of each one's, how far the ratio of
# shares after / before may lie from their median, and the share and number of them that lie so near; two are enough
# where the issuers' names begin with one word.
COMMON_HOLDERS, SAME_RATIO, AGREEING, MIN_AGREEING, MIN_NAMESAKES = 0.5, 0.02, 0.5, 5, 2
# The value that the typical holder has of the new one, as a share of the old one's: a part that was spun off has less.
LEAST_VALUE, LARGEST_VALUE = 0.5, 2.0
# A price that moves by more than this factor in a quarter, splits aside, is no return.
LARGEST_MOVE = 5.0
# Returns of fewer stocks make no market.
MIN_MARKET = 5


def permno_of(cusips: Iterable[str]) -> NDArray[np.int64]:
    """The id of a CUSIP, from its six characters of the issuer and two of the issue alone; shape (n,).

    The number of the eight characters in base 39: the same in every run, whatever else is in the data. Texts that
    are no CUSIP, which have other lengths, get -1.

    >>> permno_of(["037833100", "CASH"]).tolist()
    [11206490763, -1]
    """
    place = {character: value for value, character in enumerate(CHARACTERS)}
    numbers = []
    for cusip in cusips:
        number = 0
        for character in cusip[: LENGTH - 1]:
            number = number * len(CHARACTERS) + place[character]
        numbers.append(number if len(cusip) == LENGTH else -1)
    return np.array(numbers, dtype=np.int64)


@dataclass
class Stocks:
    """Stocks by permno and their grids; `stock_of` is the row of each CUSIP of `cusips`, -1 for what is no stock."""

    permno: NDArray[np.int64]
    first_quarter: int
    quarters: int
    cusips: pa.Array
    stock_of: NDArray[np.int64]
    grids: dict[str, Grid] = field(default_factory=dict)

    def rows(self, cusips: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
        """The row of each CUSIP, shape (n,); -1 for what is no stock."""
        at = pc.fill_null(pc.index_in(cusips, value_set=self.cusips), -1).to_numpy()
        return np.where(at < 0, -1, self.stock_of[at])

    @property
    def end_days(self) -> NDArray[np.datetime64]:
        """Last day of each quarter, shape (quarters,)."""
        following = (np.arange(self.quarters) + self.first_quarter + 1 - 4 * 1970) * 3
        return following.astype("datetime64[M]").astype("datetime64[D]") - 1


def successions(cusip_rows: pa.Table, path: str | Path, min_filers: int) -> dict[str, str]:
    """CUSIPs that take the place of another one: new -> old.

    A company that reorganises gets a new CUSIP. Seen are pairs of which the old one is left by its holders in the
    quarter in which the new one appears, at least half of each one's holders hold the other, and at least half of
    these, five or more, have shares in one and the same ratio, so that they did not trade, and about the old value.
    """
    texts = pc.unique(cusip_rows["cusip"]).sort()
    place = pc.index_in(cusip_rows["cusip"], value_set=texts).to_numpy()
    quarter = cusip_rows["quarter"].to_numpy()
    if not len(quarter):
        return {}
    first = int(quarter.min())
    filers = np.zeros((len(texts), int(quarter.max()) - first + 1), dtype=np.int64)
    filers[place, quarter - first] = cusip_rows["filers"].to_numpy()
    words = np.full(len(texts), "", dtype=object)
    words[place] = pc.utf8_upper(pc.fill_null(cusip_rows["issuer"], "")).to_numpy(zero_copy_only=False)
    words = np.array([word.split(" ")[0] for word in words], dtype=object)
    many = filers >= min(min_filers, MIN_NAMESAKES)
    after = np.pad(filers[:, 1:], ((0, 0), (0, 1)))
    before = np.pad(np.maximum.accumulate(filers, axis=1)[:, :-1], ((0, 0), (1, 0)))
    is_old, is_new = many & (after * LEFT < filers), many & (before * LEFT < filers)
    # Before the first quarter and after the last one nothing is known.
    is_old[:, -1], is_new[:, 0] = False, False
    held = _held(path, texts, first, is_old | is_new)
    found: list[tuple[int, int, int]] = []
    for column in range(filers.shape[1] - 1):
        old, new = (
            held[(held["quarter"] == now) & of[held["cusip"], now]]
            for now, of in ((column, is_old), (column + 1, is_new))
        )
        found += _same_holders(old, new, filers[:, column], filers[:, column + 1], words)
    replaced: dict[str, str] = {}
    taken = set()
    # The best witnessed first; of equals, by their texts.
    for _, new_place, old_place in sorted(found, key=lambda one: (-one[0], one[1], one[2])):
        new_cusip, old_cusip = texts[new_place].as_py(), texts[old_place].as_py()
        if new_cusip not in replaced and old_cusip not in taken:
            replaced[new_cusip] = old_cusip
            taken.add(old_cusip)
    return replaced


def _held(path: str | Path, texts: pa.Array, first_quarter: int, wanted: NDArray[np.bool_]) -> pd.DataFrame:
    """Positions in the CUSIPs and quarters of `wanted`: mgrno, cusip (place), quarter (from 0), shares, value."""
    parts = []
    for block in manager_blocks(path):
        cusip = pc.index_in(block["cusip"], value_set=texts).to_numpy()
        quarter = block["quarter"].to_numpy() - first_quarter
        shares, value = block["shares"].to_numpy(), block["value"].to_numpy()
        kept = wanted[cusip, quarter] & (shares > 0) & (value > 0)
        columns = {"mgrno": block["mgrno"].to_numpy(), "cusip": cusip, "quarter": quarter}
        columns |= {"shares": shares, "value": value}
        parts.append(pd.DataFrame({name: column[kept] for name, column in columns.items()}))
    return pd.concat(parts, ignore_index=True)


def _same_holders(
    old: pd.DataFrame, new: pd.DataFrame, old_filers: NDArray, new_filers: NDArray, words: NDArray
) -> list[tuple[int, int, int]]:
    """(agreeing holders, new, old) of the pairs that `successions` looks for, of one quarter and the next."""
    if not len(old) or not len(new):
        return []
    managers, old_cusips, new_cusips = np.unique(old["mgrno"]), np.unique(old["cusip"]), np.unique(new["cusip"])
    new = new[np.isin(new["mgrno"], managers)]

    def by_manager(rows: pd.DataFrame, cusips: NDArray) -> sparse.csc_array:
        at = np.searchsorted(managers, rows["mgrno"]), np.searchsorted(cusips, rows["cusip"])
        return sparse.csc_array((np.ones(len(rows)), at), shape=(len(managers), len(cusips)))

    both = (by_manager(old, old_cusips).T @ by_manager(new, new_cusips)).tocoo()
    o, n = old_cusips[both.coords[0]], new_cusips[both.coords[1]]
    least = np.where((words[o] == words[n]) & (words[o] != ""), MIN_NAMESAKES, MIN_AGREEING)
    enough = (both.data >= least) & (both.data >= COMMON_HOLDERS * np.maximum(old_filers[o], new_filers[n])) & (o != n)
    found = []
    of_old, of_new = (dict(iter(rows.set_index("mgrno").groupby("cusip"))) for rows in (old, new))
    for old_place, new_place, needed in zip(
        o[enough].tolist(), n[enough].tolist(), least[enough].tolist(), strict=True
    ):
        pair = of_old[old_place].merge(of_new[new_place], left_index=True, right_index=True, suffixes=("", "_new"))
        ratio = np.log(pair["shares_new"] / pair["shares"]).to_numpy()
        agreeing = int((np.abs(ratio - np.median(ratio)) <= SAME_RATIO).sum())
        value = float(np.median(pair["value_new"] / pair["value"]))
        if agreeing >= max(needed, AGREEING * len(pair)) and LEAST_VALUE <= value <= LARGEST_VALUE:
            found.append((agreeing, new_place, old_place))
    return found


def make_stocks(cusip_rows: pa.Table, replaced: dict[str, str]) -> Stocks:
    """All stocks with the grids `value` ($ million held), `holders` and `price` ($); these of the CUSIP most held.

    A CUSIP that takes another one's place (`replaced`: new -> old) has the id of the first of them.
    """
    texts = pc.unique(cusip_rows["cusip"]).sort()
    cusips = texts.to_pylist()
    origin = [_origin(cusip, replaced) for cusip in cusips]
    permno_of_cusip = permno_of(origin)
    permno = np.unique(permno_of_cusip[permno_of_cusip >= 0])
    stock_of = np.where(permno_of_cusip < 0, -1, np.searchsorted(permno, permno_of_cusip))
    quarter = cusip_rows["quarter"].to_numpy()
    first, last = (int(quarter.min()), int(quarter.max())) if len(quarter) else (0, 0)
    stocks = Stocks(permno, first, last - first + 1, texts, stock_of)
    shape = (len(permno), stocks.quarters)
    row, column = stocks.rows(cusip_rows["cusip"]), quarter - first
    filers, price = cusip_rows["filers"].to_numpy().astype(float), cusip_rows["price"].to_numpy()
    # The largest comes last and stays; of equals, the later CUSIP by its text.
    order = np.lexsort((np.arange(len(row)), filers))
    order = order[row[order] >= 0]
    holders, values, prices = np.zeros(shape), np.zeros(shape), np.full(shape, np.nan)
    np.add.at(values, (row[order], column[order]), cusip_rows["value"].to_numpy()[order])
    holders[row[order], column[order]] = filers[order]
    prices[row[order], column[order]] = price[order]
    stocks.grids |= {"holders": holders, "value": values, "price": prices}
    return stocks


def _origin(cusip: str, replaced: dict[str, str]) -> str:
    """The first CUSIP of a chain. Each link leads to an earlier quarter, so that there is no circle."""
    while cusip in replaced:
        cusip = replaced[cusip]
    return cusip


def are_alive(holders: Grid, min_filers: int) -> NDArray[np.bool_]:
    """Whether a stock still exists in a quarter, shape of `holders`: from the first holder to the last quarter with
    `min_filers` of them, since some filers go on with a position that is none any more; for a stock that never had as
    many, to its last holder."""
    many, any_holder = holders >= min_filers, holders > 0
    counted = np.where(many.any(axis=1, keepdims=True), many, any_holder)
    begun = np.maximum.accumulate(any_holder, axis=1)
    goes_on = np.maximum.accumulate(counted[:, ::-1], axis=1)[:, ::-1]
    return begun & goes_on


def split_ratios(stocks: Stocks, path: str | Path) -> Grid:
    """Shares after / before of stocks split between the quarter before and this one, 1 elsewhere (stock_quarters)."""
    prices = stocks.grids["price"]

    def read(columns: Iterable[str]) -> Iterator[pa.Table]:
        for block in manager_blocks(path):
            row, column = stocks.rows(block["cusip"]), block["quarter"].to_numpy() - stocks.first_quarter
            holding = block["shares"].to_numpy() * np.where(row < 0, np.nan, prices[row, column])
            mgrno = block["mgrno"].to_numpy()
            known = np.flatnonzero((row >= 0) & (holding > 0))
            known = known[np.lexsort((column[known], row[known], mgrno[known]))]
            mgrno, row, column, holding = mgrno[known], row[known], column[known], holding[known]
            is_next = np.append((np.diff(mgrno) == 0) & (np.diff(row) == 0) & (np.diff(column) == 1), False)[: len(row)]
            yield pa.table(
                {
                    "permno": stocks.permno[row],
                    "quarter": (column + stocks.first_quarter).astype(np.int32),
                    "prc": prices[row, column],
                    "holding_t": holding,
                    "holding_t1": np.where(is_next, np.append(holding[1:], np.nan)[: len(row)], np.nan),
                }
            )

    found = stock_quarters(read)
    ratios = np.ones_like(prices)
    row = np.searchsorted(stocks.permno, found["permno"].to_numpy())
    column = found["quarter"].to_numpy() - stocks.first_quarter + 1
    ratio = found["split_ratio"].to_numpy()
    split = ~np.isnan(ratio)
    ratios[row[split], column[split]] = ratio[split]
    return ratios


def betas(prices: Grid, splits: Grid, weights: Grid, window: int, least: int) -> Grid:
    """Market beta of each stock and quarter from its last `window` quarterly price returns, NaN for fewer than `least`.

    Slope of the stock's return on the market's, both to the end of the quarter; the market is the mean return of the
    stocks weighted by what managers held of them (`weights`, $ million) a quarter before. Dividends are left out.
    """
    gross = np.full_like(prices, np.nan)
    gross[:, 1:] = prices[:, 1:] * splits[:, 1:] / prices[:, :-1]
    known = (gross > 1 / LARGEST_MOVE) & (gross < LARGEST_MOVE)
    y = np.where(known, gross - 1, 0.0)
    weight = np.zeros_like(prices)
    weight[:, 1:] = np.nan_to_num(weights[:, :-1])
    weight = np.where(known, weight, 0.0)
    total = weight.sum(axis=0)
    is_market = (known.sum(axis=0) >= MIN_MARKET) & (total > 0)
    market = np.where(is_market, (weight * y).sum(axis=0) / np.where(total > 0, total, 1), 0.0)
    known &= is_market
    y, x = np.where(known, y, 0.0), np.where(known, market, 0.0)

    def rolling(values: NDArray) -> Grid:
        total = np.cumsum(values, axis=1, dtype=float)
        total[:, window:] -= total[:, :-window].copy()
        return total

    n, sx, sy, sxy, sxx = (rolling(values) for values in (known, x, y, x * y, x * x))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return np.where((n >= least) & np.isfinite(slope) & (n * sxx - sx * sx > 1e-12), slope, np.nan)
