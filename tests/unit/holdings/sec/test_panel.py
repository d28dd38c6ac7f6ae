"""Positions to panel rows: exits and gaps, assets, prices, CUSIP changes; check_panel accepts every slice."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.unit.holdings.sec.conftest import AAPL, AMZN, MSFT, cell, holding
from workflow_scripts.holdings.sec.stocks import permno_of
from workflow_scripts.plumbing.errors import InputError

Q = [f"20{year}Q{quarter}" for year in range(20, 26) for quarter in range(1, 5)]


def test_a_position_is_sold_or_not_told(make_panel):
    """Manager 1 sells MSFT in the second quarter: zero rows. Manager 2 files nothing for it, manager 3 a notice: no
    row. Labels lead to the next quarter's row alone."""
    positions = [(m, AAPL, q, 1000, 0.1) for m in (1, 9) for q in Q[:4]]
    positions += [(9, MSFT, q, 10, 0.002) for q in Q[:4]]
    positions += [(1, MSFT, Q[0], 100, 0.02)]
    positions += [(m, MSFT, q, 100, 0.02) for m in (2, 3) for q in (Q[0], Q[2])]
    panel = make_panel(positions, filings=[(3, Q[1], False, False)])
    assert [holding(panel, 1, MSFT, q) for q in Q[:4]] == pytest.approx([0.02, 0, 0, 0])
    assert cell(panel, 1, MSFT, Q[0])["holding_t1"] == 0
    for manager in (2, 3):
        assert cell(panel, manager, MSFT, Q[1]) is None
        assert np.isnan(cell(panel, manager, MSFT, Q[0])["holding_t1"])
        assert holding(panel, manager, MSFT, Q[2]) == pytest.approx(0.02)
    assert cell(panel, 2, MSFT, Q[3]) is None, "he filed nothing for it"


def test_zero_rows_end_after_eleven_quarters_and_with_the_stock(make_panel):
    """Zero rows last for 11 quarters; a stock that nobody reports any more has none; a return begins anew."""
    positions = [(m, AAPL, q, 1000, 0.1) for m in (1, 2) for q in Q[:16]]
    positions += [(2, MSFT, q, 10, 0.002) for q in Q[:16]] + [(1, MSFT, Q[0], 10, 0.002), (1, MSFT, Q[15], 10, 0.002)]
    positions += [(m, AMZN, q, 10, 0.02) for m in (1, 2) for q in Q[:2]]
    panel = make_panel(positions)
    sold = [holding(panel, 1, MSFT, q) for q in Q[:16]]
    assert sold[1:12] == [0] * 11
    assert np.isnan(sold[12:15]).all()
    assert sold[15] == pytest.approx(0.002)
    assert cell(panel, 1, AMZN, Q[2]) is None, "nobody holds it: taken over or delisted, not sold"
    two = make_panel(positions, exit_quarters=2)
    assert len(two[(two["mgrno"] == 1) & (two["holding_t"] == 0)]) == 2


def test_a_combination_report_does_not_say_that_the_rest_was_sold(make_panel):
    """A manager who begins to file combination reports may have positions that another one reports."""
    positions = [(m, AAPL, q, 1000, 0.1) for m in (1, 2, 3) for q in Q[:3]]
    positions += [(3, MSFT, q, 10, 0.002) for q in Q[:3]] + [(m, MSFT, Q[0], 10, 0.002) for m in (1, 2)]
    panel = make_panel(positions, filings=[(1, Q[1], True, True), (2, Q[0], True, True), (2, Q[1], True, True)])
    assert cell(panel, 1, MSFT, Q[1]) is None
    assert holding(panel, 2, MSFT, Q[1]) == 0, "he filed them before, too"


def test_what_is_kept_confidential_was_not_sold(make_panel):
    positions = [(m, AAPL, q, 1000, 0.1) for m in (1, 2) for q in Q[:3]]
    positions += [(2, MSFT, q, 10, 0.002) for q in Q[:3]] + [(1, MSFT, Q[0], 10, 0.002)]
    panel = make_panel(positions, filings=[(1, Q[1], False, True, True)])
    assert cell(panel, 1, MSFT, Q[1]) is None
    assert holding(panel, 1, MSFT, Q[2]) == 0


def test_what_all_leave_at_once_was_exchanged_not_sold(make_panel):
    """Twenty holders of MSFT, of whom one goes on reporting it: nineteen did not sell."""
    positions = [(m, AAPL, q, 1000, 0.1) for m in range(1, 21) for q in Q[:3]]
    positions += [(m, MSFT, Q[0], 10, 0.002) for m in range(1, 21)] + [(20, MSFT, q, 10, 0.002) for q in Q[1:3]]
    panel = make_panel(positions)
    assert cell(panel, 1, MSFT, Q[1]) is None
    half = positions + [(m, MSFT, Q[1], 10, 0.002) for m in range(1, 10)]
    assert holding(make_panel(half), 19, MSFT, Q[1]) == 0, "half of them did"


def test_assets_are_all_positions_and_what_lacks_a_characteristic_is_outside(make_panel, tmp_path):
    """aum is the sum of holdings; a stock without me is an outside asset, as is what has no CUSIP; a position that goes
    outside is not an exit."""
    values = tmp_path / "values.csv"
    values.write_text(
        "cusip,date,me\n" + "".join(f"{c},{d},2e6\n" for c, d in ((AAPL, "2020-03-31"), (AAPL, "2020-06-30")))
        + f"{MSFT},2020-03-31,1e6\n"
    )  # fmt: skip
    positions = [(1, c, q, n, v) for q in Q[:2] for c, n, v in ((AAPL, 1000, 0.1), (MSFT, 100, 0.02), ("CASH", 1, 3.0))]
    panel = make_panel(positions, values=str(values), needed=["me"])
    row = cell(panel, 1, AAPL, Q[0])
    assert (row["aum"], row["outaum"], row["me"]) == pytest.approx((3.12, 3.0, 2e6))
    row = cell(panel, 1, AAPL, Q[1])
    assert (row["aum"], row["outaum"]) == pytest.approx((3.12, 3.02))
    assert cell(panel, 1, MSFT, Q[1]) is None
    assert np.isnan(cell(panel, 1, MSFT, Q[0])["holding_t1"])
    assert set(make_panel(positions)["cusip"]) == {AAPL, MSFT}, "without a rule all stocks are inside, cash is none"


def test_a_position_is_worth_shares_times_the_price_that_managers_agree_on(make_panel, tmp_path):
    """$10 by the median of five. A value off by 1,000, ordinary shares of an ADS, the value told as shares, 0 after
    rounding: each by its rule. Fewer managers than needed make no price, and the filed value stands."""
    positions = [(m, AAPL, Q[0], 100_000, 1.0) for m in (1, 2, 3)]
    positions += [(4, AAPL, Q[0], 100_000, 1000.0), (5, AAPL, Q[0], 800_000, 1.0), (6, AAPL, Q[0], 1_000_000, 1.0)]
    positions += [(7, AAPL, Q[0], 40, 0.0), (8, AAPL, Q[0], 100_000, 1.02), (1, MSFT, Q[0], 10, 0.002)]
    panel = make_panel(positions, min_price_filers=3)
    holdings = {m: holding(panel, m, AAPL, Q[0]) for m in range(1, 9)}
    assert holdings == pytest.approx({1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 0.0004, 8: 1})
    assert cell(panel, 1, AAPL, Q[0])["prc"] == pytest.approx(10)
    assert np.isnan(cell(panel, 1, MSFT, Q[0])["prc"])
    assert holding(panel, 1, MSFT, Q[0]) == pytest.approx(0.002)
    valued = json.loads((tmp_path / "sec/panel.json").read_text())["valued_by"]
    assert list(valued.values()) == [5, 1, 1, 1, 1]


def test_a_price_of_the_users_counts_before_the_implied_one(make_panel, tmp_path):
    (tmp_path / "p.csv").write_text(f"cusip,date,prc\n{AAPL},2020-03-31,-12.5\n")
    panel = make_panel([(1, AAPL, Q[0], 100_000, 1.2)], values=str(tmp_path / "p.csv"))
    assert (panel["prc"][0], panel["holding_t"][0]) == pytest.approx((12.5, 1.25))


def test_a_new_cusip_of_the_same_holders_is_the_same_stock(make_panel, tmp_path):
    """Six holders exchange one old for two new shares: one id, one history, no exits, though one of them trades."""
    old, new = "78409V104", "02079K305"
    rows = [(m, old, q, 100 * m, 0.1 * m) for m in range(1, 7) for q in Q[:2]]
    rows += [(m, new, q, 200 * m + (50 if m == 6 else 0), 0.1 * m) for m in range(1, 7) for q in Q[2:4]]
    rows += [(m, AAPL, q, 10 * m + at, (10 * m + at) / 1e4) for m in range(1, 7) for at, q in enumerate(Q[:4])]
    panel = make_panel(rows, min_price_filers=3)
    assert holding(panel, 1, old, Q[2]) == pytest.approx(0.1, rel=0.01)
    assert cell(panel, 1, old, Q[1])["holding_t1"] == pytest.approx(0.1, rel=0.01)
    assert not (panel["holding_t"] == 0).any()
    stocks = pd.read_csv(tmp_path / "sec/stocks.csv", dtype=str).set_index("cusip")
    assert stocks.loc[new, "follows"] == old
    assert stocks.loc[new, "permno"] == stocks.loc[old, "permno"] == str(permno_of([old])[0])
    traded = [(m, c, q, n * (m if c == new else 1), v) for m, c, q, n, v in rows]
    make_panel(traded, min_price_filers=3)
    assert pd.read_csv(tmp_path / "sec/stocks.csv", dtype=str)["follows"].isna().all(), "no common ratio: two stocks"


def test_ids_do_not_depend_on_what_else_is_in_the_data():
    assert len(set(permno_of([AAPL, MSFT, AMZN, "02079K305", "02079K107"]).tolist())) == 5
    assert permno_of([AAPL, MSFT])[1] == permno_of([MSFT])[0]
    assert permno_of(["037833100"])[0] == permno_of(["037833109"])[0], "the check digit says nothing"
    assert (permno_of([AAPL, "*#@ZZZZZ9"]) > 0).all()


def test_small_managers_are_households_until_they_have_grown(make_panel):
    """Decided by quarters up to t alone: who has once reached the limit stays what he is."""
    aum = [5, 20, 5, 5]
    positions = [(1, AAPL, q, 1000 * a, float(a)) for q, a in zip(Q[:4], aum, strict=True)]
    panel = make_panel(positions, households_below=10.0)
    assert panel.set_index("quarter")["type"].to_dict() == dict(
        zip(Q[:4], ["households", *["investment_advisors"] * 3], strict=True)
    )
    assert np.isnan(panel.set_index("quarter").loc[Q[0], "holding_t1"]), "another type is another history"


def test_the_same_panel_comes_out_of_rows_in_blocks_of_any_size(make_panel, monkeypatch):
    """Managers are worked on block by block; a block ends between two managers, wherever the file's parts end."""
    positions = [(m, c, q, 100 + m, 0.1 + m / 100) for m in range(1, 30) for c in (AAPL, MSFT) for q in Q[:3]]
    whole = make_panel(positions)
    monkeypatch.setattr("workflow_scripts.plumbing.files.ROW_GROUP_ROWS", 7)
    pd.testing.assert_frame_equal(make_panel(positions), whole)
    monkeypatch.setattr("workflow_scripts.holdings.sec.cusip_quarters.PART_ROWS", 50)
    pd.testing.assert_frame_equal(make_panel(positions), whole)


def test_a_panel_without_a_row_says_what_is_missing(make_panel, tmp_path):
    """All positions are outside, because me is known for half of what is held, by value, and be for none of it."""
    values = tmp_path / "values.csv"
    values.write_text(f"cusip,date,me\n{AAPL},2020-03-31,500\n", encoding="utf-8")
    positions = [(1, AAPL, Q[0], 1000, 0.1), (1, MSFT, Q[0], 1000, 0.1)]
    with pytest.raises(InputError, match=r"have me for 50%, be for 0%. Add reports .* or set sec.needed"):
        make_panel(positions, values=str(values), needed=["me", "be"])
    assert not list((tmp_path / "panel").glob("*.parquet"))


def test_positions_in_no_stock_make_no_panel(make_panel):
    """What has no CUSIP is in no stock, whatever is needed of one."""
    with pytest.raises(InputError, match="none of the 1 texts that stand for a CUSIP is one"):
        make_panel([(1, "CASH", Q[0], 1000, 0.1)])
