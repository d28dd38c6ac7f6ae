"""What is forecast: the windows of the newest quarter that have no label, and no window of any split."""

import json
from argparse import Namespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import make_panel, make_run, windows_of
from workflow_scripts import build_forecast_prompts, sample_forecast_windows
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters, stock_quarters
from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.holdings.windows.managers import manager_quarters
from workflow_scripts.holdings.windows.newest import ForecastSettings, draw_windows, newest_windows
from workflow_scripts.plumbing.cli import read_settings
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_json, read_jsonl, read_table, write_table
from workflow_scripts.plumbing.random_streams import random_stream

# 2016Q2; the slices below begin in 2015Q1.
NEWEST = 8065
LEFT_EARLIER = make_run(2, 7, [1.0, 2, 3, 4, 5])
SHORT = make_run(3, 7, [1.0, 2, 3], start=8063)
SOLD = make_run(4, 7, [1.0, 2, 3, 4, 5, 0])
PANEL = [*make_run(1, 7, [1.0, 2, 3, 4, 5, 6]), *LEFT_EARLIER, *SHORT, *SOLD]


def managers_of(table) -> list[int]:
    return table["mgrno"].to_pylist()


def test_windows_of_the_newest_quarter_with_a_whole_history_and_a_position():
    """By hand: one pair left a quarter earlier, one has three quarters only, one holds 0."""
    found, account = newest_windows([windows_of(make_panel(PANEL))], NEWEST, True)
    assert managers_of(found) == [1]
    assert found["quarter"].to_pylist() == [NEWEST]
    assert account == {
        "windows_in_quarter": 2, "dropped_label_known": 0, "dropped_zero_holding": 1, "candidates": 1,
    }  # fmt: skip
    with_zero, _ = newest_windows([windows_of(make_panel(PANEL))], NEWEST, False)
    assert managers_of(with_zero) == [1, 4]


def test_a_window_whose_answer_is_known_is_none_to_forecast():
    """Else a test window could pass for a forecast: its label is there."""
    known = [*PANEL[:5], (*PANEL[5][:5], 7.0), *make_run(5, 7, [1.0, 2, 3, 4, 5, 6])]
    found, account = newest_windows([windows_of(make_panel(known))], NEWEST, True)
    assert managers_of(found) == [5]
    assert account["dropped_label_known"] == 1
    with pytest.raises(InputError, match="1 have a label \\(holding_t1\\) already and 0 a position of 0; add the rows"):
        newest_windows([windows_of(make_panel(known[:6]))], NEWEST, True)


def test_a_limit_draws_the_same_windows_each_time():
    panel = make_panel([row for m in range(20) for row in make_run(m, 7, [1.0, 2, 3, 4, 5, 6])])
    found, _ = newest_windows([windows_of(panel)], NEWEST, True)
    drawn = [managers_of(draw_windows(found, 5, random_stream(seed, "banks", "forecast"))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 5
    assert drawn[0] == sorted(drawn[0])
    assert managers_of(draw_windows(found, None, np.random.default_rng())) == list(range(20))


def test_a_forecast_has_the_columns_of_a_sample_and_no_number_of_the_next_quarter(tmp_path):
    """From the entry modules: history and managers are there, every column dated t+1 is empty, the prompt is whole."""
    panel = make_panel([row for m in (1, 2) for row in make_run(m, 7, [1.0, 2, 3, 4, 5, 6])])
    files = {name: tmp_path / f"{name}.parquet" for name in ("banks", "windows", "stocks", "managers", "out")}
    pq.write_table(panel, files["banks"])
    stocks = stock_quarters(lambda columns: [typed_table(panel)])
    write_table(files["windows"], windows_of(panel))
    write_table(files["stocks"], stocks)
    write_table(files["managers"], manager_quarters([typed_table(panel)], StockQuarters(stocks)))
    settings = sample_forecast_windows.Settings(1, 4, True, ForecastSettings())
    tables = [str(files[name]) for name in ("windows", "stocks", "managers")]
    report = tmp_path / "report.json"
    args = Namespace(
        panel=str(files["banks"]), tables=tables, firm_type="banks", settings=settings, out=files["out"], report=report
    )
    assert sample_forecast_windows.main(args).endswith("2 of 2 windows, t = 2016Q2, to forecast 2016Q3")
    sample, account = read_table(files["out"]), read_json(report)
    assert account["quarter_forecast"] == "2016Q3"
    assert len(account["data_digest"]) == 64
    assert sample["holding_t_lag3"].to_pylist() == [3.0, 3.0]
    assert sample["manager_past_trades"].to_pylist() == [5.0, 5.0]
    for name in ("holding_t1", "prc_t1", "price_ratio", "split_ratio"):
        assert np.isnan(sample[name].to_numpy()).all(), name
    asked = tmp_path / "prompts.jsonl"
    settings = read_settings(PromptSettings, {"history_quarters": 4})
    build_forecast_prompts.main(
        Namespace(sample=files["out"], tickers=[], firm_type="banks", settings=settings, out=asked)
    )
    rows = read_jsonl(asked)
    assert [row["window_id"] for row in rows] == ["banks-1-7-2016Q2", "banks-2-7-2016Q2"]
    assert [message["role"] for message in rows[0]["messages"]] == ["system", "user"]
    assert rows[0]["holding_t"] == 6.0
    assert "label" not in json.dumps(rows)
