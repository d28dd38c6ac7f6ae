"""Paired comparisons find what is there and no more, on the windows and quarters that both forecasters have."""

import numpy as np
import pytest

from tests.unit.holdings.evaluation.test_tables import rows
from tests.unit.holdings.forecasts.test_baselines import sample
from workflow_scripts.holdings.evaluation.baseline_choice import baseline_scores, chosen_baseline
from workflow_scripts.holdings.evaluation.comparison import compare_forecasts, compared_cases, skill_intervals
from workflow_scripts.holdings.evaluation.forecaster_pairs import forecaster_pairs, primary_pairs
from workflow_scripts.holdings.evaluation.metrics import spearman
from workflow_scripts.holdings.evaluation.tables import join_predictions
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.predictions import prediction_table

CONFIDENCE = 0.95


def joined(forecasts: dict[str, np.ndarray], delta: np.ndarray, quarters: int, managers: int):
    test = rows([8076 + i % quarters for i in range(len(delta))], [10.0] * len(delta), delta)
    for i, row in enumerate(test):
        row["mgrno"] = i // quarters % managers
    ids = [row["window_id"] for row in test]
    return join_predictions(test, {k: prediction_table(ids, [10.0] * len(ids), v) for k, v in forecasts.items()})


def compare(frame, *pairs, target="change", metric="MAE", primary=()):
    table = compare_forecasts(compared_cases(frame), pairs, primary, CONFIDENCE)
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


def test_few_quarters_are_flagged_and_have_wide_intervals():
    delta = np.random.default_rng(3).normal(size=120)
    frame = joined({"no_change": 0 * delta, "sft": 0.5 * delta}, delta, 6, 20)
    row = compare(frame, ("no_change", "sft")).loc["sft"]
    assert row["few_quarters"]
    assert not row["few_managers"]
    assert row["degrees_of_freedom"] == 5
    half = 2.5706 * row["standard_error"]
    assert row["interval_high"] - row["difference"] == pytest.approx(half, rel=1e-4)


def test_one_quarter_and_one_manager_have_no_interval():
    frame = joined({"no_change": np.zeros(4), "sft": np.ones(4)}, np.arange(1.0, 5.0), 1, 1)
    row = compare(frame, ("no_change", "sft")).loc["sft"]
    assert np.isnan(row[["interval_low", "interval_high", "p_value"]].astype(float)).all()


def test_the_headline_is_relative_and_capped():
    """By hand: errors over holding_t, each at most 1; the giant counts no more than the others, an exit counts 1."""
    test = rows([8076, 8076, 8077, 8077], [10.0, 1000.0, 10.0, 0.0], [1.0, 500.0, 40.0, 5.0], [1.0, 500.0, 40.0, 5.0])
    ids, held = [row["window_id"] for row in test], [row["holding_t"] for row in test]
    forecasts = {"no_change": np.zeros(4), "sft": np.array([2.0, 250.0, 5.0, 3.0])}
    frame = join_predictions(test, {k: prediction_table(ids, held, v) for k, v in forecasts.items()})
    row = compare(frame, ("no_change", "sft"), target="active_change", metric="capped_relative_MAE").loc["sft"]
    assert row["n_windows"] == 3, "the last has no position"
    assert row["baseline_value"] == pytest.approx((0.1 + 0.5 + 1) / 3)
    assert row["candidate_value"] == pytest.approx((0.1 + 0.25 + 1) / 3)
    assert row["unit"] == "share of holding_t"


def test_a_forecast_in_proportion_to_the_position_ranks_nothing_in_the_headline():
    """In dollars size alone earns a RankIC; over holding_t all forecasts are equal, but for dust of the division."""
    generator = np.random.default_rng(12)
    held = np.exp(generator.normal(0, 3, 300))
    active = -0.1 * held * generator.random(300)
    test = rows(8076 + np.arange(300) % 12, held, active, active)
    ids = [row["window_id"] for row in test]
    forecasts = {"firm_type_mean": -0.086 * held, "sft": active}
    frame = join_predictions(test, {k: prediction_table(ids, held, v) for k, v in forecasts.items()})
    pair = ("firm_type_mean", "sft")
    assert compare(frame, pair, target="active_change", metric="RankIC").loc["sft", "baseline_value"] > 0.8
    found = compare(frame, pair, target="active_change", metric="relative_RankIC").loc["sft"]
    assert np.isnan([found["baseline_value"], found["p_value"]]).all()


def test_the_headline_finds_what_dollars_hide():
    """Every error of the candidate is a tenth smaller on average; a few giants decide the dollars."""
    generator = np.random.default_rng(13)
    held = np.exp(generator.normal(0, 3, 800))
    active = np.maximum(generator.standard_t(3, 800) * 0.2, -1) * held
    test = rows(8076 + np.arange(800) % 20, held, active, active)
    for i, row in enumerate(test):
        row["mgrno"] = i // 20
    ids = [row["window_id"] for row in test]
    forecasts = {"no_change": 0 * held, "sft": active * (0.1 + 0.4 * generator.normal(size=800))}
    frame = join_predictions(test, {k: prediction_table(ids, held, v) for k, v in forecasts.items()})
    pair = ("no_change", "sft")
    p_value = {
        metric: compare(frame, pair, target="active_change", metric=metric).loc["sft", "p_value"]
        for metric in ("capped_relative_MAE", "MAE")
    }
    assert p_value["capped_relative_MAE"] < 0.001
    assert p_value["MAE"] > 0.05


def test_only_headline_metrics_of_primary_pairs_are_primary():
    delta = np.random.default_rng(14).normal(size=120)
    frame = joined({"no_change": 0 * delta, "ridge": 0.2 * delta, "sft": 0.5 * delta}, delta, 12, 10)
    pairs = [("no_change", "sft"), ("ridge", "sft")]
    table = compare_forecasts(compared_cases(frame), [*pairs, ("no_change", "ridge")], pairs, CONFIDENCE)
    primary = table[table["family"] == "primary"]
    assert primary[["baseline", "metric", "target"]].values.tolist() == [
        ["no_change", "capped_relative_MAE", "active_change"],
        ["ridge", "capped_relative_MAE", "active_change"],
        ["ridge", "relative_RankIC", "active_change"],
    ]
    assert set(table["family"]) == {"primary", "secondary"}


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


def test_a_firm_type_without_any_label_of_a_target_is_compared_on_the_other():
    delta = np.random.default_rng(8).normal(size=120)
    frame = joined({"no_change": 0 * delta, "sft": 0.5 * delta}, delta, 12, 5).assign(label_active=np.nan)
    table = compare_forecasts(compared_cases(frame), [("no_change", "sft")], [], CONFIDENCE).set_index("target")
    assert np.isfinite(table.loc["change", "p_value"]).all()
    assert np.isnan(table.loc["active_change", "p_value"]).all()
    assert (table.loc["active_change", "n_windows"] == 0).all()
    assert skill_intervals(compared_cases(frame), CONFIDENCE)["target"].tolist() == ["change", "change"]


def test_skill_and_its_interval():
    delta = np.random.default_rng(7).normal(size=600)
    frame = joined({"no_change": 0 * delta, "sft": 0.5 * delta, "grpo": -delta}, delta, 20, 15)
    table = (
        skill_intervals(compared_cases(frame), CONFIDENCE)
        .query("target == 'change' and metric == 'MAE'")
        .set_index("forecaster")
    )
    assert table["skill"].to_dict() == {"sft": pytest.approx(0.5), "grpo": pytest.approx(-1.0)}
    # Both errors are multiples of no-change's: their ratio is the same without any cluster.
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


def test_few_questions_come_first():
    names = [*BASELINES, "base", "sft", "grpo", "mine", "oracle"]
    assert primary_pairs(names, "ridge") == [("no_change", "grpo"), ("ridge", "grpo"), ("sft", "grpo")]
    assert set(primary_pairs(names, "ridge")) <= set(forecaster_pairs(names))
    assert primary_pairs([*BASELINES, "base"], "ridge") == [("no_change", "base"), ("ridge", "base")]
    own = [*BASELINES, "mine", "theirs"]
    assert primary_pairs(own, "ridge") == [
        ("no_change", "mine"), ("ridge", "mine"), ("no_change", "theirs"), ("ridge", "theirs"),
    ]  # fmt: skip
    assert set(primary_pairs(own, "ridge")) <= set(forecaster_pairs(own))
    assert primary_pairs(["no_change", "sft"], "") == [("no_change", "sft")], "no baseline could be scored"


def test_the_best_baseline_is_chosen_before_the_test_quarters():
    """By hand: the last change goes on. Fitted on the first sample, scored on the second by the headline's error."""
    trending = sample([10, 10, 10, 11, 12.1], [20, 20, 20, 22, 24.2], [5, 5, 5, 6, 7.2])
    scores = baseline_scores(trending, trending, "holding_delta").set_index("forecaster")
    # Relative changes of .1, .1 and .2; as forecasts 0, and the last change over holding_t.
    assert scores.loc["no_change", "capped_relative_MAE"] == pytest.approx(0.4 / 3)
    expected = (2 * (0.1 - 1 / 11) + 0.2 - 1 / 6) / 3
    assert scores.loc["last_change", "capped_relative_MAE"] == pytest.approx(expected)
    rivals = scores.drop(index="no_change")["capped_relative_MAE"]
    assert chosen_baseline(scores.reset_index()) == rivals.idxmin()
    # Where nothing moves no-change is the best, and is not what "the best baseline" means.
    still = sample([10, 10, 10, 10, 10.0], [20, 20, 20, 20, 20.0])
    table = baseline_scores(trending, still, "holding_delta")
    assert table.set_index("forecaster").loc["no_change", "capped_relative_MAE"] == 0
    assert chosen_baseline(table) not in ("", "no_change")
    gone = sample([10, 10, 10, 0, 0.0], [20, 20, 20, 0, 0.0])
    assert chosen_baseline(baseline_scores(trending, gone, "holding_delta")) == "", "no window has a position"
