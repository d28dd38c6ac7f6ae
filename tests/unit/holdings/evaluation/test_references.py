"""What is computed fast is the same, to the last bit, as by plain code that goes through windows and draws."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.unit.holdings.evaluation.test_tables import rows
from workflow_scripts.holdings.evaluation import comparison, metrics
from workflow_scripts.holdings.evaluation import tables as evaluation
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.plumbing.errors import InputError

# Few distinct values, zeros of both signs among them: ties everywhere.
tied = st.sampled_from([-2.5, -1.0, -0.0, 0.0, 0.3, 1.0, 1e9, np.inf])
several = st.integers(0, 60).flatmap(lambda n: arrays(float, n, elements=tied))


@given(several)
def test_ranks_are_those_of_scipy(values):
    assert metrics.average_ranks(values).tolist() == scipy.stats.rankdata(values).tolist()


@given(several, st.integers(1, 70))
def test_top_k_is_the_beginning_of_a_whole_sort(values, k):
    assert metrics.top_k(values, k).tolist() == np.argsort(-values, kind="stable")[:k].tolist()


@given(st.lists(st.sampled_from([2020, 7, -1, 300]), max_size=40))
def test_rows_of_a_quarter_are_those_with_its_name(quarter):
    expected = {q: [i for i, other in enumerate(quarter) if other == q] for q in sorted(set(quarter))}
    for labels, names in ((np.array(quarter, int), expected), (np.array([f"{q:+05d}" for q in quarter], object), None)):
        found = metrics.rows_by_quarter(labels)
        assert [inside.tolist() for inside in found.values()] == [
            np.flatnonzero(labels == q).tolist() for q in np.unique(labels)
        ]
        assert names is None or {q: inside.tolist() for q, inside in found.items()} == names


def frame(n: int, seed: int) -> pd.DataFrame:
    """Three forecasters, the last of which is silent now and then; labels of the active change are missing."""
    generator = np.random.default_rng(seed)
    held, delta = generator.integers(0, 4, n).astype(float), generator.integers(-3, 4, n).astype(float)
    active = [None if generator.random() < 0.2 else value for value in np.maximum(delta, -held)]
    test = rows(8076 + generator.integers(3, size=n), held, np.maximum(delta, -held), active)
    predictions = {
        "no_change": np.zeros(n),
        "ridge": generator.normal(size=n),
        "sft": np.round(generator.normal(size=n)),
    }
    tables = {k: prediction_table([row["window_id"] for row in test], held, v) for k, v in predictions.items()}
    silent = generator.random(n) < 0.3
    tables["sft"] = tables["sft"].assign(predicted_delta=np.where(silent, np.nan, predictions["sft"]), parsed=~silent)
    return evaluation.join_predictions(
        test, {name: table.sample(frac=1, random_state=1) for name, table in tables.items()}
    )


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_what_tables_share_is_what_each_would_compute(n, seed):
    joined, constants = frame(n, seed), evaluation.EvaluationSettings(top_k=5)
    quarterly = evaluation.quarterly_table(joined, constants)
    table = evaluation.metrics_table(joined, constants, quarterly)
    pd.testing.assert_frame_equal(table, evaluation.metrics_table(joined, constants), check_exact=True)
    # The windows that all have answered, as a table of their own.
    part = joined[joined.groupby("window_id")["parsed"].transform("all")]
    chosen = ["forecaster", "target", "n_windows", *metrics.ERROR_METRICS, "RankIC", "pooled_RankIC", "MCC", "NDCG@5"]
    answered = table.loc[table["treatment"] == "answered_by_all", chosen].reset_index(drop=True)
    if len(part):
        alone = evaluation.metrics_table(part, constants).query("treatment == 'unparsed_as_no_change'")[chosen]
        pd.testing.assert_frame_equal(answered, alone.reset_index(drop=True), check_exact=True)
    else:
        assert (answered["n_windows"] == 0).all()
    # The RankICs of a period, from its windows.
    periods = evaluation.period_table(joined, constants, dt.date(2019, 6, 30))
    for row in periods.itertuples():
        early = joined["quarter"] == "2019Q1"
        inside = joined[
            (early if row.period == "label_before_cutoff" else ~early) & (joined["forecaster"] == row.forecaster)
        ]
        ics = [
            metrics.rank_ic_by_quarter(one.true, one.predicted, one.quarter)
            for one in evaluation.cases(inside, constants, (row.target,))
        ]
        expected = metrics.correlation_summary("RankIC", ics[0] if ics else np.empty(0))["RankIC"]
        assert row.RankIC == expected or np.isnan([row.RankIC, expected]).all()


@pytest.mark.parametrize("ids", [["w0"], ["w0", "w0"], ["w0", "w2"], ["w0", "w1", "w2"], ["w0", "w1", "w1"]], ids=str)
def test_predictions_cover_each_test_window_once(ids):
    test = rows([8076] * 2, [10.0] * 2, [1.0] * 2)
    with pytest.raises(InputError, match="sft: its windows are not the test windows"):
        evaluation.join_predictions(test, {"sft": prediction_table(ids, [10.0] * len(ids), [0.0] * len(ids))})


def test_the_comparisons_do_not_depend_on_the_order_of_rows():
    joined = frame(60, 5)
    mixed = pd.concat(part.sample(frac=1, random_state=i) for i, (_, part) in enumerate(joined.groupby("forecaster")))
    pairs = [("no_change", "sft"), ("ridge", "sft")]
    found = [
        (
            comparison.compare_forecasts(comparison.compared_cases(one), pairs, pairs, 0.95),
            comparison.skill_intervals(comparison.compared_cases(one), 0.95)
            .set_index(["forecaster", "target", "metric"])
            .sort_index(),
        )
        for one in (joined, mixed)
    ]
    for a, b in zip(*found, strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
