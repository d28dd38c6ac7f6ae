"""What a forecaster adds to a baseline: the weight that is there, none where there is none, and the plain average."""

import numpy as np
import pandas as pd
import pytest

from tests.unit.holdings.evaluation.test_comparison import CONFIDENCE, joined
from workflow_scripts.holdings.evaluation.combination import COLUMNS, combinations
from workflow_scripts.holdings.evaluation.comparison import compared_cases


def combined(delta: np.ndarray, ridge: np.ndarray, sft: np.ndarray) -> pd.Series:
    """The row of the pair; positions are 10, so that a change of 1 is a tenth of the position."""
    compared = compared_cases(joined({"ridge": ridge, "sft": sft}, delta, 20, 15))
    table = combinations(compared, [("ridge", "sft")], CONFIDENCE)
    assert tuple(table) == COLUMNS
    return table.iloc[0]


def test_by_hand():
    """Relative errors of the baseline .1, .2; the candidate says .2, .1 otherwise: weight (.02 + .02) / (.04 + .01)."""
    row = combined(np.array([1.0, 2.0]), np.zeros(2), np.array([2.0, 1.0]))
    assert row["weight"] == pytest.approx(0.04 / 0.05)
    assert row["baseline_value"] == row["candidate_value"] + 0.05 == pytest.approx(0.15)
    assert row["average_value"] == pytest.approx((0 + 0.15) / 2)
    assert row["average_difference"] == pytest.approx(0.075 - 0.15)


def test_weights_are_found_and_tell_who_encompasses_whom():
    """The truth is half of both signals plus noise; a copy of the baseline with noise adds nothing to it."""
    generator = np.random.default_rng(3)
    one, two, noise = generator.normal(size=(3, 1200))
    both = combined(0.5 * one + 0.5 * two + 0.3 * noise, one, two)
    assert both["interval_low"] < 0.5 < both["interval_high"]
    assert max(both["p_adds_nothing"], both["p_baseline_adds_nothing"]) < 1e-6
    assert both["average_high"] < 0, "the average is better than the baseline alone"
    nothing = combined(one + noise, one, one + 0.5 * two)
    assert nothing["p_adds_nothing"] > 0.05
    assert nothing["p_baseline_adds_nothing"] < 1e-6
    everything = combined(one + noise, one + 0.5 * two, one)
    assert everything["p_adds_nothing"] < 1e-6
    assert everything["p_baseline_adds_nothing"] > 0.05


def test_the_same_forecast_and_no_window_have_no_weight():
    generator = np.random.default_rng(2)
    delta, forecast = generator.normal(size=(2, 60))
    row = combined(delta, forecast, forecast)
    assert np.isnan(row[["weight", "p_adds_nothing"]].astype(float)).all()
    assert row["average_difference"] == 0
    unknown = joined({"ridge": forecast, "sft": forecast}, delta, 20, 15).assign(label_active=np.nan)
    empty = combinations(compared_cases(unknown), [("ridge", "sft")], CONFIDENCE).iloc[0]
    assert empty["n_windows"] == 0
    assert np.isnan(empty["weight"])


def test_giants_weigh_no_more_than_the_cap():
    """One window that grew a thousandfold counts as one that doubled."""
    delta, forecast = np.array([1.0, -1, 10_000]), np.array([1.0, -1, 1])
    assert combined(delta, np.zeros(3), forecast)["weight"] == pytest.approx((0.01 + 0.01 + 0.1) / 0.03)
