"""The audit passes what is clean and catches every leak that is planted."""

import copy
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.conftest import sample_of
from workflow_scripts.holdings.evaluation import baseline_audit
from workflow_scripts.holdings.evaluation import text_audit as audit
from workflow_scripts.holdings.evaluation.audit_checks import checks_table, found_by
from workflow_scripts.holdings.forecasts.baselines import baseline_forecasts
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.panel.stock_quarters import stock_quarters
from workflow_scripts.holdings.texts.conversations import ThinkStyle, grpo_rows, holdout_rows, sft_rows
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.windows.splits import Period
from workflow_scripts.plumbing.errors import InputError

SETTINGS = PromptSettings(decimals=3)
THINK = ThinkStyle("holding {holding_change}", 2, 4)


@pytest.fixture(scope="module")
def panel() -> pa.Table:
    """One stock is split 2:1 at the end of 2016."""
    settings = SimulationSettings(managers=6, stocks=12, stocks_per_manager=5, first_year=2015, last_year=2019)
    table = typed_table(pa.concat_tables(simulate_panel("banks", 0.1, settings, 3)))
    is_split = (table["permno"].to_numpy() == table["permno"][0].as_py()) & (table["quarter"].to_numpy() >= 4 * 2017)
    price = np.where(is_split, table["prc"].to_numpy() / 2, table["prc"].to_numpy())
    return table.set_column(table.column_names.index("prc"), "prc", pa.array(price))


@pytest.fixture(scope="module")
def stocks(panel) -> pa.Table:
    table = stock_quarters(lambda columns: [panel])
    assert np.nansum(table["split_ratio"].to_numpy()) == 2
    return table


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


def planted_in(table: pa.Table, name: str, values) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def differing(split: str, rows: list[dict], sample: pa.Table, panel: pa.Table) -> list[str]:
    stocks = stock_quarters(lambda columns: [panel])
    rebuilt = audit.samples_without_future(sample, panel, stocks, "banks", np.random.default_rng(0))
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


def test_a_baseline_feature_taken_from_the_next_quarter_is_caught(sample, panel, stocks):
    """A split that is there where the position will rise is a feature, too: it takes a change out of those before."""

    def found(table):
        rebuilt = list(audit.samples_without_future(table, panel, stocks, "banks", np.random.default_rng(0)))
        return baseline_audit.differing_features(table, rebuilt, "active_delta")

    assert found(sample) == []
    planted = sample.set_column(sample.column_names.index("prc_lag0"), "prc_lag0", sample["prc_t1"])
    assert len(found(planted)) >= 0.9 * np.isfinite(planted["prc_lag0"].to_numpy()).sum()
    rises = sample["delta_sign"].to_numpy() > 0
    planted = planted_in(sample, "split_ratio_lag1", np.where(rises, 2.0, np.nan))
    assert len(found(planted)) >= 0.9 * rises.sum()


def test_splits_of_the_past_are_those_of_the_stock(sample, stocks):
    ratio = sample["split_ratio_lag2"].to_numpy()
    assert np.isfinite(ratio).any()
    assert audit.differing_splits(sample, stocks) == []
    assert audit.past_splits(sample, stocks).keys() == {f"split_ratio_lag{lag}" for lag in (1, 2, 3)}
    ids = np.array(sample["window_id"].to_pylist())
    rises = sample["delta_sign"].to_numpy() > 0
    for planted, caught in (
        # What will happen, the split of the quarter to come, and one left out.
        (np.where(rises, 2.0, ratio), rises & ~np.isfinite(ratio)),
        (
            sample["split_ratio_lag1"].to_numpy(),
            np.isfinite(sample["split_ratio_lag1"].to_numpy()) | np.isfinite(ratio),
        ),
        (np.full(len(ratio), np.nan), np.isfinite(ratio)),
    ):
        assert audit.differing_splits(planted_in(sample, "split_ratio_lag2", planted), stocks) == ids[caught].tolist()


def test_splits_of_a_long_past_are_matched_by_their_lag(panel, stocks):
    """From ten quarters on the names of the columns are not in the order of their lags."""
    sample = sample_of(panel, 13)
    assert np.isfinite(sample["split_ratio_lag12"].to_numpy()).any()
    assert audit.differing_splits(sample, stocks) == []


def test_a_split_that_the_price_denies_is_caught_where_it_comes_from(sample, stocks):
    """In the splits of all stocks, where the sample agrees with them."""
    quarter = int(np.median(sample["quarter"].to_numpy()))
    everywhere = np.where(stocks["quarter"].to_numpy() == quarter - 1, 2.0, stocks["split_ratio"].to_numpy())
    planted = planted_in(stocks, "split_ratio", everywhere)
    leaky = sample
    for name, values in audit.past_splits(sample, planted).items():
        leaky = planted_in(leaky, name, values)
    touched = (sample["quarter"].to_numpy() >= quarter) & (sample["quarter"].to_numpy() <= quarter + 2)
    found = audit.differing_splits(leaky, planted)
    assert len(found) >= 0.95 * touched.sum()
    assert set(found) <= set(np.array(sample["window_id"].to_pylist())[touched])


def test_windows_outside_their_split_are_caught(sample):
    quarters = sample["quarter"].to_numpy()
    found = audit.windows_outside_their_split(sample, Period("2016-02-01", "2018-12-31"))
    outside = (quarters < 4 * 2016) | (quarters > 4 * 2018 + 3)
    assert 0 < outside.sum() < len(quarters)
    assert found == sample["window_id"].filter(pa.array(outside)).to_pylist()
    assert audit.windows_outside_their_split(sample, Period()) == []
    # An id and a quarter that contradict each other: one of them was moved.
    moved = planted_in(sample, "quarter", pa.array(quarters + (np.arange(len(quarters)) == 5), pa.int32()))
    assert audit.windows_outside_their_split(moved, Period()) == [sample["window_id"][5].as_py()]


def test_a_fault_of_the_splits_is_caught_by_a_way_of_its_own(sample, monkeypatch):
    """The audit has to see a window of another split where the code that made the splits does not."""
    for module in [one for name, one in sys.modules.items() if name.startswith("workflow_scripts.holdings")]:
        for name in {"split_mask", "quarter_ids"} & vars(module).keys():
            monkeypatch.setattr(module, name, lambda *arguments, **more: 1 / 0)
    assert len(audit.windows_outside_their_split(sample, Period("2016-02-01"))) > 0
    assert audit.labels_in_next_split(sample, "2019-01-01") > 0


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
    def of(*ids):
        return pa.table({"window_id": ids})

    samples = {"sft": of("x-1-2-2016Q3", "x-1-2-2016Q4"), "grpo": of("x-1-2-2018Q4"),
               "test": of("x-1-2-2019Q1", "x-1-2-2016Q4")}  # fmt: skip
    assert audit.repeated_labels(samples) == ["x-1-2-2016Q4"]
    assert audit.labels_in_next_split(samples["sft"], "2017-01-01") == 1
    assert audit.labels_in_next_split(samples["grpo"], "2019-01-01") == 1
    counts = [audit.labels_in_next_split(samples["sft"], day) for day in ("2016-12-31", "2017-02-01", "2017-04-01")]
    assert counts == [2, 1, 0]


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
    clean = found_by("labels in two splits", [])
    table = checks_table([clean, ("identical prompts", 3, "", False)], "banks", "test")
    assert table["count"].to_pylist() == [0, 3]
    with pytest.raises(InputError, match=r"leak in banks, test: labels in two splits: 4 \(a, b, c\)"):
        checks_table([found_by("labels in two splits", list("abcd"))], "banks", "test")
