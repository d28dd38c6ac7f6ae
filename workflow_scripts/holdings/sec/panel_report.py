"""What a panel from filings was made of, for readers, and its stocks' names for prompts."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.holdings.panel.contract import FACTORS
from workflow_scripts.holdings.sec.stocks import Stocks

# What `prompts.ticker_mapping` refuses in a name.
NOT_IN_NAMES = re.compile(r"[<>{}\[\]|\x00-\x1f]|^[=+@]+")


def coverage(stocks: Stocks) -> dict[str, float]:
    """Share of what managers hold, by value, in stock-quarters that have a price, a characteristic, or are inside."""
    grids = stocks.grids
    total = grids["value"].sum()
    known = {name: ~np.isnan(grids[name]) for name in ("price", *FACTORS)} | {"inside": grids["inside"] > 0}
    return {name: float(grids["value"][has].sum() / total) if total else 0.0 for name, has in known.items()}


def ticker_table(stock_map: pd.DataFrame) -> pd.DataFrame:
    """permno, ticker, company, as `prompts.ticker_mapping` reads them: the latest ticker and issuer of each stock."""
    known = stock_map[stock_map["ticker"].notna()].sort_values(["permno", "last_quarter", "cusip"], kind="stable")
    latest = known.drop_duplicates("permno", keep="last")
    names = {
        column: latest[source].fillna("").str.replace(NOT_IN_NAMES, "", regex=True).str.strip()
        for column, source in (("ticker", "ticker"), ("company", "issuer"))
    }
    return pd.DataFrame({"permno": latest["permno"], **names}).reset_index(drop=True)


def panel_text(report: Mapping[str, Any]) -> str:
    """The report of a panel for readers."""
    lines = [f"Panel of Form 13F filings, {report['first_quarter']} to {report['last_quarter']}", ""]

    def section(title: str, numbers: Mapping[str, int], note: str = "") -> None:
        lines.append(title)
        lines.extend(f"  {name:<58} {count:>14,}" for name, count in numbers.items())
        lines.extend([f"  {note}"] * bool(note) + [""])

    section("Positions and rows", report["counts"])
    section("What a position is worth", report["valued_by"])
    section("Rows by firm type", report["rows"])
    section("Managers by firm type", report["managers"], "each one's type and reason: manager_types.csv")
    section("Types decided by", report["types_by"])
    section("Stocks", report["stocks"], "each CUSIP's id: stocks.csv")
    if report["own_values"]:
        section("Values of your own", report["own_values"])
    needed = ", ".join(report["needed"]) or "nothing"
    lines.append(f"Share of what managers hold, by value, that has (inside needs {needed})")
    lines += [f"  {name:<58} {share:>14.1%}" for name, share in report["coverage"].items()]
    if report["files"]:
        lines += ["", "Files of identifiers"]
        lines += [f"  {name:<40} {what}" for name, what in report["files"].items()]
    return "\n".join(lines) + "\n"
