"""What became of the filings, for readers: a row of each, and the figures of all."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.sec.amendments import KEPT, NEW_HOLDINGS, STATES
from workflow_scripts.holdings.sec.units import BY_DAY, BY_HABIT, BY_OWN_PRICES, BY_PRICES, THOUSAND

# Totals of SUMMARYPAGE are added up from rounded values.
TOLERANCE = 0.001
# A filing with prices so far off has wrong shares or values.
FAR_OFF = 10
COLUMNS = (
    *("accession", "zip", "mgrno", "name", "form", "amendment", "report", "quarter", "filed", "state"),
    *("is_confidential", "without_base", "is_doubled", "rows", "option_rows", "principal_rows", "incomplete_rows"),
    *("stock_rows", "entries_stated", "value_stated", "value_rows", "unit", "unit_by", "priced_cusips", "unit_share"),
    "price_ratio",
)


def filings_table(filings: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """The table of filings, one row each by `COLUMNS`; what only kept ones have is missing for the others."""
    columns = ["unit", "unit_by", "priced_cusips", "unit_share", "price_ratio"]
    unit = kept["unit"].map({1: "dollars", THOUSAND: "thousands"})
    table = filings.join(kept[columns].assign(unit=unit))
    table = table.assign(
        quarter=quarter_labels(table["quarter"].to_numpy()),
        filed=table["filed"].astype(str),
        priced_cusips=table["priced_cusips"].astype(float),
        is_confidential=table["is_confidential"].fillna(False).astype(bool),
        price_ratio=table["price_ratio"].round(6),
        unit_share=table["unit_share"].round(6),
    )
    return table[list(COLUMNS)].sort_values(["mgrno", "quarter", "filed", "accession"])


def _agreement(kept: pd.DataFrame) -> list[str]:
    lines = []
    for what, stated, found in (("rows", "entries_stated", "rows"), ("value", "value_stated", "value_rows")):
        known = kept[kept[stated].notna()]
        off = (known[found] - known[stated]).abs() / known[stated].abs().clip(lower=1)
        lines.append(
            f"  {what:<6} {len(known):>8,} stated, {int((off == 0).sum()):,} equal, "
            f"{int((off <= TOLERANCE).sum()):,} within {TOLERANCE:.1%}"
        )
    return lines


def report_text(filings: pd.DataFrame, kept: pd.DataFrame, figures: Mapping[str, float], cusips: Mapping) -> str:
    """The report of all filings; `figures` are totals of the positions by name, `cusips` counts of CUSIPs by state."""
    kept_rows = {name: int(kept[name].sum()) for name in ("rows", "option_rows", "principal_rows", "incomplete_rows")}
    lines = [
        f"{len(filings):,} filings of {filings['mgrno'].nunique():,} managers in {filings['zip'].nunique()} zips",
        "",
    ]
    counts = filings["state"].value_counts()
    lines += [f"  {state:<22} {counts.get(state, 0):>10,}" for state in STATES if state in (KEPT, *counts.index)]
    adding = int((kept["amendment"] == NEW_HOLDINGS).sum())
    lines += [
        "",
        f"Of the kept, {adding:,} add new holdings, {int(kept['without_base'].sum()):,} of them to nothing: their",
    ]
    lines += ["quarter is a gap, because the whole table is in no zip."]
    lines += [f"{int(kept['is_doubled'].sum()):,} have each row twice and count half."]
    lines += ["", "Rows of the kept filings"]
    lines += [f"  {name.replace('_', ' '):<22} {count:>10,}" for name, count in kept_rows.items()]
    lines += [f"  {'stock, used':<22} {int(kept['stock_rows'].sum()):>10,}"]
    lines += ["", "Totals stated on the summary page, against all rows of the table", *_agreement(kept)]
    lines += ["", "Unit of the kept filings, and what decided it", *_unit_lines(kept)]
    ratio = kept["price_ratio"]
    far = kept[(ratio > FAR_OFF) | (ratio < 1 / FAR_OFF)]
    lines += ["", f"{len(far):,} filings have prices {FAR_OFF} times off in any unit: their shares or values are wrong"]
    lines += [
        f"  {one.accession}  {one.name}, {quarter_labels([one.quarter])[0]}: {one.price_ratio:.3g}"
        for one in far[["accession", "name", "quarter", "price_ratio"]].head(20).itertuples(index=False)
    ]
    lines += ["", "CUSIPs as written"]
    lines += [f"  {state:<22} {count:>10,}" for state, count in cusips.items()]
    lines += ["", "Positions (manager, quarter, CUSIP)"]
    lines += [f"  {name:<22} {value:>16,.0f}" for name, value in figures.items()]
    return "\n".join(lines) + "\n"


def _unit_lines(kept: pd.DataFrame) -> list[str]:
    words = np.where(kept["unit"] == THOUSAND, "thousands", "dollars")
    asked = np.where(kept["unit_by_day"] == THOUSAND, "thousands", "dollars")
    lines = [
        f"  {'asked for':<12}{'found':<12}"
        + "".join(f"{by:>14}" for by in (BY_PRICES, BY_OWN_PRICES, BY_HABIT, BY_DAY))
    ]
    for ask in ("thousands", "dollars"):
        for found in ("thousands", "dollars"):
            here = kept["unit_by"][(asked == ask) & (words == found)].value_counts()
            numbers = [here.get(by, 0) for by in (BY_PRICES, BY_OWN_PRICES, BY_HABIT, BY_DAY)]
            lines.append(f"  {ask:<12}{found:<12}" + "".join(f"{number:>14,}" for number in numbers))
    return lines
