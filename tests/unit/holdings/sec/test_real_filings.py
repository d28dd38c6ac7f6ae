"""The numbers of real Form 13F data sets, reckoned by others from the same zips, where they are on this machine."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.unit.holdings.sec.hand_made import build
from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.plumbing.code_digest import ROOT

REAL = ROOT.parent / "shared/data/sec_form13f"
# One stock, 28,639,059 shares at $0.69, then $0.17 and $0.15: the list takes the first quarter alone for thousands, a
# holding of $20 billion.
DISPUTED = "0000902664-23-002856"

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="the real Form 13F zips are not on this machine")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return build(sorted((REAL / "zips").glob("*.zip")), tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def totals() -> dict:
    return json.loads((REAL / "expected/totals.json").read_text())


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    return pd.read_csv(REAL / "expected/filings.csv").set_index("ACCESSION_NUMBER")


def test_filings_are_kept_and_rows_counted_as_listed(real, totals, expected):
    filings = real.filings.set_index("accession")
    assert sorted(filings.index) == sorted(expected.index)
    kept = filings[filings["state"] == "kept"]
    assert set(kept.index) == set(expected.index[expected["kept"]])
    assert (filings["state"] == "superseded").sum() == totals["holdings_filings_superseded"]
    assert kept[["rows", "option_rows", "principal_rows", "stock_rows"]].sum().tolist() == [
        totals["rows_in_kept_filings"],
        totals["rows_dropped_option"],
        totals["rows_dropped_prn"],
        totals["rows_used"],
    ]
    held = filings[filings["state"] != "notice"]
    assert (held["value_rows"] == expected.loc[held.index, "sum_value"]).all()
    assert (held["rows"] == expected.loc[held.index, "rows"]).all()
    # The list counts an amended notice, which has no holdings to add.
    lone = expected.loc[filings.index[filings["without_base"]]]
    assert len(lone) == totals["new_holdings_without_base"] - 1


def test_units_are_those_listed(real, totals, expected):
    kept = real.filings[real.filings["state"] == "kept"].set_index("accession")
    unit = kept["unit"].map({"dollars": 1, "thousands": 1000})
    differ = unit.index[unit != expected.loc[unit.index, "factor_true"]]
    assert list(differ) == [DISPUTED]
    since = pd.to_datetime(kept["filed"]) >= "2023-01-03"
    assert (unit[since] == 1000).sum() == totals["post_switch_in_thousands"] - 1
    # One of the listed is superseded.
    assert (unit[~since] == 1).sum() == totals["pre_switch_in_dollars"] - 1
    assert (kept["unit_by"] == "prices").mean() > 0.9


def test_summary_pages_agree_as_listed(real, totals, expected):
    kept = real.filings.set_index("accession").loc[expected.index[expected["summary_is_real"] & expected["kept"]]]
    # Two of the listed are superseded.
    assert len(kept) == totals["real_summary_filings"] - 2
    off = (kept["value_rows"] - kept["value_stated"]).abs() / kept["value_stated"].clip(lower=1)
    assert (kept["rows"] == kept["entries_stated"]).sum() >= totals["real_entry_equal"] - 2
    assert (off == 0).sum() >= totals["real_value_equal"] - 2
    assert (off <= 0.001).sum() >= totals["real_value_within_0_1_percent"] - 2


def test_every_position_is_the_listed_one(real, totals):
    """Shares to the last one, values to the dollar; of CUSIPs that we mend, the sums of manager and quarter."""
    theirs = pd.read_parquet(REAL / "expected/positions.parquet")
    theirs = theirs.assign(mgrno=theirs["CIK"].astype(int), quarter=quarter_ids(theirs["period"].to_numpy()))
    ours = real.positions
    assert len(ours) == len(theirs) == totals["positions_cik_period_cusip"]
    assert ours["shares"].sum() == totals["shares"]
    both = ours.merge(theirs, on=["mgrno", "quarter", "cusip"], suffixes=("", "_listed"))
    assert len(both) >= 0.995 * len(theirs)
    assert (both["shares"] == both["shares_listed"]).all()
    is_disputed = both["usd_true"] > 500 * both["value"] * 1e6
    assert both.loc[is_disputed & (both["value"] > 0), "shares"].tolist() == [28639059]
    np.testing.assert_allclose(both["value"][~is_disputed] * 1e6, both["usd_true"][~is_disputed], rtol=1e-12)
    keys = ["mgrno", "quarter"]
    sums = [frame.groupby(keys)["shares"].sum() for frame in (ours, theirs)]
    assert (sums[0] == sums[1]).all(), "the rest differs in its CUSIP alone"
    listed = totals["usd_corrected"] - 999 * float(both.loc[is_disputed, "value"].sum()) * 1e6
    assert ours["value"].sum() * 1e6 == pytest.approx(listed, rel=1e-12)
