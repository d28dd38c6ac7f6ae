"""The audit passes what is clean and catches every leak that is planted."""

import copy
import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.conftest import sample_of
from workflow_scripts.holdings.evaluation import baseline_audit
from workflow_scripts.holdings.evaluation import text_audit as audit
from workflow_scripts.holdings.forecasts.baselines import baseline_forecasts
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.texts.conversations import ThinkStyle, grpo_rows, holdout_rows, sft_rows
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.windows.splits import Period
from workflow_scripts.plumbing.errors import InputError

SETTINGS = PromptSettings(decimals=3)
THINK = ThinkStyle("holding {holding_change}", 2, 4)


@pytest.fixture(scope="module")
def panel() -> pa.Table:
    settings = SimulationSettings(managers=6, stocks=12, stocks_per_manager=5, first_year=2015, last_year=2019)
    return typed_table(pa.concat_tables(simulate_panel("banks", 0.1, settings, 3)))


@pytest.fixture(scope="module")
def sample(panel) -> pa.Table:
    windows = sample_of(panel)
    return windows.filter(np.isfinite(windows["holding_t1"].to_numpy()) & (windows["holding_t"].to_numpy() > 0))


def dataset(split: str, sample: pa.Table) -> list[dict]:
    prompts = build_prompts(sample, SETTINGS)
    if split == "sft":
        return sft_rows(prompts, sample, "holding_delta", THINK.decimals, THINK)[0]
    if split == "grpo":
        return grpo_rows(prompts, sample, THINK)
    return holdout_rows(prompts, sample)


def differing(split: str, rows: list[dict], sample: pa.Table, panel: pa.Table) -> list[str]:
    rebuilt = audit.samples_without_future(sample, panel, "banks", 4, np.random.default_rng(0))
    return audit.differing_texts(split, rows, rebuilt, SETTINGS, THINK, None)


@pytest.mark.parametrize("split", ["sft", "grpo", "test"])
def test_clean_data_pass(split, sample, panel):
    rows = dataset(split, sample)
    assert differing(split, rows, sample, panel) == []
    assert audit.labels_in_text(rows) == []


@pytest.mark.parametrize("split", ["sft", "grpo", "test"])
@pytest.mark.parametrize(("column", "source"), [("prc_lag0", "prc_t1"), ("holding_t_lag1", "holding_t1")])
def test_a_feature_taken_from_the_next_quarter_is_caught(split, column, source, sample, panel):
    planted = sample.set_column(sample.column_names.index(column), column, sample[source])
    known = np.isfinite(planted[column].to_numpy())
    found = differing(split, dataset(split, planted), sample, panel)
    assert len(found) >= 0.9 * known.sum()


@pytest.mark.parametrize("column", ["holding_t1", "prc_t1", "price_ratio"])
def test_a_prompt_that_prints_a_label_is_caught(monkeypatch, column, sample, panel):
    """By the code that builds both texts: only another label tells them apart."""
    build = audit.build_prompts

    def leaky(sample, *more):
        values = sample[column].to_pylist()
        return [row | {"user": f"{row['user']} {x}"} for row, x in zip(build(sample, *more), values, strict=True)]

    rows = holdout_rows(leaky(sample, SETTINGS), sample)
    monkeypatch.setattr(audit, "build_prompts", leaky)
    assert len(differing("test", rows, sample, panel)) == sample.num_rows


def test_a_baseline_feature_taken_from_the_next_quarter_is_caught(sample, panel):
    def found(table):
        rebuilt = list(audit.samples_without_future(table, panel, "banks", 4, np.random.default_rng(0)))
        return baseline_audit.differing_features(table, rebuilt, "active_delta")

    assert found(sample) == []
    planted = sample.set_column(sample.column_names.index("prc_lag0"), "prc_lag0", sample["prc_t1"])
    assert len(found(planted)) >= 0.9 * np.isfinite(planted["prc_lag0"].to_numpy()).sum()


def test_windows_outside_their_split_are_caught(sample):
    quarters = sample["quarter"].to_numpy()
    start, end = dt.date(2016, 2, 1), dt.date(2018, 12, 31)
    found = audit.windows_outside_their_split(sample, Period(start, end))
    outside = (quarters < 4 * 2016) | (quarters > 4 * 2018 + 3)
    assert 0 < outside.sum() < len(quarters)
    assert found == sample["window_id"].filter(pa.array(outside)).to_pylist()
    assert audit.windows_outside_their_split(sample, Period()) == []


def test_a_label_in_the_think_block_is_caught(sample, panel):
    rows = dataset("sft", sample)
    rows[0]["messages"][2]["content"] = rows[0]["messages"][2]["content"].replace("</think>", " up</think>")
    assert differing("sft", rows, sample, panel) == [rows[0]["window_id"]]


def test_missing_and_added_rows_are_caught(sample, panel):
    rows = dataset("test", sample)
    other = copy.deepcopy(rows[1]) | {"window_id": "banks-1-1-2019Q9"}
    assert differing("test", [*rows[1:], other], sample, panel) == sorted(["banks-1-1-2019Q9", rows[0]["window_id"]])


def test_a_label_column_by_name_is_caught(sample):
    rows = dataset("test", sample)
    rows[3]["messages"][1]["content"] += "\nlabel_delta=1.5"
    assert audit.labels_in_text(rows) == [rows[3]["window_id"]]


def test_scrambling_touches_what_is_dated_after_t_and_nothing_else(panel):
    quarter = int(np.median(panel["quarter"].to_numpy()))
    after = audit.scramble_after(panel, quarter, np.random.default_rng(0))
    dates = panel["quarter"].to_numpy()
    for name in ("holding_t", "prc", "me", "aum"):
        same = after[name].to_numpy() == panel[name].to_numpy()
        assert same[(dates <= quarter) & np.isfinite(panel[name].to_numpy())].all()
        assert not same[dates > quarter].any()
    labels = after["holding_t1"].to_numpy() == panel["holding_t1"].to_numpy()
    assert labels[(dates < quarter) & np.isfinite(panel["holding_t1"].to_numpy())].all()
    assert not labels[dates >= quarter].any(), "the label of t is dated t+1"


def test_a_baseline_that_knows_test_labels_is_caught(sample):
    train, test = sample.slice(0, sample.num_rows // 2), sample.slice(sample.num_rows // 2)
    held = test["holding_t"].to_numpy()
    forecasts = baseline_forecasts(train, test, "holding_delta")
    tables = {name: prediction_table(test["window_id"].to_pylist(), held, x) for name, x in forecasts.items()}
    rng = np.random.default_rng(0)
    assert baseline_audit.differing_baselines(train, test, "holding_delta", tables, rng) == []
    # Fitted on all windows, the test ones included.
    leaky = baseline_forecasts(sample, test, "holding_delta")
    tables |= {"ridge": prediction_table(test["window_id"].to_pylist(), held, leaky["ridge"])}
    assert baseline_audit.differing_baselines(train, test, "holding_delta", tables, rng) == ["ridge"]


@pytest.mark.parametrize(
    "leaky",
    [
        lambda test: test["holding_t1"].to_numpy() - test["holding_t"].to_numpy(),
        lambda test: test["holding_t"].to_numpy() - test["holding_t"].to_numpy().mean(),
    ],
    ids=["its own label", "the other test windows"],
)
def test_a_baseline_that_looks_at_test_windows_is_caught(monkeypatch, leaky, sample):
    """By its own code, which the audit runs again: on other labels, and on half of the windows."""

    def forecasts(train, test, target):
        return {"honest": 0.1 * test["holding_t"].to_numpy(), "leaky": leaky(test)}

    ids = sample["window_id"].to_pylist()
    tables = {
        name: pd.DataFrame({"window_id": ids, "predicted_delta": forecast})
        for name, forecast in forecasts(sample, sample, "").items()
    }
    monkeypatch.setattr(baseline_audit, "baseline_forecasts", forecasts)
    found = baseline_audit.differing_baselines(sample, sample, "holding_delta", tables, np.random.default_rng(0))
    assert found == ["leaky"]


def test_labels_in_two_splits_and_in_later_splits():
    def of(ids, quarters):
        return pa.table({"window_id": ids, "quarter": pa.array(quarters, pa.int32())})

    samples = {"sft": of(["a", "b"], [8066, 8067]), "grpo": of(["c"], [8075]), "test": of(["d", "b"], [8076, 8080])}
    assert audit.repeated_labels(samples) == ["b"]
    assert audit.labels_in_next_split(samples["sft"], "2017-01-01") == 1
    assert audit.labels_in_next_split(samples["grpo"], "2019-01-01") == 1


def test_identical_prompts_are_counted():
    def of(*texts):
        return [{"window_id": t, "messages": [{"role": "user", "content": t}, {"role": "assistant", "content": "x"}]}
                for t in texts]  # fmt: skip

    found = audit.identical_prompts({"sft": of("a", "b"), "grpo": of("c", "b"), "test": of("b", "b", "c")})
    assert found == {"sft and grpo": 1, "sft and test": 2, "grpo and test": 3}


def test_tables_of_scrambled_labels_keep_their_types(sample):
    other = audit.scramble_labels(sample, np.random.default_rng(0))
    assert other.schema.equals(sample.schema)
    assert not np.equal(other["holding_t1"].to_numpy(), sample["holding_t1"].to_numpy()).any()
    pd.testing.assert_series_equal(other["holding_t"].to_pandas(), sample["holding_t"].to_pandas())


def test_a_failed_check_stops_with_what_was_found():
    clean = audit.found_by("labels in two splits", [])
    table = audit.checks_table([clean, ("identical prompts", 3, "", False)], "banks", "test")
    assert table["count"].tolist() == [0, 3]
    with pytest.raises(InputError, match=r"leak in banks, test: labels in two splits: 4 \(a, b, c\)"):
        audit.checks_table([audit.found_by("labels in two splits", list("abcd"))], "banks", "test")
