"""Facts about managers are what rows up to t say, by hand and by a plain loop, in any order of the rows."""

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.evaluation import baseline_audit
from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters, stock_quarters
from workflow_scripts.holdings.windows.managers import FACTS, UNIT, manager_quarters


@pytest.fixture(scope="module")
def panel() -> pa.Table:
    settings = SimulationSettings(managers=5, stocks=12, stocks_per_manager=5, first_year=2015, last_year=2018)
    return typed_table(pa.concat_tables(simulate_panel("banks", 0.1, settings, 3)))


def quarters_of(panel: pa.Table, parts: int = 1) -> pa.Table:
    stocks = StockQuarters(stock_quarters(lambda columns: [panel]))
    step = -(-panel.num_rows // parts)
    return manager_quarters((panel.slice(start, step) for start in range(0, panel.num_rows, step)), stocks)


def test_by_hand():
    """Manager 1 keeps one stock, adds a fifth to another, sells the third and buys a fourth; manager 2 trades nothing.

    The price stays, so that trades are changes of the holding. t is the fourth quarter.
    """
    rows = [
        *make_run(1, 101, [10, 10, 10, 10, 99]),
        *make_run(1, 102, [10, 10, 10, 12, 99]),
        *make_run(1, 103, [10, 10, 20, 0, 99]),
        *make_run(1, 104, [0, 0, 0, 5, 99]),
        *make_run(2, 101, [7, 7, 7, 7, 7]),
    ]
    windows = sample_of(make_panel(rows)).to_pylist()
    facts = {(row["mgrno"], row["permno"]): row for row in windows if row["quarter"] == 8063}
    kept = facts[1, 101]
    assert [kept[name] for name in FACTS[:6]] == pytest.approx([2, (0.2 - 1) / 2, 0, 1 / 2, 9, (1 + 0.2 - 1) / 9])
    assert facts[1, 102]["manager_mean_trade"] == pytest.approx((0 - 1) / 2), "his other positions, not this one"
    assert facts[1, 104]["manager_trades"] == 3, "what was bought from nothing is no trade"
    alone = facts[2, 101]
    assert [alone[name] for name in FACTS[:6]] == pytest.approx([0, np.nan, np.nan, np.nan, 3, 0], nan_ok=True)
    assert kept["manager_mean_log_holding"] == pytest.approx(np.mean(np.log([10, 12, 5])))
    assert kept["manager_mean_log_me"] == pytest.approx(np.log(1000))
    assert [facts[key]["held_quarters"] for key in facts] == [4, 4, 0, 1, 4]


def test_a_split_is_no_trade_and_a_missing_characteristic_no_position():
    """2:1 from the third to the fourth quarter, which all holders keep; one stock-quarter has no book equity."""
    rows = [row for manager in (1, 2, 3) for row in make_run(manager, 101, [100.0] * 5)]
    panel = make_panel(rows, prc=lambda i: [20.0, 20, 20, 10, 10][i % 5], be=lambda i: None if i == 3 else 500.0)
    row = sample_of(panel).to_pylist()[0]
    assert row["manager_past_trades"] == 2
    assert np.isnan(row["manager_mean_log_be"])


def test_it_agrees_with_a_plain_loop_in_any_order_and_any_parts(panel):
    table = quarters_of(panel)
    shuffled = panel.take(pa.array(np.random.default_rng(1).permutation(panel.num_rows)))
    assert quarters_of(shuffled, parts=80).equals(table)
    stocks = {(row["permno"], row["quarter"]): row
              for row in stock_quarters(lambda columns: [panel]).to_pylist()}  # fmt: skip
    there = {(row["mgrno"], row["permno"], row["quarter"]): row for row in panel.to_pylist()}
    for row in table.to_pylist():
        trades, past = [], []
        for (manager, permno, quarter), later in there.items():
            before = there.get((manager, permno, quarter - 1))
            if manager != row["mgrno"] or quarter > row["quarter"] or not before or not before["holding_t"] > 0:
                continue
            stock = stocks[permno, quarter - 1]
            trade = later["holding_t"] / before["holding_t"] * stock["prc"] / stock["prc_t1"] - 1
            if later["holding_t"] == 0:
                trade = -1.0
            elif not np.isnan(stock["split_ratio"]) or np.isnan(trade):
                continue
            trade = 0.0 if abs(trade) < 1e-9 else min(trade, 1.0)
            past.append(trade)
            trades += [trade] * (quarter == row["quarter"])
        assert (row["trades"], row["past_trades"]) == (len(trades), len(past))
        assert (row["untraded"], row["sold"]) == (trades.count(0.0), trades.count(-1.0))
        assert row["sum_trade"] * UNIT == pytest.approx(sum(trades), abs=1e-6)
        assert row["past_sum_trade"] * UNIT == pytest.approx(sum(past), abs=1e-6)


@pytest.mark.parametrize("leak", ["manager_past_mean_trade", "manager_sold", "manager_mean_log_me"])
def test_the_audit_catches_facts_of_the_next_quarter(monkeypatch, panel, leak):
    """Each fact, taken from the quarter after t, is found in all windows where it differs; the right ones pass."""
    monkeypatch.setattr(baseline_audit, "AUDITED_QUARTERS", 100)
    windows = sample_of(panel)
    stocks = stock_quarters(lambda columns: [panel])

    def found(table: pa.Table) -> list[str]:
        return baseline_audit.differing_facts(table, lambda columns, managers: panel, stocks, np.random.default_rng(0))

    assert found(windows) == []
    later = {(row["mgrno"], row["permno"], row["quarter"] - 1): row[leak] for row in windows.to_pylist()}
    keys = zip(*(windows[name].to_pylist() for name in ("mgrno", "permno", "quarter")), strict=True)
    values = [later.get(key, row[leak]) for key, row in zip(keys, windows.to_pylist(), strict=True)]
    planted = windows.set_column(windows.column_names.index(leak), leak, pa.array(values))
    before, after = windows[leak].to_numpy(), planted[leak].to_numpy()
    differs = ~((before == after) | (np.isnan(before) & np.isnan(after)))
    assert differs.any()
    assert found(planted) == sorted(windows["window_id"].filter(pa.array(differs)).to_pylist())
