"""Baselines repeat, shrink, average and fit as they say, on training windows alone, and never pass the bound."""

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.forecasts.baselines import BASELINES, baseline_forecasts, window_features
from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.plumbing.errors import InputError


def sample(*paths: list[float], prices: list[float] | None = None) -> pa.Table:
    """One window per path of five holdings, each of a manager of its own."""
    rows = [row for i, path in enumerate(paths) for row in make_run(i + 1, 10107, path)]
    prc = (lambda i: prices[i % 5]) if prices else (lambda i: 20.0)
    return sample_of(make_panel(rows, prc=prc)).filter(pa.compute.is_valid(pa.compute.field("delta_sign")))


@pytest.fixture(scope="module")
def simulated() -> tuple[pa.Table, pa.Table]:
    """Training and test windows of a panel whose change follows 0.9 of the last one."""
    settings = SimulationSettings(
        managers=12, stocks=15, stocks_per_manager=8, persistence=0.9, noise_sd=0.1, exit_probability=0.0
    )
    panel = pa.concat_tables(simulate_panel("banks", 0.0, settings, 3))
    windows = sample_of(panel)
    windows = windows.filter(np.isfinite(windows["holding_t1"].to_numpy()) & (windows["holding_t"].to_numpy() > 0))
    early = windows["quarter"].to_numpy() < 4 * 2018
    return windows.filter(early), windows.filter(~early)


def test_names_and_shapes(simulated):
    forecasts = baseline_forecasts(*simulated, "holding_delta")
    assert tuple(forecasts) == BASELINES
    assert all(forecast.shape == (simulated[1].num_rows,) for forecast in forecasts.values())


def test_by_hand():
    train = sample([10, 10, 10, 11, 11.5], [20, 20, 20, 24, 25.0])
    test = sample([8, 8, 8, 10, 9.0], [5, 5, 4, 1, 0.0])
    forecasts = baseline_forecasts(train, test, "holding_delta")
    assert forecasts["no_change"].tolist() == [0, 0]
    assert forecasts["last_change"].tolist() == [2, -1], "the second is cut at the bound -holding_t = -1"
    x, y = np.array([1 / 11, 4 / 24]), np.array([0.5 / 11, 1 / 24])
    # Winsorised at the 1st and 99th percentile of the two training windows.
    x, y = (np.clip(v, *np.quantile(v, [0.01, 0.99])) for v in (x, y))
    assert forecasts["shrunk_last_change"][0] == pytest.approx(2 * (x @ y) / (x @ x), rel=1e-12)
    assert forecasts["firm_type_mean"] == pytest.approx([10 * y.mean(), 1 * y.mean()], rel=1e-12)


def test_shrinkage_stays_between_nothing_and_everything():
    reverting = sample([10, 10, 10, 11, 10.0], [20, 20, 20, 24, 20.0])
    assert baseline_forecasts(reverting, reverting, "holding_delta")["shrunk_last_change"].tolist() == [0, 0]
    trending = sample([10, 10, 10, 11, 20.0], [20, 20, 20, 24, 60.0])
    assert baseline_forecasts(trending, trending, "holding_delta")["shrunk_last_change"].tolist() == [1, 4]


def test_fitted_baselines_find_a_law_and_beat_no_change(simulated):
    train, test = simulated
    true = test["holding_t1"].to_numpy() - test["holding_t"].to_numpy()
    errors = {k: np.abs(v - true).mean() for k, v in baseline_forecasts(train, test, "holding_delta").items()}
    assert errors["last_change"] < errors["no_change"]
    for name in ("shrunk_last_change", "ridge", "boosted_trees"):
        assert errors[name] < 0.7 * errors["no_change"], name


def test_no_test_label_and_no_other_test_window_matters(simulated):
    train, test = simulated
    whole = baseline_forecasts(train, test, "holding_delta")
    other = test.set_column(test.column_names.index("holding_t1"), "holding_t1", pa.array(np.full(test.num_rows, 1e6)))
    for name, forecast in baseline_forecasts(train, other.slice(0, 5), "holding_delta").items():
        assert forecast == pytest.approx(whole[name][:5], rel=1e-9), name


def test_the_active_target_repeats_and_learns_active_changes():
    prices = [20.0, 20, 20, 40, 40]
    # The shares stay at 5 while the price doubles, then 6.
    windows = sample([100, 100, 100, 200, 240], prices=prices)
    assert baseline_forecasts(windows, windows, "holding_delta")["last_change"].tolist() == [100]
    active = baseline_forecasts(windows, windows, "active_delta")
    assert active["last_change"].tolist() == [0]
    assert active["firm_type_mean"] == pytest.approx([40])


def test_a_split_in_the_history_is_no_trade():
    # 2:1 from t-1 to t: shares 5 -> 10, price 20 -> 10.
    windows = sample(*[[100, 100, 100, 100, 100]] * 3, prices=[20.0, 20, 20, 10, 10])
    assert windows["split_ratio_lag1"].to_pylist() == [2.0] * 3
    assert window_features(windows, "active_delta").last_change.tolist() == [0, 0, 0]


def test_missing_factors_and_empty_positions_are_forecast():
    train = sample([10, 10, 10, 11, 11.5], [20, 20, 20, 24, 25.0], [3, 4, 5, 6, 7.0])
    test = sample([8, 8, 8, 10, 9.0], [5, 5, 4, 0, 0.0])
    for name in ("me_lag0", "beta_lag0"):
        test = test.set_column(test.column_names.index(name), name, pa.array([np.nan, np.nan]))
    for name, forecast in baseline_forecasts(train, test, "holding_delta").items():
        assert np.isfinite(forecast).all(), name
        assert forecast[1] >= 0, "an empty position cannot shrink"


def test_returns_to_empty_positions_do_not_explode_what_is_fitted():
    """With sample.drop_zero_holding: false a position may come back from nothing: no relative change."""
    kept = [[10, 10, 10, 11, 11.5], [20, 20, 20, 24, 25.0], [3, 4, 5, 6, 7.0]]
    plain = baseline_forecasts(sample(*kept), sample(*kept), "holding_delta")
    with_returns = baseline_forecasts(sample(*kept, *[[0, 0, 0, 0, 500.0]] * 3), sample(*kept), "holding_delta")
    for name, forecast in plain.items():
        assert with_returns[name] == pytest.approx(forecast), name
    empty = baseline_forecasts(sample(*kept), sample([0, 0, 0, 0, 500.0]), "holding_delta")
    assert [forecast.tolist() for forecast in empty.values()] == [[0.0]] * len(BASELINES)


def test_no_label_to_train_on():
    windows = sample([100, 100, 100, 100, 100.0])
    prices = windows.column_names.index("price_ratio")
    without = windows.set_column(prices, "price_ratio", pa.array([np.nan]))
    with pytest.raises(InputError, match="no training window has a position and the label active_delta"):
        baseline_forecasts(without, windows, "active_delta")


def test_the_managers_mean_trade_is_his_own():
    """Manager 1 has sold a tenth of everything in each quarter, manager 2 has kept all."""
    rows = [row for stock in (101, 102) for row in make_run(1, stock, [100, 90, 81, 72.9, 60])]
    rows += [row for stock in (101, 102) for row in make_run(2, stock, [50.0, 50, 50, 50, 60])]
    windows = sample_of(make_panel(rows)).filter(pa.compute.is_valid(pa.compute.field("delta_sign")))
    forecast = baseline_forecasts(windows, windows, "active_delta")["manager_mean"]
    assert forecast == pytest.approx([-7.29, -7.29, 0, 0])


def test_the_demand_regression_finds_the_gap_to_what_characteristics_explain():
    """Positions are the square root of market equity, times a gap, half of whose logarithm closes in a quarter."""
    rng = np.random.default_rng(0)
    gaps, sizes, rows = {}, {}, []
    for manager in range(1, 41):
        for stock in range(101, 111):
            sizes[stock] = 100.0 * 2 ** (stock - 101)
            gaps[manager, stock] = rng.normal(0, 0.3)
            held = manager * np.sqrt(sizes[stock]) * np.exp(gaps[manager, stock])
            rows += make_run(manager, stock, [held] * 4 + [held * (1 - 0.5 * gaps[manager, stock])])
    table = make_panel(rows)
    table = table.set_column(
        table.column_names.index("me"), "me", pa.array([sizes[stock] for stock in table["permno"].to_pylist()])
    )
    windows = sample_of(table).filter(pa.compute.is_valid(pa.compute.field("delta_sign")))
    held = windows["holding_t"].to_numpy()
    true = windows["holding_t1"].to_numpy() / held - 1
    found = baseline_forecasts(windows, windows, "holding_delta")["demand_regression"] / held
    assert np.corrcoef(true, found)[0, 1] > 0.9
    unknown = windows.set_column(windows.column_names.index("beta_lag0"), "beta_lag0", pa.array([np.nan] * len(held)))
    assert np.ptp(baseline_forecasts(windows, unknown, "holding_delta")["demand_regression"] / held) < 1e-12


def test_forecasts_have_the_same_bytes_with_any_number_of_threads():
    """A command pasted from a log runs with as many threads as there are cores, a job of Snakemake with one."""
    settings = SimulationSettings(managers=30, stocks=60, stocks_per_manager=30, first_year=2007, last_year=2019)
    windows = sample_of(pa.concat_tables(simulate_panel("banks", 0.1, settings, 3)))
    windows = windows.filter(np.isfinite(windows["holding_t1"].to_numpy()) & (windows["holding_t"].to_numpy() > 0))
    assert windows.num_rows > 20_000
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(baseline_forecasts(windows, windows.slice(0, 500), "holding_delta"))
    for name in BASELINES:
        np.testing.assert_array_equal(*(forecasts[name] for forecasts in found), err_msg=name)
