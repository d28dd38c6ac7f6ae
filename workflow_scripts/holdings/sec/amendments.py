"""Which filings count: originals, restatements and new holdings of each manager and quarter, as known on a day.

A manager may file for one quarter again and again, years later too, and every zip has filings of many quarters. An
original and a restatement replace what was filed before; an amendment with new holdings adds to it, such as positions
for which a confidential treatment has ended.
"""

import datetime as dt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

KEPT = "kept"
SUPERSEDED = "superseded"
NOTICE = "notice"
LATER = "after as_of"
REPEATED = "in another zip"
NO_TABLE = "no table"
SHARES_ARE_VALUES = "shares are values"
INCLUDED = "in another manager's"
OTHER_FORM = "other form"
STATES = (KEPT, SUPERSEDED, NOTICE, LATER, REPEATED, NO_TABLE, SHARES_ARE_VALUES, INCLUDED, OTHER_FORM)
NEW_HOLDINGS = "NEW HOLDINGS"
# Fewer rows may be alike by chance.
MIN_ROWS = 3
MIN_TWIN_ROWS = 5
# Of totals that filers add up from rounded values.
TOLERANCE = 0.01


def is_original(filings: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a filing has the whole table of its quarter, shape (n,): an original, or an amendment that replaces."""
    return filings["amendment"].to_numpy() != NEW_HOLDINGS


def states_of(filings: pd.DataFrame, as_of: str | None) -> NDArray:
    """What becomes of each filing (`STATES`), shape (n,); `filings` as `ZipContent` has them, of all zips in order.

    In this order: a filing that an earlier zip has already, one filed after `as_of`, a notice (its positions are in
    another manager's report), another form; one whose table is missing though its summary counts entries, or that
    amends without one; one that gives values in the place of shares in half of its rows or more. Of the others of a
    manager and quarter, by day filed, originals before amendments, number of the amendment and accession, all
    before the last one that replaces are superseded. Of two managers with one and the same table, that of the
    manager whom the other one names as included is left out.
    """
    form = filings["form"].to_numpy(str)
    rows, stock, equal = (filings[name].to_numpy() for name in ("rows", "stock_rows", "equal_rows"))
    is_amendment = np.char.endswith(form, "/A")
    last_day = dt.date.max if as_of is None else dt.date.fromisoformat(as_of)
    reasons = {
        REPEATED: filings["accession"].duplicated().to_numpy(),
        LATER: (filings["filed"] > last_day).to_numpy(),
        NOTICE: np.char.startswith(form, "13F-NT"),
        OTHER_FORM: ~np.char.startswith(form, "13F-HR"),
        NO_TABLE: (rows == 0) & (is_amendment | (filings["entries_stated"].fillna(0) > 0).to_numpy()),
        SHARES_ARE_VALUES: (stock >= MIN_ROWS) & (2 * equal >= stock),
    }
    states = np.select(list(reasons.values()), list(reasons), default=KEPT).astype(object)
    chain = np.flatnonzero(states == KEPT)
    keys = ("accession", "amendment_no", "amended", "filed", "quarter", "mgrno")
    frame = filings.assign(amended=is_amendment).iloc[chain]
    chain = chain[np.lexsort([frame[key].to_numpy() if key != "filed" else _days(frame[key]) for key in keys])]
    states[chain[_replaced(filings.iloc[chain])]] = SUPERSEDED
    states[_included(filings, np.flatnonzero(states == KEPT))] = INCLUDED
    return states


def _days(days: pd.Series) -> NDArray[np.int64]:
    return days.to_numpy("datetime64[D]").astype(np.int64)


def _replaced(chain: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a later filing of the same manager and quarter replaces it; filings in order, shape (n,)."""
    replaces = is_original(chain).astype(np.int64)
    group = (chain["mgrno"].to_numpy(), chain["quarter"].to_numpy())
    series = pd.Series(replaces).groupby(list(group))
    return (series.transform("sum") > series.cumsum()).to_numpy()


def _included(filings: pd.DataFrame, kept: NDArray) -> list[int]:
    """Filings whose table stands in that of another manager, who names this one among those it includes."""
    frame = filings.iloc[kept]
    frame = frame[frame["stock_rows"] >= MIN_TWIN_ROWS]
    found = []
    for _, group in frame.groupby(["quarter", "rows", "stock_rows", "value_rows"], sort=False):
        if group["mgrno"].nunique() > 1:
            named = set().union(*group["included"]) & set(group["mgrno"])
            # At least one stays, whoever names whom.
            owners = set(group["mgrno"]) - named or {group["mgrno"].min()}
            found += [int(at) for at in group.index[~group["mgrno"].isin(owners)]]
    return found


def are_doubled(filings: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a filing has each of its rows twice, and its summary half of them in number or in value, shape (n,)."""
    halves = [
        (filings[total] / filings[stated].where(filings[stated] > 0) - 2).abs() <= TOLERANCE
        for total, stated in (("rows", "entries_stated"), ("value_rows", "value_stated"))
    ]
    return (filings["is_paired"] & (filings["rows"] > 0) & (halves[0] | halves[1])).to_numpy()


def without_base(filings: pd.DataFrame, states: NDArray) -> NDArray[np.bool_]:
    """Whether a kept filing adds new holdings to nothing: its original was on paper or is in no zip, shape (n,)."""
    is_base = is_original(filings) & (states == KEPT)
    has_base = pd.Series(is_base).groupby([filings["mgrno"].to_numpy(), filings["quarter"].to_numpy()]).transform("any")
    return (states == KEPT) & ~has_base.to_numpy()
