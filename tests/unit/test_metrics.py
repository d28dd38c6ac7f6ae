"""Metrics agree with scipy and scikit-learn, are averaged within quarters, and say when they are undefined."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workflow_scripts.evaluate_forecasts import check_conditions
from workflow_scripts.holdings import metrics
from workflow_scripts.holdings.comparison import bootstrap_mean, compare_forecasts
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.evaluation import join_predictions, metrics_table, quarterly_table, trimmed_table
from workflow_scripts.holdings.forecasts import parse_predictions, prediction_table

values = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 3))


@settings(deadline=None)
@given(
    st.integers(3, 40).flatmap(
        lambda n: st.tuples(arrays(float, n, elements=values), arrays(float, n, elements=values))
    )
)
def test_agrees_with_scipy_and_sklearn(pair):
    true, predicted = pair
    assert metrics.mae(true, predicted) == pytest.approx(sklearn.metrics.mean_absolute_error(true, predicted), rel=1e-9)
    assert metrics.rmse(true, predicted) == pytest.approx(
        sklearn.metrics.root_mean_squared_error(true, predicted), rel=1e-9
    )
    if np.ptp(true) > 1e-3:
        assert metrics.r_squared(true, predicted) == pytest.approx(sklearn.metrics.r2_score(true, predicted), rel=1e-9)
    if np.ptp(true) > 0 and np.ptp(predicted) > 0:
        ic, rank_ic = (f(true, predicted) for f in (metrics.pearson, metrics.spearman))
        assert ic == pytest.approx(scipy.stats.pearsonr(true, predicted)[0], abs=1e-9)
        assert rank_ic == pytest.approx(scipy.stats.spearmanr(true, predicted)[0], abs=1e-9)


def test_ic_and_rank_ic_differ():
    true, predicted = np.array([1.0, 2.0, 3.0, 100.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert metrics.spearman(true, predicted) == 1.0
    assert metrics.pearson(true, predicted) == pytest.approx(149 / np.sqrt(7205 * 5))


def test_constant_forecast_has_no_ic():
    assert np.isnan(metrics.pearson(np.array([1.0, 2.0]), np.array([0.1, 0.1])))


def test_smape_by_hand():
    assert metrics.smape(np.array([0.0, 1.0, 2.0]), np.array([0.0, -1.0, 2.0])) == pytest.approx(2 / 3)


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


def rows(quarters, held, delta):
    return [
        {"window_id": f"w{i}", "quarter": q, "holding_t": h, "label_delta": d, "label_tp1": h + d}
        for i, (q, h, d) in enumerate(zip(quarters, held, delta, strict=True))
    ]


TEST = rows([8076, 8076, 8076, 8077, 8077, 8077], [10.0] * 6, [1.0, 2.0, 3.0, 3.0, 2.0, 1.0])


def joined(delta, name="sft"):
    table = prediction_table([r["window_id"] for r in TEST], [10.0] * 6, delta)
    return join_predictions(TEST, {name: table})


def headline(frame, target="change"):
    table = metrics_table(frame, 50)
    return table[(table["target"] == target) & (table["treatment"] == "unparsed_as_no_change")].iloc[0]


def test_ic_is_averaged_within_quarters_not_pooled():
    # Right order in the first quarter, wrong in the second.
    row = headline(joined([1.0, 2.0, 3.0, 1.0, 2.0, 3.0]))
    assert row["IC"] == pytest.approx(0.0)
    shifted = headline(joined([101.0, 102.0, 103.0, 3.0, 2.0, 1.0]))
    assert shifted["IC"] == pytest.approx(1.0), "a level shift between quarters must not change the IC"


def test_no_change_has_skill_zero_and_no_ic():
    row = headline(joined([0.0] * 6, "no_change"))
    assert row["skill"] == 0.0
    assert np.isnan(row["IC"])
    assert row["quarters_without_IC"] == 2
    assert row["share_no_change"] == 1.0
    assert headline(joined([0.0] * 6, "no_change"), "level")["MAE"] == row["MAE"]


def test_unparsed_counts_as_no_change_and_is_also_dropped():
    completions = [{"window_id": f"w{i}", "completion": "?"} for i in range(6)]
    completions[0]["completion"] = '<think></think><answer>{"holding_delta": 1.0}</answer>'
    frame = join_predictions(TEST, {"sft": parse_predictions(completions[::-1], TEST)})
    table = metrics_table(frame, 50).set_index(["treatment", "target"])
    assert table.loc[("unparsed_as_no_change", "change"), "MAE"] == pytest.approx((0 + 2 + 3 + 3 + 2 + 1) / 6)
    assert table.loc[("unparsed_dropped", "change"), "n"] == 1
    assert table.loc[("unparsed_dropped", "change"), "MAE"] == 0.0
    assert table["coverage"].tolist() == [pytest.approx(1 / 6)] * 4


def test_several_samples_give_their_median_and_spread():
    answers = ["1.0", "4.0", "2.0", "oops"]
    completions = [
        {"window_id": f"w{i}", "completion": f'<think></think><answer>{{"holding_delta": {answer}}}</answer>'}
        for i in range(6)
        for answer in answers
    ]
    row = parse_predictions(completions, TEST).iloc[0]
    assert (row["predicted_delta"], row["mean_delta"], row["spread_delta"]) == (
        2.0,
        7 / 3,
        pytest.approx((7 / 3) ** 0.5),
    )
    assert (row["samples"], row["parsed"], row["parsed_share"], row["valid_share"]) == (4, True, 0.75, 0.75)
    assert row["fault"] == "the answer is not the JSON object asked for"
    with pytest.raises(InputError, match="same window_ids"):
        parse_predictions(completions[:-1], TEST)


def test_nothing_parsed_gives_empty_metrics_not_an_error():
    completions = [{"window_id": f"w{i}", "completion": "?"} for i in range(6)]
    table = metrics_table(join_predictions(TEST, {"sft": parse_predictions(completions, TEST)}), 5)
    assert table[table["treatment"] == "unparsed_dropped"]["MAE"].isna().all()


def test_rows_must_be_the_test_rows():
    with pytest.raises(InputError, match="not the test windows"):
        join_predictions(TEST, {"sft": prediction_table(["w0"], [10.0], [0.0])})
    with pytest.raises(InputError, match="same window_ids"):
        parse_predictions([{"window_id": "w0", "completion": ""}], TEST)


def test_trivial_quarters_are_flagged():
    quarterly = quarterly_table(joined([1.0] * 6), 3)
    assert quarterly["trivial_top_k"].all()
    assert quarterly["quarter"].tolist() == ["2019Q1", "2019Q2"] * 2


def test_trimming_removes_the_largest_errors_only():
    table = trimmed_table(joined([1.0, 2.0, 3.0, 3.0, 2.0, 100.0]), 50, 90).set_index("target")
    assert table.loc["change", "windows_trimmed"] == 1
    assert table.loc["change", "MAE"] == 0.0


def test_comparison_finds_a_better_forecast_and_not_an_equal_one():
    generator = np.random.default_rng(1)
    n, quarters = 400, 20
    delta = generator.normal(size=n)
    test = rows([8076 + i % quarters for i in range(n)], [10.0] * n, delta)
    ids, held = [r["window_id"] for r in test], [10.0] * n
    frames = {
        "no_change": prediction_table(ids, held, np.zeros(n)),
        "base": prediction_table(ids, held, generator.normal(size=n) * 1e-9),
        "sft": prediction_table(ids, held, 0.5 * delta),
    }
    table = compare_forecasts(
        join_predictions(test, frames), [("no_change", "sft"), ("no_change", "base")], 2000, 0.95, generator
    )
    change = table.set_index("candidate")
    assert change.loc["sft", "interval_high"] < 0
    assert change.loc["sft", "mae_difference"] == pytest.approx(-0.5 * np.abs(delta).mean())
    assert change.loc["sft", "p_value"] == 1 / 2000
    assert change.loc["base", "p_value"] > 0.05
    assert not table["few_quarters"].any()


def test_one_quarter_has_no_interval():
    test = rows([8076] * 4, [10.0] * 4, [1.0, 2.0, 3.0, 4.0])
    ids = [r["window_id"] for r in test]
    frames = {name: prediction_table(ids, [10.0] * 4, [x] * 4) for name, x in (("no_change", 0.0), ("sft", 1.0))}
    row = compare_forecasts(join_predictions(test, frames), [("no_change", "sft")], 100, 0.95, np.random.default_rng(0))
    assert row[["interval_low", "interval_high", "p_value"]].isna().all(axis=None)
    assert row["few_quarters"].all()


def test_constant_forecast_ranks_nothing():
    assert np.isnan(metrics.recall_precision_ndcg(np.array([5.0, 4.0, -1.0]), np.zeros(3), 2)).all()


def test_bootstrap_draws_whole_clusters():
    # The variance of a mean of 4 drawn clusters is their variance, 1/4, over 4.
    clusters = np.repeat(np.arange(4), 50)
    values = np.repeat([0.0, 0.0, 1.0, 1.0], 50)
    means = bootstrap_mean(values, clusters, 40_000, np.random.default_rng(0))
    assert set(np.round(np.unique(means), 6)) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert means.var() == pytest.approx(0.25 / 4, rel=0.03)


def test_bootstrap_interval_covers_under_clustered_errors():
    # Errors share a quarter effect; an interval that treats windows as independent would cover far less.
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        effect = np.repeat(generator.normal(size=25), 8)
        means = bootstrap_mean(effect + 0.3 * generator.normal(size=200), np.repeat(np.arange(25), 8), 1000, generator)
        low, high = np.quantile(means, [0.025, 0.975])
        covered += low <= 0 <= high
    assert 0.87 <= covered / 200 <= 0.99


def test_quarterly_table_keeps_forecaster_order():
    frame = pd.concat([joined([0.0] * 6, "no_change"), joined([1.0] * 6, "base")], ignore_index=True)
    assert quarterly_table(frame, 5)["forecaster"].unique().tolist() == ["no_change", "base"]


def test_stages_that_answered_in_different_ways_are_not_compared():
    made = {"prompts": "a", "backend": "transformers", "model": "m", "adapter": None}
    check_conditions({"base.json": made, "sft.json": made | {"adapter": "x"}, "grpo.json": made | {"model": "n"}})
    with pytest.raises(InputError, match=r"sft.json and base.json differ in prompts, backend"):
        check_conditions({"base.json": made, "sft.json": made | {"prompts": "b", "backend": "vllm"}})
