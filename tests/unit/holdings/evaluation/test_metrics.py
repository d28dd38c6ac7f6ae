"""Metrics agree with scipy, scikit-learn and statsmodels, and say when they are undefined."""

import gc

import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import sklearn.metrics
import statsmodels.api
import statsmodels.stats.multitest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workflow_scripts.holdings.evaluation import metrics

values = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 3))
pairs = st.integers(3, 40).flatmap(
    lambda n: st.tuples(arrays(float, n, elements=values), arrays(float, n, elements=values))
)


@settings(deadline=None)
@given(pairs)
def test_errors_and_correlations_agree_with_scipy_and_sklearn(pair):
    true, predicted = pair
    reference = {
        "MAE": sklearn.metrics.mean_absolute_error,
        "RMSE": sklearn.metrics.root_mean_squared_error,
        "MedAE": sklearn.metrics.median_absolute_error,
    }
    found = metrics.error_metrics(true, predicted)
    for name, function in reference.items():
        assert found[name] == pytest.approx(function(true, predicted), rel=1e-9), name
    if np.ptp(true) > 1e-3:
        assert found["R2"] == pytest.approx(sklearn.metrics.r2_score(true, predicted), rel=1e-9)
    if np.ptp(true) > 0 and np.ptp(predicted) > 0:
        ic, rank_ic = (f(true, predicted) for f in (metrics.pearson, metrics.spearman))
        assert ic == pytest.approx(scipy.stats.pearsonr(true, predicted)[0], abs=1e-9)
        assert rank_ic == pytest.approx(scipy.stats.spearmanr(true, predicted)[0], abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), min_size=1, max_size=60))
@pytest.mark.filterwarnings("ignore:A single label")
def test_direction_metrics_agree_with_sklearn(classes):
    true, predicted = np.array(classes).T
    found = metrics.direction_metrics(true, predicted)
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(true, predicted), abs=1e-9)
    assert found["macro_F1"] == pytest.approx(sklearn.metrics.f1_score(true, predicted, average="macro"), abs=1e-9)
    assert found["MCC"] == pytest.approx(sklearn.metrics.matthews_corrcoef(true, predicted), abs=1e-9)
    majority = max((true == c).mean() for c in (-1, 0, 1))
    assert found["majority_accuracy"] == pytest.approx(majority, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 120), st.integers(0, 2**31))
def test_newey_west_agrees_with_statsmodels(n, seed):
    series = np.cumsum(np.random.default_rng(seed).normal(size=n)) + 3
    lags = int(4 * (n / 100) ** (2 / 9))
    fit = statsmodels.api.OLS(series, np.ones(n)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}
    )
    assert metrics.newey_west_se(series) == pytest.approx(fit.bse[0], rel=1e-9)
    t = metrics.correlation_summary("IC", series)["IC_t"]
    assert t == pytest.approx(fit.tvalues[0], rel=1e-9) if n >= metrics.MIN_QUARTERS else np.isnan(t)


@pytest.fixture(scope="module")
def little_garbage():
    """Statsmodels collects garbage at each call, a second where many modules are loaded: it has little to look at."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
@settings(deadline=None)
@given(arrays(float, st.integers(1, 40), elements=st.floats(0, 1)))
def test_holm_agrees_with_statsmodels(p_values):
    expected = statsmodels.stats.multitest.multipletests(p_values, method="holm")[1]
    assert metrics.holm(p_values) == pytest.approx(expected, abs=1e-9)


def test_holm_by_hand_and_without_tests():
    found = metrics.holm(np.array([0.01, np.nan, 0.04, 0.03]))
    assert found[[0, 2, 3]].tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(found[1])
    assert np.isnan(metrics.holm(np.array([np.nan]))).all()


@given(pairs)
def test_calibration_agrees_with_a_regression(pair):
    true, predicted = pair
    found = metrics.calibration(true, predicted)
    assert found["forecast_sd"] == pytest.approx(predicted.std(ddof=1))
    if np.ptp(predicted) > 1:
        fit = sklearn.linear_model.LinearRegression().fit(predicted[:, None], true)
        assert found["calibration_slope"] == pytest.approx(fit.coef_[0], rel=1e-9, abs=1e-9)
        assert found["calibration_intercept"] == pytest.approx(fit.intercept_, rel=1e-6, abs=1e-3)


def test_what_is_undefined_is_missing():
    assert np.isnan(metrics.pearson(np.array([1.0, 2.0]), np.array([0.1, 0.1])))
    assert np.isnan(metrics.calibration(np.array([1.0, 2.0]), np.array([0.1, 0.1]))["calibration_slope"])
    assert np.isnan(metrics.newey_west_se(np.array([0.3])))
    assert np.isnan(metrics.skill(1.0, 0.0))
    assert np.isnan(metrics.direction_metrics(np.empty(0), np.empty(0))["MCC"])
    one = metrics.correlation_summary("IC", np.array([0.3]))
    assert one["IC"] == 0.3
    assert np.isnan([one["IC_IR"], one["IC_t"]]).all()


def test_skill_by_hand():
    assert metrics.skill(1.0, 4.0) == 0.75, "better than no-change is positive"
    assert metrics.skill(4.0, 2.0) == -1.0


def test_ic_and_rank_ic_differ():
    true, predicted = np.array([1.0, 2.0, 3.0, 100.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert metrics.spearman(true, predicted) == 1.0
    assert metrics.pearson(true, predicted) == pytest.approx(149 / np.sqrt(7205 * 5))


def test_smape_by_hand():
    assert metrics.smape(np.array([0.0, 1.0, 2.0]), np.array([0.0, -1.0, 2.0])) == pytest.approx(2 / 3)


def test_relative_metrics_by_hand():
    found = metrics.relative_metrics(np.array([0.1, 0.1, 4.0]), np.array([0.2, 0.1, 0.0]))
    assert found["relative_MAE"] == pytest.approx(4.1 / 3)
    assert found["capped_relative_MAE"] == pytest.approx(1.1 / 3), "an error of 4 counts as 1"
    assert found["capped_share"] == pytest.approx(1 / 3)
    assert found["relative_MedAE"] == pytest.approx(0.1)
    assert np.isnan(list(metrics.relative_metrics(np.empty(0), np.empty(0)).values())).all()


def test_directions_by_hand():
    change, held = np.array([0.1, 0.11, -0.1, -0.2, 0.0, 0.001]), np.array([10.0, 10, 10, 10, 0, 0])
    assert metrics.directions(change, held, 0.01).tolist() == [0, 1, 0, -1, 0, 1]


def test_ndcg_agrees_with_sklearn():
    rng = np.random.default_rng(0)
    true, predicted = rng.exponential(size=30), rng.normal(size=30)
    _, _, ndcg = metrics.recall_precision_ndcg(true, predicted, 7)
    assert ndcg == pytest.approx(sklearn.metrics.ndcg_score([true], [predicted], k=7), abs=1e-9)


def test_recall_and_precision_by_hand():
    true = np.array([5.0, 4.0, -1.0, -2.0, 3.0])
    predicted = np.array([1.0, 0.0, 9.0, 0.0, 2.0])
    # Relevant: 0, 1, 4 (the positive among the top 4). Ranked top 4: 2, 4, 0, then 1 before 3 by position.
    assert metrics.recall_precision_ndcg(true, predicted, 4)[:2] == (1.0, 0.75)
    assert metrics.recall_precision_ndcg(true, predicted, 2)[:2] == (0.0, 0.0)
    assert np.isnan(metrics.recall_precision_ndcg(-np.ones(3), np.ones(3), 2)).all()


def test_constant_forecast_ranks_nothing():
    assert np.isnan(metrics.recall_precision_ndcg(np.array([5.0, 4.0, -1.0]), np.zeros(3), 2)).all()


def test_pooled_metrics_mix_the_quarters():
    true = np.array([1.0, 2.0, 101.0, 102.0])
    predicted = np.array([2.0, 1.0, 102.0, 101.0])
    found = metrics.summarize_rankings(true, predicted, np.array(["a", "a", "b", "b"]), 2)
    assert found["RankIC"] == pytest.approx(-1.0)
    assert found["pooled_RankIC"] == pytest.approx(0.6), "between quarters the order is right"


def test_rankings_leave_trivial_quarters_out():
    true = np.arange(9.0) + 1
    predicted = true[::-1].copy()
    quarter = np.repeat(["a", "b"], [6, 3])
    found = metrics.summarize_rankings(true, predicted, quarter, 3)
    assert (found["n_quarters_ranked"], found["not_ranked"]) == (1, "at most k windows: 1")
    assert found["Recall@3"] == 0.0, "in the second quarter it would be 1"
    assert found["Recall@3_by_chance"] == 0.5
    none = metrics.summarize_rankings(true, predicted, quarter, 9)
    assert np.isnan(none["Recall@9"])
    assert none["not_ranked"] == "at most k windows: 2"


def test_k_as_a_share_of_the_quarter_by_hand():
    """Ten windows and five: k is 2 and 1 of them, rounded and never 0; the name says the share."""
    true, quarter = np.r_[np.arange(10.0), np.arange(5.0)], np.repeat(["a", "b"], [10, 5])
    predicted = true.copy()
    predicted[[8, 9]] = [9.5, 0.0]  # of the two best one is missed
    found = metrics.summarize_rankings(true, predicted, quarter, 0.2)
    assert found["Recall@20%"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["Recall@20%_by_chance"] == pytest.approx((2 / 10 + 1 / 5) / 2)
    assert (found["n_quarters_ranked"], found["not_ranked"]) == (2, "")
    assert metrics.metrics_by_quarter(true, predicted, quarter, 0.2)["k"].tolist() == [2, 1]
    assert [metrics.k_of(0.1, n) for n in (1, 4, 5, 14, 15, 30, 37, 1000)] == [1, 1, 1, 1, 2, 3, 4, 100]
    assert metrics.rankings(0.125)[2] == "Recall@12.5%"


def test_quarters_that_are_not_ranked_say_why():
    true = np.array([1.0, 2.0, 3.0, -1.0, -2.0, -3.0, 1.0, 2.0, 3.0, 5.0])
    predicted = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0])
    quarter = np.repeat(["a", "b", "c", "d"], [3, 3, 3, 1])
    reasons = metrics.metrics_by_quarter(true, predicted, quarter, 0.3)["not_ranked"].tolist()
    assert reasons == ["", "no positive truth", "constant forecast", "at most k windows"]
    found = metrics.summarize_rankings(true, predicted, quarter, 0.3)
    assert found["not_ranked"] == "at most k windows: 1; no positive truth: 1; constant forecast: 1"
