"""Prices of t+1 come from any holder of the stock, and a split is told from trading."""

import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.conftest import make_panel, sample_of
from workflow_scripts.holdings.evaluation.text_audit import scramble_after
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters, stock_quarters
from workflow_scripts.holdings.texts.conversations import grpo_rows, sft_rows, target_numbers
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.windows.labels import label_arrays
from workflow_scripts.plumbing.errors import InputError


def panel_of(shares: list[list[float]], prices: list[float | None], permno: int = 10107, prc=None) -> pa.Table:
    """One stock; `shares[m][t]` of manager m in quarter t, all held at `prices`."""
    rows, prc_column = [], []
    for manager, path in enumerate(shares):
        held = [s * (p or 1.0) for s, p in zip(path, prices, strict=True)]
        for t, value in enumerate(held):
            following = held[t + 1] if t + 1 < len(held) else None
            rows.append((manager + 1, permno, 2015 + t // 4, t % 4 + 1, value, following))
            prc_column.append(prices[t])
    return make_panel(rows, prc=pa.array(prc or prc_column, pa.float64()))


def stocks_of(*panels: pa.Table) -> pa.Table:
    return stock_quarters(lambda columns: [typed_table(panel) for panel in panels])


def column(table: pa.Table, name: str) -> list:
    return [None if np.isnan(v) else v for v in table[name].to_numpy()]


def test_prices_of_the_next_quarter():
    stocks = stocks_of(panel_of([[5, 5, 5]], [20.0, 22.0, 11.5]))
    assert column(stocks, "prc") == [20.0, 22.0, 11.5]
    assert column(stocks, "prc_t1") == [22.0, 11.5, None]
    assert stocks["holders"].to_pylist() == [1, 1, 0]


def test_a_price_that_one_row_lacks_comes_from_another_holder():
    panel = panel_of([[5, 5], [6, 6]], [20.0, 22.0], prc=[None, 22.0, 20.0, None])
    assert column(stocks_of(panel), "prc_t1") == [22.0, None]


def test_holders_that_disagree_leave_no_price():
    panel = panel_of([[5, 5], [6, 6]], [20.0, 22.0], prc=[20.0, 22.0, 20.1, 23.0])
    assert column(stocks_of(panel), "prc") == [20.05, None]


@pytest.mark.parametrize(
    ("shares", "prices", "ratio"),
    [
        ([[5, 10], [8, 17], [6, 6]], [100.0, 51.0], 2.0),  # two of three hold through a 2:1 split
        ([[5, 10], [8, 8], [6, 6]], [100.0, 51.0], None),  # one of three: the price crashed, one bought
        ([[5, 10], [8, 16], [6, 12]], [100.0, 101.0], None),  # all bought, the price says no split
        ([[80, 10], [8, 1], [6, 6]], [10.0, 82.0], 1 / 8),  # a reverse split
        ([[5, 100]], [1000.0, 52.0], 20.0),  # a large ratio needs no second witness
        ([[5, 7.5]], [100.0, 66.0], None),  # a small one does
        ([[5, 7.5], [8, 12], [6, 9]], [100.0, 66.0], 1.5),
        ([[5, 7.7], [8, 12.4], [6, 9.4]], [100.0, 66.0], None),  # and one of them has to have kept his shares
        ([[9, 6.0], [6, 4.0], [3, 2.0]], [10.0, 15.0], None),  # nobody merges three shares into two
        ([[8, 4.0]], [10.0, 14.0], None),  # halved, but the price rose by too little
        ([[5, 5], [8, 0], [6, 7]], [100.0, 51.0], None),
        ([[5, 7.5]] * 2 + [[6, 6]] * 2, [100.0, 66.0], None),  # two bought as much, two kept theirs
        # The price moved besides: those who kept their shares say which ratio it was.
        ([[5, 100], [8, 160], [6, 105], [3, 78]], [3260.0, 106.2], 20.0),  # fell by a third; some bought
        ([[5, 100], [6, 156]], [3260.0, 106.2], 20.0),
        ([[50, 180.4], [50, 197.2]], [343.6, 143.75], 4.0),  # rose by two thirds; both sold a little
        ([[8, 1], [16, 2], [50, 9.2]], [13.46, 103.03], 1 / 8),
        ([[4, 4], [5, 9.9], [5, 10], [5, 12.7]], [69.0, 37.6], 2.0),  # half of them is enough where they agree
        ([[50, 102.8], [50, 133.7]], [101.0, 50.6], 2.0),  # a common ratio before a rare one
        ([[5, 500]], [5000.0, 11.1], None),  # hundred times the shares, but the price fell by far more
    ],
)
def test_splits_by_hand(shares, prices, ratio):
    assert column(stocks_of(panel_of(shares, prices)), "split_ratio") == [ratio, None]


def test_the_order_and_the_parts_of_the_slice_do_not_matter():
    rng = np.random.default_rng(0)
    shares = rng.uniform(1, 9, (30, 1)) * rng.uniform(0.9, 1.1, (30, 8))
    shares[:, 4:] *= 3
    prices = [30.0, 31, 29, 33, 11, 12, 10, 9]
    panel = pa.concat_tables([panel_of(shares.tolist(), prices), panel_of([[1] * 8], prices, permno=7)])
    shuffled = panel.take(rng.permutation(panel.num_rows))
    whole = stocks_of(panel)
    parts = stocks_of(*(shuffled.slice(i, 7) for i in range(0, panel.num_rows, 7)))
    pd.testing.assert_frame_equal(parts.to_pandas(), whole.to_pandas(), check_exact=True)
    assert column(whole, "split_ratio") == [None] * 11 + [3.0] + [None] * 4
    assert whole["permno"].to_pylist() == [7] * 8 + [10107] * 8


def test_many_stocks_over_many_quarters_need_the_memory_of_their_rows():
    """A grid of these stocks and quarters would have 9 * 10^7 cells."""
    n = 100_000
    permno = np.arange(n) * 10**13 - 5 * 10**17
    rows = [(1, 1, 1900 + i % 4 * 75, 1, 1.0, None) for i in range(8)]
    panel = typed_table(make_panel(rows).take(np.arange(n) % 8))
    panel = panel.set_column(panel.column_names.index("permno"), "permno", pa.array(permno))
    tracemalloc.start()
    stocks = stock_quarters(lambda columns: [panel])
    found = StockQuarters(stocks).find("prc", permno[::-1], panel["quarter"].to_numpy()[::-1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found == 20.0).all()
    assert np.isnan(StockQuarters(stocks).find("prc", permno + 1, panel["quarter"].to_numpy())).all()
    assert peak < 1000 * n


def test_next_prices_are_found_by_stock_and_quarter():
    stocks = stocks_of(panel_of([[5, 5]], [20.0, 25.0]), panel_of([[5, 5]], [4.0, 2.0], permno=99))
    first = stocks["quarter"][0].as_py()
    quarters = np.array([first, first, first + 1, first - 1, first + 9, first])
    found = StockQuarters(stocks).next_prices(np.array([99, 10107, 99, 99, 99, 1]), quarters)
    assert found["prc_t1"].tolist()[:2] == [2.0, 25.0]
    assert found["price_ratio"].tolist()[:2] == [0.5, 1.25]
    assert np.isnan(found["prc_t1"][2:]).all()


def test_active_change_is_what_was_traded():
    """Keeping the shares is an active change of 0 whatever the price does; buying is valued at the price of t."""
    sample = sample_of(panel_of([[5] * 5, [5, 5, 5, 5, 6], [5, 5, 5, 5, 0]], [20.0, 20, 20, 20, 30]))
    labels = label_arrays(sample)
    assert labels["label_delta"][np.isfinite(labels["label_delta"])].tolist() == [50.0, 80.0, -100.0]
    assert labels["label_active"][np.isfinite(labels["label_active"])].tolist() == [0.0, pytest.approx(20.0), -100.0]


def test_a_full_exit_needs_no_price():
    panel = panel_of([[5, 5, 5, 5, 0]], [20.0, 20, 20, 20, 20], prc=[20.0, 20, 20, 20, None])
    assert label_arrays(sample_of(panel, rows=1))["label_active"].tolist() == [-100.0]


def test_splits_of_the_past_do_not_look_ahead():
    """What is dated after t changes no split ratio before t."""
    rng = np.random.default_rng(1)
    panel = typed_table(
        panel_of((rng.uniform(1, 9, (9, 1)) * [[1, 1, 3, 3, 3, 6, 6]]).tolist(), [30.0, 31, 10, 11, 12, 6, 7])
    )
    quarter = int(panel["quarter"].to_numpy().min()) + 2
    scrambled = scramble_after(panel, quarter, rng)
    before, after = (stock_quarters(lambda columns, table=table: [table]) for table in (panel, scrambled))
    assert column(before, "split_ratio")[:2] == column(after, "split_ratio")[:2] == [None, 3.0]


def test_split_windows_have_no_active_change():
    sample = sample_of(panel_of([[5, 5, 5, 5, 10]] * 3, [20.0, 20, 20, 20, 10]), rows=1)
    assert label_arrays(sample)["label_delta"].tolist() == [0.0]
    assert np.isnan(label_arrays(sample)["label_active"]).all()
    prompts = build_prompts(sample, PromptSettings(target="active_delta"))
    with pytest.raises(InputError, match=r"1 windows have no active_delta \(banks-1-10107-2015Q4\)"):
        sft_rows(prompts, sample, "active_delta", 2, None)
    with pytest.raises(InputError, match="have no active_delta"):
        grpo_rows(prompts, sample, target="active_delta")


def test_labels_and_prompts_follow_the_active_target():
    sample = sample_of(panel_of([[5, 5, 5, 5, 6]], [20.0, 20, 20, 20, 30]), rows=1)
    prompts = build_prompts(sample, PromptSettings(target="active_delta"))
    assert "active_delta >= -holding_t = -100." in prompts[0]["user"]
    assert target_numbers(sample, "active_delta", 2) == ["20.00"]
    rows, _ = sft_rows(prompts, sample, "active_delta", 2, None)
    assert rows[0]["messages"][2]["content"] == '<answer>{"active_delta": 20.00}</answer>'
    (row,) = grpo_rows(prompts, sample, target="active_delta")
    assert (row["label_active"], row["label_delta"]) == (pytest.approx(20.0), 80.0)
