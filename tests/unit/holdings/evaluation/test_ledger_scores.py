"""What was forecast is scored by hand: as it was kept, against the positions that came true."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.evaluation.ledger_scores import COLUMNS, line_scores, past_accuracy, with_truth
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.forecasts.next_quarter import forecast_table, kept_forecasts
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters, stock_quarters
from workflow_scripts.plumbing.errors import InputError

NAMES = {"line": "1", "firm_type": "banks", "quarter": "2015Q4", "quarter_forecast": "2016Q1",
         "made_at_utc": "x", "forecast_digest": "y", "is_first": True, "made_before_filings": True}  # fmt: skip


# Four pairs until 2016Q1: one of them grows, one is halved, one is sold, one stays.
HELD = {1: 10.0, 2: 10.0, 3: 20.0, 4: 40.0}
NEXT = {1: 12.0, 2: 5.0, 3: 0.0, 4: 40.0}
PANEL = make_panel([row for m in HELD for row in make_run(m, m, [1.0, 1.0, 1.0, HELD[m], NEXT[m]])])
FORECASTS = {"no_change": [0.0] * 4, "sft": [1.0, -2.0, -10.0, np.nan]}


def tables(sample) -> dict[str, pd.DataFrame]:
    found = {
        name: prediction_table(sample["window_id"].to_pylist(), sample["holding_t"].to_numpy(), values)
        for name, values in FORECASTS.items()
    }
    found["sft"].loc[3, ["parsed", "valid_share"]] = False, 0.0
    return found


@pytest.fixture
def kept() -> pd.DataFrame:
    """The forecasts of 2016Q1, as they were kept."""
    sample = sample_of(PANEL)
    sample = sample.filter(pa.array(sample["quarter"].to_numpy() == 8063))
    return forecast_table(sample, tables(sample), None)


def scored(kept: pd.DataFrame, panel=PANEL) -> pd.DataFrame:
    stocks = StockQuarters(stock_quarters(lambda columns: [typed_table(panel)]))
    joined = with_truth(kept_forecasts(kept), typed_table(panel), stocks)
    return line_scores(joined, EvaluationSettings(), NAMES).set_index("forecaster")


def test_the_published_table_has_a_row_per_window_and_forecaster(kept):
    assert list(kept["window_id"][:3]) == ["banks-1-1-2015Q4", "banks-1-1-2015Q4", "banks-2-2-2015Q4"]
    assert list(kept["forecaster"][:3]) == ["no_change", "sft", "no_change"]
    assert set(kept["quarter"]) == {"2015Q4"}
    assert set(kept["quarter_forecast"]) == {"2016Q1"}
    row = kept.iloc[3]
    assert (row["holding_t_musd"], row["predicted_delta_musd"], row["predicted_tp1_musd"]) == (10.0, -2.0, 8.0)
    assert np.isnan(row["q50"])
    assert list(kept["parsed"][-2:]) == [True, False]
    assert "ticker" not in kept


def test_tickers_are_shown_where_they_are_named():
    sample = sample_of(PANEL, rows=2)
    predictions = {"no_change": prediction_table(sample["window_id"].to_pylist(), [1.0, 1.0], [0.0, 0.0])}
    table = forecast_table(sample, predictions, {1: ("AAPL", "Apple")})
    assert list(table["ticker"]) == ["AAPL"] * 2
    with pytest.raises(InputError, match="no_change: its windows are not those of the forecast"):
        forecast_table(sample.slice(0, 1), predictions, None)


def test_scores_by_hand(kept):
    """Truths over the positions: .2, -.5, -1, 0; the model says .1, -.2, -.5 and nothing, which counts as no change."""
    found = scored(kept)
    model = found.loc["sft"]
    assert model["capped_relative_MAE"] == pytest.approx((0.1 + 0.3 + 0.5 + 0) / 4)
    assert model["capped_relative_MAE_no_change"] == pytest.approx((0.2 + 0.5 + 1 + 0) / 4)
    assert model["capped_relative_skill"] == pytest.approx(1 - 0.9 / 1.7)
    assert model["relative_RankIC"] == pytest.approx(1.0)
    assert model["MAE"] == pytest.approx((1 + 3 + 10 + 0) / 4)
    assert model["MAE_no_change"] == pytest.approx((2 + 5 + 20 + 0) / 4)
    assert model["parsed_share"] == 0.75
    assert (model["n_windows_forecast"], model["n_windows"], model["n_windows_revised"]) == (4, 4, 0)
    still = found.loc["no_change"]
    assert still["capped_relative_skill"] == 0.0
    assert np.isnan(still["relative_RankIC"]), "it ranks nothing"
    assert set(found.reset_index().columns) == set(COLUMNS)


def test_a_price_that_moved_is_no_trade(kept):
    """All prices rise by a quarter, and so do the positions: nothing was traded, and no-change was right."""
    n = 5 * len(HELD)
    risen = make_panel(
        [row for m in HELD for row in make_run(m, m, [1.0, 1.0, 1.0, HELD[m], 1.25 * HELD[m]])],
        prc=[20.0 if i % 5 < 4 else 25.0 for i in range(n)],
    )
    found = scored(kept, risen)
    assert found.loc["no_change", "capped_relative_MAE"] == 0.0
    assert found.loc["sft", "MAE"] == pytest.approx((1 + 2 + 10 + 0) / 4)


def test_a_window_without_a_truth_is_set_aside_and_counted(kept):
    """Of a pair that has left the panel nobody knows what became of it."""
    gone = make_panel([row for m in HELD for row in make_run(m, m, [1.0, 1.0, 1.0, HELD[m], *([NEXT[m]] * (m != 2))])])
    model = scored(kept, gone).loc["sft"]
    assert (model["n_windows_forecast"], model["n_windows"]) == (4, 3)
    assert model["capped_relative_MAE"] == pytest.approx((0.1 + 0.5 + 0) / 3)


def test_positions_that_were_revised_change_no_forecast_and_are_counted(kept):
    """Truth and scale are over the position that was known when the forecast was made."""
    revised = make_panel(
        [row for m in HELD for row in make_run(m, m, [1.0, 1.0, 1.0, HELD[m] * (2 if m == 1 else 1), NEXT[m]])]
    )
    model = scored(kept, revised).loc["sft"]
    assert model["n_windows_revised"] == 1
    assert model["capped_relative_MAE"] == pytest.approx((0.1 + 0.3 + 0.5 + 0) / 4)


def test_no_window_with_a_truth_has_no_score(kept):
    empty = make_panel([row for m in HELD for row in make_run(m, m, [1.0, 1.0, 1.0, HELD[m]])])
    model = scored(kept, empty).loc["sft"]
    assert model["n_windows"] == 0
    assert np.isnan([model[name] for name in ("capped_relative_MAE", "relative_RankIC", "MAE", "skill")]).all()


def test_past_accuracy_is_the_headline_of_the_test_windows():
    rows = [
        {"firm_type": "banks", "forecaster": name, "target": target, "treatment": treatment, "n_windows": 9,
         "capped_relative_MAE": value, "capped_relative_skill": 0.1, "relative_RankIC": 0.2, "parsed_share": 1.0,
         "MAE": 3.0}
        for name in ("no_change", "sft")
        for target, treatment, value in (
            ("change", "unparsed_as_no_change", 0.5), ("active_change", "unparsed_as_no_change", 0.4),
            ("active_change", "answered_by_itself", 0.3))
    ]  # fmt: skip
    found = past_accuracy(pd.DataFrame(rows))
    assert list(found["forecaster"]) == ["no_change", "sft"]
    assert list(found["capped_relative_MAE"]) == [0.4, 0.4]
    assert list(found.columns)[-1] == "parsed_share"
