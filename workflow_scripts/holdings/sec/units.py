"""Whether a filing reports dollars or thousands of dollars.

The form asked for thousands in what was filed before 2023-01-03, and asks for dollars since, whatever the period. One
filer in five went on in thousands at first, some still do, and a few reported dollars before. So prices decide: value /
shares of a CUSIP against the median of all who report it for the same quarter. Where a filing has too few such CUSIPs,
the manager's own filings of the nearest quarters do, and without any the day of filing.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.sec.filing_settings import FilingSettings

DOLLARS_SINCE = dt.date(2023, 1, 3)
THOUSAND = 1000
# In the middle between dollars, 0, and thousands, -3, as log10 of a price as filed over the right one.
BORDER = -1.5
BY_PRICES = "prices"
BY_OWN_PRICES = "own prices"
BY_HABIT = "own filings"
BY_DAY = "day filed"
# Beyond these quarters a price says little of another one.
NEAR_QUARTERS = 8
ROUNDS = 5


@dataclass(frozen=True)
class Units:
    """The units of n filings: `unit` (1 or 1000), `cusips` with a price to compare, `share` of them that say the same
    unit, `log_ratio` (log10) of prices as filed over those of the others; NaN where there is none."""

    unit: NDArray[np.int64]
    cusips: NDArray[np.int64]
    share: NDArray[np.float64]
    log_ratio: NDArray[np.float64]


def units_by_day(filed: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """The unit that the form asks for on the day of filing, shape (n,)."""
    return np.where(filed < np.datetime64(DOLLARS_SINCE), THOUSAND, 1)


def log_prices(shares: NDArray, values: NDArray) -> NDArray[np.float64]:
    """log10 of value / shares as filed, NaN where one of them is 0; shape (n,)."""
    is_price = (shares > 0) & (values > 0)
    return np.log10(np.divide(values, shares, out=np.full(len(shares), np.nan), where=is_price))


def medians(groups: NDArray[np.int64], values: NDArray[np.float64], n: int) -> tuple[NDArray, NDArray[np.int64]]:
    """Median of the values of each group 0..n-1, NaN where empty, and their count; shape (n,). No value is NaN."""
    order = np.lexsort((values, groups))
    counts = np.bincount(groups, minlength=n)
    starts = np.cumsum(counts) - counts
    ordered = np.append(values[order], np.nan)
    low, high = (starts + np.maximum(counts - 1, 0) // 2, starts + counts // 2)
    found = (ordered[np.minimum(low, len(values))] + ordered[np.minimum(high, len(values))]) / 2
    return np.where(counts > 0, found, np.nan), counts


def units_by_prices(
    filing: NDArray[np.int64], cusip: NDArray[np.int64], log_price: NDArray, by_day: NDArray, settings: FilingSettings
) -> Units:
    """Units of the n filings of one quarter, from their positions: filing (0..n-1), code of the CUSIP, `log_prices`.

    `by_day` (n,) is where it starts. The median price of a CUSIP over at least `min_price_filers` filings tells the
    unit of each filing; with these units the medians are taken again, until no unit changes. A filing with fewer than
    `min_priced_cusips` such CUSIPs keeps the unit of its day (`cusips` says so).
    """
    n = len(by_day)
    usable = np.isfinite(log_price)
    filing, cusip, log_price = filing[usable], cusip[usable], log_price[usable]
    counts = np.bincount(cusip) if len(cusip) else np.zeros(0, dtype=np.int64)
    many = counts[cusip] >= settings.min_price_filers
    filing, log_price = filing[many], log_price[many]
    codes, cusip = np.unique(cusip[many], return_inverse=True)
    unit = by_day.copy()
    cusips, log_ratio = np.zeros(n, dtype=np.int64), np.full(n, np.nan)
    for _ in range(ROUNDS):
        reference, _ = medians(cusip, log_price + np.log10(unit[filing]), len(codes))
        gap = log_price - reference[cusip]
        log_ratio, cusips = medians(filing, gap, n)
        is_known = cusips >= settings.min_priced_cusips
        found = np.where(is_known, np.where(log_ratio < BORDER, THOUSAND, 1), by_day)
        if (found == unit).all():
            break
        unit = found
    says_so = np.where(gap < BORDER, THOUSAND, 1) == unit[filing]
    same = np.bincount(filing, weights=says_so, minlength=n)
    share = np.divide(same, cusips, out=np.full(n, np.nan), where=cusips > 0)
    return Units(unit, cusips, share, log_ratio)


@dataclass(frozen=True)
class OwnFiling:
    """One filing of a manager: its quarter, the unit of its day and the one found (0 where none was), and its prices as
    filed (log10) by CUSIP."""

    quarter: int
    by_day: int
    unit: int
    prices: dict[str, float]


def unit_by_history(filing: OwnFiling, others: list[OwnFiling]) -> tuple[int, str]:
    """Unit of a filing by the manager's other ones whose unit is known, and what decided.

    The nearest of them, within `NEAR_QUARTERS`, with a CUSIP of this one: the median ratio of the prices. Where there
    is none, the unit of the nearest one whose day asked for the same unit; without one, the unit of the day.
    """
    known = [one for one in others if one.unit]
    known.sort(key=lambda one: (abs(one.quarter - filing.quarter), one.quarter))
    for one in known:
        common = filing.prices.keys() & one.prices.keys()
        if common and abs(one.quarter - filing.quarter) <= NEAR_QUARTERS:
            gaps = [filing.prices[name] - one.prices[name] - np.log10(one.unit) for name in sorted(common)]
            return (THOUSAND if np.median(gaps) < BORDER else 1), BY_OWN_PRICES
    for one in known:
        if one.by_day == filing.by_day:
            return one.unit, BY_HABIT
    return filing.by_day, BY_DAY
