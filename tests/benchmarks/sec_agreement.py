"""The panel that real zips give, beside a panel that somebody else made of the same filings.

    python -m tests.benchmarks.sec_agreement

Reads `../shared/data` (its READMEs say what is real in it): makes the slices of `sec_form13f/zips` and compares them
with `panel_quarter_13f.parquet`, position by position: how many are found, how many are equal within 1 %, and the
reasons for the rest; then the characteristics of the rows that both have. Stocks are matched by ticker.
"""

import tempfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd

from tests.unit.holdings.sec.hand_made import build
from workflow_scripts import build_sec_panel
from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.holdings.sec.panel_settings import SecPanelSettings
from workflow_scripts.plumbing.code_digest import ROOT

SHARED = ROOT.parent / "shared/data"
EQUAL, SAME = 0.01, "equal within 1 %"
MISSING = "not found"
MIN_PRICE_FILERS = 3


def made(folder: Path) -> pd.DataFrame:
    """Our rows with quarter, ticker, and the shares and value of the filings."""
    build(sorted((SHARED / "sec_form13f/zips").glob("*.zip")), folder)
    identifiers = folder / "identifiers"
    identifiers.mkdir()
    tickers = pd.read_csv(SHARED / "sec_13f/cusip_ticker.csv.gz", dtype=str)
    tickers.columns = ["cusip", "ticker"]
    tickers.to_csv(identifiers / "tickers.csv", index=False)
    settings = SecPanelSettings(
        identifiers=str(identifiers),
        fundamentals=str(SHARED / "sec_13f/fundamentals_quarterly.csv.gz"),
        needed=[],
    )
    files = {name: str(folder / f"{name}.parquet") for name in ("positions", "managers")}
    out = {"slices": str(folder / "panel"), "out": str(folder / "sec")}
    print(
        build_sec_panel.main(Namespace(**files, **out, settings=build_sec_panel.Settings(settings, MIN_PRICE_FILERS)))
    )
    panel = pd.concat([pd.read_parquet(folder / f"panel/{name}.parquet") for name in FIRM_TYPES])
    stocks = pd.read_csv(folder / "sec/stocks.csv", dtype={"cusip": str})
    last = stocks[stocks["ticker"].notna()].sort_values("last_quarter").drop_duplicates("permno", keep="last")
    panel["quarter"] = quarter_ids(panel["date"].to_numpy())
    panel["ticker"] = panel["permno"].map(last.set_index("permno")["ticker"])
    positions = pd.read_parquet(folder / "positions.parquet")
    positions["permno"] = positions["cusip"].map(stocks.set_index("cusip")["permno"])
    filed = positions.groupby(["mgrno", "permno", "quarter"], as_index=False)[["shares", "value"]].sum()
    return panel.merge(filed, on=["mgrno", "permno", "quarter"], how="left")


def theirs() -> pd.DataFrame:
    """Their rows with quarter."""
    panel = pd.concat(
        [pd.read_parquet(path) for path in sorted((SHARED / "panel_quarter_13f.parquet").glob("*.parquet"))]
    )
    panel["quarter"] = quarter_ids(panel["date"].to_numpy())
    return panel


def compared(ours: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Their positions of quarters that the manager has a filing for, with ours beside them, and `what` ours say."""
    held, own = others[others["holding_t"] > 0], ours[ours["holding_t"] > 0]
    told = set(map(tuple, own[["mgrno", "quarter"]].drop_duplicates().to_numpy().tolist()))
    has_filing = [one in told for one in map(tuple, held[["mgrno", "quarter"]].to_numpy().tolist())]
    print(f"{len(held):,} positions of theirs; {len(held) - sum(has_filing):,} of quarters of a manager without a zip")
    both = held[has_filing].merge(
        own.dropna(subset="ticker"), on=["mgrno", "quarter", "ticker"], how="left", suffixes=("_other", "")
    )
    distance = (both["holding_t"] / both["holding_t_other"] - 1).abs()
    filed = (both["value"] / both["holding_t_other"] - 1).abs()
    shares = (both["shares"] / both["shares_other"] - 1).abs()
    price = (both["prc"] / both["prc_other"] - 1).abs()
    both["what"] = np.select(
        [
            both["holding_t"].isna(),
            distance < EQUAL,
            shares > EQUAL,
            both["prc"].isna(),
            price > EQUAL,
            filed > EQUAL,
        ],
        [
            MISSING,
            SAME,
            "other shares: amended, or a CUSIP more or less",
            f"no price by {MIN_PRICE_FILERS} managers: filed value, against a price of theirs",
            "other price",
            "filed value and shares disagree: we believe the value, they the shares",
        ],
        "else",
    )
    return both


def print_positions(both: pd.DataFrame) -> None:
    """Their positions by what ours say: counts and shares, and the managers where they differ most."""
    counts = both["what"].value_counts()
    table = pd.DataFrame({"positions": counts, "share": (counts / len(both)).map("{:.4%}".format)})
    print(table.to_string())
    print("\nNot equal, by manager:", both.loc[both["what"] != SAME, "mgrno"].value_counts().head(5).to_dict())


def zero_rows(ours: pd.DataFrame, others: pd.DataFrame) -> None:
    """Their zero rows by what ours say, where the manager filed in that quarter."""
    keys, pair = ["mgrno", "quarter", "ticker"], ["mgrno", "ticker"]
    zero = others[others["holding_t"] == 0]
    zero = zero.merge(ours[[*keys, "holding_t"]], on=keys, how="left", suffixes=("_other", ""))
    told = set(map(tuple, ours[["mgrno", "quarter"]].drop_duplicates().to_numpy().tolist()))
    zero = zero[[one in told for one in map(tuple, zero[["mgrno", "quarter"]].to_numpy().tolist())]]
    first = ours[ours["holding_t"] > 0].groupby(pair)["quarter"].min()
    begun = zero["quarter"] > first.reindex(pd.MultiIndex.from_frame(zero[pair])).to_numpy()
    same, held = zero["holding_t"] == 0, zero["holding_t"] > 0
    print(
        f"\n{len(zero):,} zero rows of theirs: {same.sum():,} zero here, {held.sum():,} held here, "
        f"{(~begun & ~same & ~held).sum():,} sold before the zips begin, {(begun & ~same & ~held).sum():,} other"
    )


def print_characteristics(both: pd.DataFrame, ours: pd.DataFrame) -> None:
    """Shares of rows with equal characteristics; theirs count what was known on the quarter's first day, so that ours
    of the quarter before is the same number."""
    stocks = ours.dropna(subset="ticker").drop_duplicates(["ticker", "quarter"])[
        ["ticker", "quarter", "be", "profit", "Gat"]
    ]
    before = stocks.assign(quarter=stocks["quarter"] + 1)
    rows = both.merge(before, on=["ticker", "quarter"], how="left", suffixes=("", "_before"))
    lines = {}
    for name in ("prc", "aum", "be", "profit", "Gat"):
        line = {}
        for title, column in (("same quarter", name), ("quarter before", f"{name}_before")):
            if column in rows:
                known = rows[rows[column].notna() & rows[f"{name}_other"].notna()]
                difference = (known[column] - known[f"{name}_other"]).abs()
                equal = difference <= EQUAL * known[f"{name}_other"].abs()
                line |= {f"{title}: rows": len(known), f"{title}: equal": f"{equal.mean():.2%}"}
        lines[name] = line
    print("\n" + pd.DataFrame(lines).T.to_string(na_rep=""))


def main() -> None:
    if not SHARED.is_dir():
        raise SystemExit(f"{SHARED} is not there; nothing is compared")
    with tempfile.TemporaryDirectory() as folder:
        ours, others = made(Path(folder)), theirs()
    both = compared(ours, others)
    print_positions(both)
    zero_rows(ours, others)
    print_characteristics(both[both["what"] != MISSING], ours)


if __name__ == "__main__":
    main()
