"""Runs are compared on identical windows alone, by the comparisons that a run makes of its own stages."""

import numpy as np
import pandas as pd
import pytest

from tests.unit.holdings.evaluation.test_comparison import joined
from workflow_scripts.holdings.evaluation.comparison import compare_forecasts, compared_cases
from workflow_scripts.holdings.evaluation.run_comparison import (
    RunForecasts,
    compare_runs,
    window_difference,
    windows_and_truth,
)

NAMES = ("a", "b")
GENERATOR = np.random.default_rng(5)
DELTA = GENERATOR.normal(size=240)
FORECASTS = {"sft": 0.4 * DELTA + GENERATOR.normal(size=240), "grpo": 0.8 * DELTA + 0.1 * GENERATOR.normal(size=240)}


def table(**forecasts) -> pd.DataFrame:
    """Twelve quarters, 15 managers."""
    return joined(forecasts, DELTA, 12, 15)


def run(base_model: str = "m", **forecasts) -> RunForecasts:
    origins = pd.DataFrame({"forecaster": list(forecasts), "base_model_identity": base_model})
    return RunForecasts(table(**forecasts), origins)


def windows(frame: pd.DataFrame) -> pd.DataFrame:
    return windows_and_truth(frame)


def test_the_same_windows_in_another_order_are_the_same():
    """Whatever was forecast, and however many forecasters there are; an unknown label equals an unknown one."""
    first, second = table(sft=DELTA), table(sft=-DELTA, grpo=DELTA).iloc[::-1]
    for frame in (first, second):
        frame.loc[frame["window_id"] == "w7", "label_active"] = np.nan
    assert window_difference(windows(first), windows(second), NAMES) == ""
    assert len(windows(second)) == 240


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("label_delta", 1.5, "label_delta differs in 1 of 240 windows: of w3 it is "),
        ("label_active", np.nan, "label_active differs in 1 of 240 windows: of w3 it is "),
        ("holding_t", 10.000001, "holding_t differs in 1 of 240 windows: of w3 it is 10.0 in a and 10.000001 in b"),
        ("quarter", "2030Q1", "quarter differs in 1 of 240 windows"),
        ("mgrno", 99, "mgrno differs in 1 of 240 windows"),
    ],
)
def test_another_truth_is_found(column, value, said):
    first, second = table(sft=DELTA), table(sft=DELTA)
    second.loc[second["window_id"] == "w3", column] = value
    assert said in window_difference(windows(first), windows(second), NAMES)


def test_a_missing_window_is_found_on_either_side():
    first = table(sft=DELTA)
    second = first[first["window_id"] != "w3"]
    said = "a has 240 windows, b 239; 1 are in a alone, such as w3"
    assert window_difference(windows(first), windows(second), NAMES) == said
    said = "a has 239 windows, b 240; 1 are in b alone, such as w3"
    assert window_difference(windows(second), windows(first), NAMES) == said


def test_the_difference_of_two_runs_is_that_of_two_stages_of_one():
    """The same forecasts as two stages of one run and as one stage of two runs: the same rows, to the last digit."""
    within = compare_forecasts(compared_cases(table(**FORECASTS)), [("sft", "grpo")], [("sft", "grpo")], 0.9)
    runs = {"a": run(grpo=FORECASTS["sft"]), "b": run(grpo=FORECASTS["grpo"])}
    between = compare_runs(runs, ["grpo"], "a", 0.9)
    assert list(between["baseline"].unique()) == ["a"]
    assert list(between["candidate"].unique()) == ["b"]
    assert list(between["forecaster"].unique()) == ["grpo"]
    shared = [name for name in within if name not in ("baseline", "candidate")]
    pd.testing.assert_frame_equal(within[shared], between[shared], check_exact=True)
    assert within["difference"].abs().min() > 0


def test_only_the_last_forecaster_is_asked_about_and_each_run_once():
    """By hand: 2 runs beside one, 2 forecasters, 2 quantities, 4 metrics; 2 x 2 of them are the headline's."""
    runs = {name: run(sft=DELTA * share, grpo=DELTA * share) for name, share in (("x", 0.2), ("a", 0.5), ("b", 0.7))}
    found = compare_runs(runs, ["sft", "grpo"], "a", 0.95)
    assert len(found) == 2 * 2 * 2 * 4
    primary = found[found["family"] == "primary"]
    assert list(zip(primary["forecaster"], primary["candidate"], primary["metric"], strict=True)) == [
        ("grpo", run_name, metric) for metric in ("capped_relative_MAE", "relative_RankIC") for run_name in ("x", "b")
    ]
    assert (primary["target"] == "active_change").all()


def test_another_base_model_is_told():
    runs = {"a": run(sft=DELTA), "b": run("other", sft=DELTA), "c": run(sft=DELTA)}
    found = compare_runs(runs, ["sft"], "a", 0.95).drop_duplicates("candidate").set_index("candidate")
    assert found["same_base_model"].to_dict() == {"b": "no", "c": "yes"}
