"""Paired comparisons find what is there and no more: intervals cover under clustered errors, the wider one is kept."""

import numpy as np
import pytest
import scipy.stats

from tests.unit.holdings.evaluation.test_tables import rows
from workflow_scripts.holdings.evaluation import comparison
from workflow_scripts.holdings.evaluation.comparison import BootstrapSettings, compare_forecasts, skill_intervals
from workflow_scripts.holdings.evaluation.forecaster_pairs import forecaster_pairs
from workflow_scripts.holdings.evaluation.metrics import spearman
from workflow_scripts.holdings.evaluation.tables import join_predictions
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.predictions import prediction_table

SETTINGS = BootstrapSettings(bootstrap_draws=2000)


def joined(forecasts: dict[str, np.ndarray], delta: np.ndarray, quarters: int, managers: int):
    test = rows([8076 + i % quarters for i in range(len(delta))], [10.0] * len(delta), delta)
    for i, row in enumerate(test):
        row["mgrno"] = i // quarters % managers
    ids = [row["window_id"] for row in test]
    return join_predictions(test, {k: prediction_table(ids, [10.0] * len(ids), v) for k, v in forecasts.items()})


def compare(frame, *pairs, target="change", metric="MAE", settings=SETTINGS):
    table = compare_forecasts(frame, pairs, settings, np.random.default_rng(0))
    return table[(table["target"] == target) & (table["metric"] == metric)].set_index("candidate")


def test_a_better_forecast_is_found_and_an_equal_one_is_not():
    generator = np.random.default_rng(1)
    delta = generator.normal(size=600)
    frame = joined(
        {"no_change": 0 * delta, "base": generator.normal(size=600) * 1e-9, "sft": 0.5 * delta}, delta, 20, 15
    )
    table = compare(frame, ("no_change", "sft"), ("no_change", "base"))
    assert table.loc["sft", "difference"] == pytest.approx(-0.5 * np.abs(delta).mean())
    assert table.loc["sft", "interval_high"] < 0
    assert table.loc["sft", "p_value"] < 1e-6
    assert table.loc["base", "p_value"] > 0.05
    assert not table[["few_quarters", "few_managers"]].any(axis=None)
    assert table["n_quarters"].tolist() == [20, 20]
    assert table["n_managers"].tolist() == [15, 15]


def test_the_wider_clustering_is_reported():
    generator = np.random.default_rng(2)
    n, quarters, managers = 1200, 20, 30
    delta = 5 + np.abs(generator.normal(size=n))
    shift = np.repeat(generator.normal(size=managers), n // managers)  # an error that belongs to the manager
    test = rows([8076 + i % quarters for i in range(n)], [10.0] * n, delta)
    for i, row in enumerate(test):
        row["mgrno"] = i // (n // managers)
    ids = [row["window_id"] for row in test]
    forecasts = {"sft": delta * 0, "grpo": shift}
    frame = join_predictions(test, {k: prediction_table(ids, [10.0] * n, v) for k, v in forecasts.items()})
    row = compare(frame, ("sft", "grpo")).loc["grpo"]
    assert row["clustered_by"] == "manager"
    assert row["se_manager"] > 3 * row["se_quarter"]
    half = scipy.stats.t.ppf(0.975, managers - 1) * row["se_manager"]
    assert row["interval_high"] - row["difference"] == pytest.approx(half)


def test_fewer_than_ten_quarters_are_flagged_and_sign_tested():
    delta = np.random.default_rng(3).normal(size=120)
    frame = joined({"no_change": 0 * delta, "sft": 0.5 * delta}, delta, 6, 20)
    row = compare(frame, ("no_change", "sft")).loc["sft"]
    assert row["few_quarters"]
    assert row["p_sign"] == pytest.approx(2 * 0.5**6)
    assert row["p_value"] == max(row["p_sign"], row["p_cluster"])
    many = joined({"no_change": 0 * delta, "sft": 0.5 * delta}, delta, 12, 10)
    assert np.isnan(compare(many, ("no_change", "sft")).loc["sft", "p_sign"])


def test_one_quarter_and_one_manager_have_no_interval():
    frame = joined({"no_change": np.zeros(4), "sft": np.ones(4)}, np.arange(1.0, 5.0), 1, 1)
    row = compare(frame, ("no_change", "sft")).loc["sft"]
    assert np.isnan(row[["interval_low", "interval_high", "p_cluster"]].astype(float)).all()
    assert row["p_value"] == 1.0, "the sign test of a single quarter"


def test_rank_ic_is_compared_in_the_quarters_where_both_have_one():
    generator = np.random.default_rng(4)
    delta = generator.normal(size=600)
    noisy = delta + generator.normal(size=600)
    frame = joined({"no_change": 0 * delta, "sft": noisy, "grpo": delta}, delta, 20, 15)
    table = compare(frame, ("sft", "grpo"), metric="RankIC").loc["grpo"]
    ics = [spearman(delta[i::20], noisy[i::20]) for i in range(20)]
    assert table["baseline_value"] == pytest.approx(np.mean(ics))
    assert table["candidate_value"] == pytest.approx(1.0)
    assert table["interval_low"] > 0
    assert compare(frame, ("no_change", "grpo"), metric="RankIC").empty, "no-change ranks nothing"


def test_the_larger_p_value_of_the_clusterings_counts():
    errors, clusters = {"quarter": 1.0, "manager": 1.4}, {"quarter": 4, "manager": 60}
    found = comparison.interval(12.0, errors, clusters, 0.95)
    assert found["clustered_by"] == "quarter", "3.18 x 1.0 is wider than 2.00 x 1.4"
    assert found["p_cluster"] == pytest.approx(2 * scipy.stats.t.sf(12.0, 3))
    # The other way round: the wider interval, but fewer clusters have the thicker tail.
    found = comparison.interval(60.0, {"quarter": 1.0, "manager": 2.0}, clusters, 0.95)
    assert found["clustered_by"] == "manager"
    assert found["p_cluster"] == pytest.approx(2 * scipy.stats.t.sf(60.0, 3))
    assert found["p_cluster"] > 2 * scipy.stats.t.sf(30.0, 59)


def test_a_firm_type_without_any_label_of_a_target_is_compared_on_the_other():
    delta = np.random.default_rng(8).normal(size=120)
    frame = joined({"no_change": 0 * delta, "sft": 0.5 * delta}, delta, 12, 5).assign(label_active=np.nan)
    table = compare_forecasts(frame, [("no_change", "sft")], SETTINGS, np.random.default_rng(0)).set_index("target")
    assert np.isfinite(table.loc["change", "p_value"])
    assert np.isnan(table.loc["active_change", "p_value"])
    assert table.loc["active_change", "n_windows"] == 0
    assert skill_intervals(frame, SETTINGS, np.random.default_rng(0))["target"].tolist() == ["change"]


def test_bootstrap_rank_ic_of_the_plain_weights_is_the_rank_ic():
    generator = np.random.default_rng(5)
    true, predicted, quarter = generator.normal(size=40), generator.normal(size=40), np.repeat(["a", "b"], 20)
    clusters = comparison.Clusters(np.arange(40), 40, np.ones((1, 40), dtype=int))
    found = comparison.bootstrap_rank_ic(true, predicted, quarter, clusters)
    assert found[0] == pytest.approx([spearman(true[:20], predicted[:20]), spearman(true[20:], predicted[20:])])
    # A draw that takes the first window alone has no correlation.
    single = comparison.Clusters(np.arange(40), 40, np.eye(1, 40, dtype=int))
    assert np.isnan(comparison.bootstrap_rank_ic(true, predicted, quarter, single)).all()


def test_bootstrap_draws_whole_clusters():
    # The variance of a mean of 4 drawn clusters is their variance, 1/4, over 4.
    values = np.repeat([0.0, 0.0, 1.0, 1.0], 50)
    clusters = comparison.draw_clusters(np.repeat(np.arange(4), 50), 40_000, np.random.default_rng(0))
    means = comparison.bootstrap_mean(values, clusters)
    assert set(np.round(np.unique(means), 6)) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert means.var() == pytest.approx(0.25 / 4, rel=0.03)
    # With the correction for few clusters it is the usual standard error of their mean.
    assert comparison.standard_error(means, 4) == pytest.approx(scipy.stats.sem([0, 0, 1, 1]), rel=0.03)


@pytest.mark.parametrize("clusters", [8, 25])
def test_intervals_cover_under_clustered_errors(clusters):
    """Errors share an effect per cluster: the t-interval covers 95 %, the percentiles of the draws and the interval
    of independent windows do not."""
    generator = np.random.default_rng(6)
    rounds, per_cluster = 600, 8
    covered = {"clustered": 0, "percentile": 0, "independent": 0}
    for _ in range(rounds):
        values = np.repeat(generator.normal(size=clusters), per_cluster)
        values = values + 0.3 * generator.normal(size=len(values))
        drawn = comparison.draw_clusters(np.repeat(np.arange(clusters), per_cluster), 500, generator)
        draws = comparison.bootstrap_mean(values, drawn)
        error = comparison.standard_error(draws, clusters)
        found = comparison.interval(values.mean(), {"quarter": error}, {"quarter": clusters}, 0.95)
        covered["clustered"] += found["interval_low"] <= 0 <= found["interval_high"]
        low, high = np.quantile(draws, [0.025, 0.975])
        covered["percentile"] += low <= 0 <= high
        covered["independent"] += abs(values.mean()) <= 1.96 * scipy.stats.sem(values)
    shares = {name: count / rounds for name, count in covered.items()}
    assert 0.925 <= shares["clustered"] <= 0.975, shares
    assert shares["percentile"] < shares["clustered"]
    assert shares["independent"] < 0.75


def test_skill_and_its_interval():
    delta = np.random.default_rng(7).normal(size=600)
    frame = joined({"no_change": 0 * delta, "sft": 0.5 * delta, "grpo": -delta}, delta, 20, 15)
    table = (
        skill_intervals(frame, SETTINGS, np.random.default_rng(0)).query("target == 'change'").set_index("forecaster")
    )
    assert table["skill"].to_dict() == {"sft": pytest.approx(0.5), "grpo": pytest.approx(-1.0)}
    # Both errors are multiples of no-change's: their ratio is the same in every draw.
    assert (table["interval_high"] - table["interval_low"]).max() == pytest.approx(0, abs=1e-9)


def test_every_baseline_is_compared_with_the_last_stage():
    pairs = forecaster_pairs([*BASELINES, "base", "sft", "grpo", "oracle"])
    assert {baseline for baseline, candidate in pairs if candidate == "grpo"} == {*BASELINES, "base", "sft"}
    assert len(set(pairs)) == len(pairs)


def test_pairs_follow_the_forecasters_that_there_are():
    """Without GRPO SFT is the last stage; one's own are judged by no-change and the last stage, or by all baselines."""
    with_sft = forecaster_pairs([*BASELINES, "base", "sft", "mine", "theirs"])
    assert {one for pair in with_sft for one in pair} == {*BASELINES, "base", "sft", "mine", "theirs"}
    assert {baseline for baseline, candidate in with_sft if candidate == "sft"} == {
        *BASELINES, "base", "mine", "theirs",
    }  # fmt: skip
    assert [pair for pair in with_sft if pair[1] == "mine"] == [("no_change", "mine")]
    assert forecaster_pairs([*BASELINES, "mine", "oracle"]) == [(baseline, "mine") for baseline in BASELINES]
