"""What the panel says of a stock in a quarter: its price, its characteristics, and whether it is inside.

Everything of quarter t was known at its end, but for prices that filings imply: these are the prices of that day, which
the market knew, told up to 45 days later.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FACTORS
from workflow_scripts.holdings.sec.fundamentals import known_by, series_of
from workflow_scripts.holdings.sec.identifiers import Identifiers, by_name
from workflow_scripts.holdings.sec.panel_settings import SecPanelSettings
from workflow_scripts.holdings.sec.stocks import Grid, Stocks, betas, split_ratios

WINSORISED = ("profit", "Gat", "beta")
# Quarters before t whose stocks give the limits.
LIMIT_QUARTERS = 4


def stock_map(
    stocks: Stocks, cusip_rows: pa.Table, replaced: dict[str, str], known: Identifiers, companies: pd.DataFrame
) -> pd.DataFrame:
    """One row per CUSIP that is a stock: permno, cusip, follows, issuer, title_of_class, quarters, ticker, company.

    `companies` (company, name) are those of the reports. `linked_by` says what led to the company: csv, ticker or name.
    """
    frame = cusip_rows.select(["cusip", "quarter", "issuer", "title_of_class"]).to_pandas()
    first = frame.drop_duplicates("cusip", keep="first").set_index("cusip")
    last = frame.drop_duplicates("cusip", keep="last").set_index("cusip")
    cusips = stocks.cusips.to_pylist()
    table = pd.DataFrame({"row": stocks.stock_of, "cusip": cusips})
    table = table[table["row"] >= 0].reset_index(drop=True)
    cusip = table["cusip"]
    table.insert(0, "permno", stocks.permno[table["row"].to_numpy()])
    table["follows"] = cusip.map(replaced).astype(object)
    table["issuer"], table["title_of_class"] = cusip.map(last["issuer"]), cusip.map(last["title_of_class"])
    table["first_quarter"], table["last_quarter"] = cusip.map(first["quarter"]), cusip.map(last["quarter"])
    table["ticker"] = cusip.map(known.ticker).astype(object)
    by_csv = cusip.map(known.company).astype("Int64")
    by_ticker = table["ticker"].map(known.company_of_ticker).astype("Int64")
    names = by_name(table["issuer"].fillna("").unique(), companies) if len(companies) else {}
    named = table["issuer"].map(names).astype("Int64")
    table["company"] = by_csv.fillna(by_ticker).fillna(named)
    table["linked_by"] = np.select(
        [by_csv.notna(), by_ticker.notna(), named.notna()], ["csv", "ticker", "name"], default=""
    )
    return table.sort_values(["permno", "first_quarter", "cusip"], kind="stable").reset_index(drop=True)


def _latest(table: pd.DataFrame, column: str, n_stocks: int) -> NDArray[np.object_]:
    """A column of `stock_map` by stock, shape (n_stocks,): of its latest CUSIP that has one, as text, else empty."""
    found = np.full(n_stocks, "", dtype=object)
    known = table[table[column].notna()].sort_values("last_quarter", kind="stable")
    found[known["row"].to_numpy()] = known[column].astype(str).to_numpy()
    return found


def company_keys(table: pd.DataFrame, facts: pd.DataFrame, n_stocks: int) -> NDArray[np.object_]:
    """By what name the reports know each stock: its company, its ticker or its CUSIP; empty for none."""
    known = set(facts["company"])
    keys = np.full(n_stocks, "", dtype=object)
    for column in ("cusip", "ticker", "company"):
        found = _latest(table, column, n_stocks)
        keys = np.where(np.isin(found.astype(str), list(known)), found, keys)
    return keys


def _overwrite(stocks: Stocks, table: pd.DataFrame, own: pd.DataFrame, column: str, grid: Grid) -> int:
    """Put the user's values of a column into a grid; how many there are."""
    key = "cusip" if "cusip" in own else "ticker"
    rows = table.loc[table[key].notna(), [key, "row"]].drop_duplicates()
    values = own[[key, "quarter", column]].dropna().merge(rows, on=key)
    at = values["quarter"].to_numpy() - stocks.first_quarter
    inside = (at >= 0) & (at < stocks.quarters)
    grid[values["row"].to_numpy()[inside], at[inside]] = values[column].to_numpy()[inside]
    return int(inside.sum())


def shares_outstanding(reported: Grid, splits: Grid) -> Grid:
    """Shares of each stock at the end of each quarter (million) from those last reported and the splits since.

    A report may be older than a split, or already tell the shares after it. Whichever is nearer to what the quarter
    before leads one to expect is taken; a split goes on counting until a report has taken it up.
    """
    shares, pending = np.full_like(reported, np.nan), np.ones(len(reported))
    for quarter in range(reported.shape[1]):
        pending = pending * splits[:, quarter]
        now = reported[:, quarter]
        before = shares[:, quarter - 1] * splits[:, quarter] if quarter else np.full(len(now), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            taken_up = ~(np.abs(np.log(now * pending / before)) < np.abs(np.log(now / before)))
        pending = np.where(taken_up, 1.0, pending)
        shares[:, quarter] = now * pending
    return shares


def winsorised(grid: Grid, tail: float) -> Grid:
    """A characteristic cut at the `tail` and 1 - `tail` quantiles of the stocks in the four quarters before.

    Limits are those of past quarters alone; the first quarter, before which there is nothing, is left as it is.
    """
    cut = grid.copy()
    for quarter in range(1, grid.shape[1]):
        before = grid[:, max(0, quarter - LIMIT_QUARTERS) : quarter]
        before = before[~np.isnan(before)]
        if len(before):
            cut[:, quarter] = np.clip(grid[:, quarter], *np.quantile(before, [tail, 1 - tail]))
    return cut


def needed_of(settings: SecPanelSettings) -> tuple[str, ...]:
    """The characteristics without which a position is an outside asset."""
    if settings.needed is not None:
        return tuple(settings.needed)
    return ("me", "be") if settings.fundamentals else ()


def add_characteristics(
    stocks: Stocks,
    positions: str | Path,
    table: pd.DataFrame,
    facts: pd.DataFrame,
    own: pd.DataFrame | None,
    settings: SecPanelSettings,
) -> dict[str, int]:
    """Fill the grids prc, me, be, profit, Gat, beta and inside (1 or 0); how many values came from the user's file.

    `table` is `stock_map`, `facts` what companies reported, `own` the user's values.
    """
    grids = stocks.grids
    shape = grids["price"].shape
    used: dict[str, int] = {}
    if own is not None and "prc" in own:
        used["prc"] = _overwrite(stocks, table, own, "prc", grids["price"])
    prices = grids["price"]
    splits = split_ratios(stocks, positions)
    grids["split"] = splits
    grids["beta"] = betas(prices, splits, grids["value"], settings.beta_quarters, settings.beta_min_quarters)
    keys = company_keys(table, facts, len(stocks.permno))
    series = series_of(facts)
    for name in ("be", "profit", "Gat"):
        grids[name] = known_by(series[name], keys, stocks.end_days, settings.stale_quarters)[0]
    reported = known_by(series["shares"], keys, stocks.end_days, settings.stale_quarters)[0]
    grids["me"] = prices * shares_outstanding(reported, splits)
    for name in FACTORS:
        if own is not None and name in own:
            used[name] = _overwrite(stocks, table, own, name, grids[name])
    if settings.winsorise is not None:
        for name in WINSORISED:
            grids[name] = winsorised(grids[name], settings.winsorise)
    inside = np.ones(shape, dtype=bool)
    for name in needed_of(settings):
        inside &= ~np.isnan(grids[name])
    grids["inside"] = inside.astype(float)
    return used
