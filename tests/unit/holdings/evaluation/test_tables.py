"""Every forecaster is scored on identical windows and four targets; silence, exits and missing labels are counted."""

import datetime as dt
import json
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import GOLDEN
from workflow_scripts import score_periods, trim_metrics
from workflow_scripts.holdings.evaluation import tables as evaluation
from workflow_scripts.holdings.evaluation.conditions import check_conditions, origins, with_base_models
from workflow_scripts.holdings.evaluation.tables import EvaluationSettings, join_predictions, metrics_table
from workflow_scripts.holdings.forecasts.predictions import (
    fault_examples,
    parse_samples,
    prediction_table,
    summarize_samples,
)
from workflow_scripts.holdings.texts.targets import CHANGES
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import write_csv

SETTINGS = EvaluationSettings()


# A stage that is always right.
WELL = [f'<think></think><answer>{{"holding_delta": {delta}}}</answer>' for delta in (1.0, 2.0, 3.0, 3.0, 2.0, 1.0)]


def rows(quarters, held, delta, active=None):
    table = zip(quarters, held, delta, delta if active is None else active, strict=True)
    return [
        {"window_id": f"w{i}", "mgrno": i % 3, "permno": i, "quarter": q, "holding_t": h, "label_delta": d,
         "label_tp1": h + d, "label_active": a}
        for i, (q, h, d, a) in enumerate(table)
    ]  # fmt: skip


TEST = rows([8076, 8076, 8076, 8077, 8077, 8077], [10.0] * 6, [1.0, 2.0, 3.0, 3.0, 2.0, 1.0])


def joined(delta, name="sft", test=TEST):
    return join_predictions(test, {name: prediction_table([r["window_id"] for r in test], [10.0] * len(test), delta)})


def headline(frame, target="change"):
    table = metrics_table(frame, SETTINGS)
    return table[(table["target"] == target) & (table["treatment"] == "unparsed_as_no_change")].iloc[0]


def completions(*answers):
    return [
        {"window_id": f"w{i}", "completion": text, "finish_reason": "stop"}
        for i in range(6)
        for text in (answers[i] if isinstance(answers[i], list) else [answers[i]])
    ]


def parsed_predictions(given, test):
    return summarize_samples(parse_samples(given, test))


def test_ic_is_averaged_within_quarters_not_pooled():
    # Right order in the first quarter, wrong in the second.
    row = headline(joined([1.0, 2.0, 3.0, 1.0, 2.0, 3.0]))
    assert row["IC"] == pytest.approx(0.0)
    shifted = headline(joined([101.0, 102.0, 103.0, 3.0, 2.0, 1.0]))
    assert shifted["IC"] == pytest.approx(1.0), "a level shift between quarters must not change the IC"


def test_a_planted_no_change_model_has_skill_zero_and_no_ic():
    frame = joined([0.0] * 6, "grpo")
    for target in CHANGES:
        row = headline(frame, target)
        assert row["skill"] == row["relative_skill"] == row["MCC"] == 0.0
        assert np.isnan(row[["IC", "RankIC", "IC_t", "NDCG@10%", "calibration_slope"]].astype(float)).all()
        assert row["n_quarters_without_IC"] == row["n_quarters"] == 2
        assert row["near_zero_share"] == 1.0
    assert headline(frame, "level")["MAE"] == headline(frame)["MAE"]
    assert headline(frame, "level")["skill"] == 0.0


def test_windows_of_relative_metrics_are_counted_however_small_their_positions_are():
    """One has no position, one a tiny one that grew a thousandfold, of one the label is missing."""
    held, delta = [10.0, 0.0, 0.001, 10.0], [1.0, 2.0, 1.0, 3.0]
    test = rows([8076] * 4, held, delta, active=[1.0, 2.0, 1.0, None])
    frame = join_predictions(test, {"sft": prediction_table([r["window_id"] for r in test], held, [0.0] * 4)})
    for target, windows, capped in (("change", 3, 1 / 3), ("active_change", 2, 1 / 2), ("log_change", 0, np.nan)):
        row = headline(frame, target)
        assert row["n_windows_relative"] == windows
        assert row["capped_share"] == pytest.approx(capped, nan_ok=True)
    assert headline(frame, "active_change")["n_windows"] == 3


def test_targets_by_hand():
    test = rows([8076] * 3, [10.0, 20.0, 5.0], [10.0, -20.0, 0.0], [0.0, -20.0, None])
    frame = join_predictions(test, {"sft": prediction_table(["w0", "w1", "w2"], [10.0, 20.0, 5.0], [5.0, 0.0, 0.0])})
    table = metrics_table(frame, SETTINGS).query("treatment == 'unparsed_as_no_change'").set_index("target")
    assert table.loc["change", "MAE"] == table.loc["level", "MAE"] == pytest.approx((5 + 20 + 0) / 3)
    # The exit counts as a fall to 1 % of the position.
    assert table.loc["log_change", "MAE"] == pytest.approx((np.log(2 / 1.5) + np.log(100) + 0) / 3)
    assert table.loc["active_change", "MAE"] == pytest.approx((5 + 20) / 2)
    assert table["n_windows"].to_dict() == {"level": 3, "change": 3, "log_change": 3, "active_change": 2}
    assert table.loc["active_change", "n_windows_set_aside"] == 1
    assert table["unit"].to_dict()["log_change"] == "log"


def test_return_makes_the_dollar_change_look_forecastable_but_not_the_active_change():
    """Where positions are only kept, the return of t+1 ranks the dollar change perfectly, the active one not at all."""
    generator = np.random.default_rng(0)
    returns, held = generator.normal(size=60), np.full(60, 10.0)
    traded = generator.normal(size=60) * 0.01
    test = rows([8076 + i // 20 for i in range(60)], held, held * returns, traded)
    frame = join_predictions(test, {"sft": prediction_table([r["window_id"] for r in test], held, held * returns)})
    assert headline(frame, "change")["RankIC"] == pytest.approx(1.0)
    assert abs(headline(frame, "active_change")["RankIC"]) < 0.3


def test_unparsed_counts_as_no_change_and_the_intersection_is_the_same_for_all():
    texts = ["?"] * 6
    texts[0] = '<think></think><answer>{"holding_delta": 1.0}</answer>'
    predictions = {
        "no_change": prediction_table([f"w{i}" for i in range(6)], [10.0] * 6, [0.0] * 6),
        "sft": parsed_predictions(completions(*texts)[::-1], TEST),
    }
    table = metrics_table(join_predictions(TEST, predictions), SETTINGS).query("target == 'change'")
    table = table.set_index(["forecaster", "treatment"])
    assert table.loc[("sft", "unparsed_as_no_change"), "MAE"] == pytest.approx((0 + 2 + 3 + 3 + 2 + 1) / 6)
    both = table.xs("answered_by_all", level="treatment")
    assert both["n_windows"].tolist() == [1, 1]
    assert both["n_windows_set_aside"].tolist() == [5, 5]
    assert both.loc["sft", "MAE"] == 0.0
    assert both.loc["no_change", "MAE"] == 1.0
    assert table.loc["sft", "parsed_share"].tolist() == [pytest.approx(1 / 6)] * 3


def test_several_samples_give_their_median_and_spread():
    answers = ["1.0", "4.0", "2.0", "oops"]
    texts = [f'<think></think><answer>{{"holding_delta": {answer}}}</answer>' for answer in answers]
    given = completions(*[texts] * 6)
    given[1]["finish_reason"] = "length"
    row = parsed_predictions(given, TEST).iloc[0]
    assert (row["predicted_delta"], row["mean_delta"]) == (2.0, 7 / 3)
    assert row["spread_delta"] == pytest.approx((7 / 3) ** 0.5)
    assert (row["samples"], row["parsed"], row["parsed_share"], row["valid_share"]) == (4, True, 0.75, 0.75)
    assert (row["bound_share"], row["truncated_share"]) == (0.75, 0.25)
    assert row["faults"] == "the answer is not the JSON object asked for"
    with pytest.raises(InputError, match="same window_ids"):
        parsed_predictions(given[:-1], TEST)


def test_the_coverage_funnel_by_hand():
    texts = ["?"] * 6
    texts[0] = '<think></think><answer>{"holding_delta": 1.0}</answer>'
    texts[1] = '<answer>{"holding_delta": 1.0}</answer>'  # no think block
    texts[2] = '<think></think><answer>{"holding_delta": -11}</answer>'  # below the bound
    given = completions(*texts)
    given[3]["finish_reason"] = "length"
    funnel = evaluation.coverage_table(join_predictions(TEST, {"sft": parsed_predictions(given, TEST)}))
    steps = funnel[funnel["step"] != "fault"].set_index("step")["share"]
    assert (steps * 6).round(9).to_dict() == {
        "asked": 6, "not_truncated": 5, "parsed": 3, "bound_valid": 2, "contract_valid": 1
    }  # fmt: skip
    faults = funnel[funnel["step"] == "fault"].set_index("fault")["share"] * 6
    assert faults.round(9).to_dict() == {
        "no answer": 3, "below the bound -holding_t": 1, "not one think block followed by one answer block": 1
    }  # fmt: skip
    assert faults.index[0] == "no answer", "the most frequent first"


def test_either_key_is_scored_and_the_contract_knows_the_difference(tmp_path):
    """A stage that answers with the position, as the document's models do, has its forecasts; none of them is valid."""
    texts = [f'<think></think><answer>{{"holding_tp1": {10 + d}}}</answer>' for d in (1.0, 2.0, 3.0, 3.0, 2.0, 1.0)]
    texts[5] = '<think></think><answer>{"holding_delta": 1.0}</answer>'
    frame = join_predictions(TEST, {"sft": parsed_predictions(completions(*texts), TEST)})
    assert headline(frame)["MAE"] == pytest.approx(0.0)
    assert headline(frame)["parsed_share"] == 1.0
    assert headline(frame)["valid_share"] == pytest.approx(1 / 6)
    evaluation.with_units(frame).to_csv(tmp_path / "forecasts.csv", index=False)
    for table in (frame, evaluation.read_forecasts(tmp_path / "forecasts.csv")):
        faults = evaluation.coverage_table(table).query("step == 'fault'").set_index("fault")["share"]
        assert faults.to_dict() == {"holding_tp1 instead of holding_delta": pytest.approx(5 / 6)}


def test_the_reference_answers_of_the_test_data_are_read():
    """Its answers are positions (holding_tp1), whatever the prompts ask for."""
    rows = [json.loads(line) for line in (GOLDEN / "test.jsonl").read_text().splitlines()]
    given = [{**row, "completion": row["messages"][-1]["content"], "finish_reason": "stop"} for row in rows]
    table = parsed_predictions(given, rows)
    assert table["parsed"].all()
    assert table["predicted_delta"].tolist() == pytest.approx([row["label_delta"] for row in rows], abs=1e-6)
    assert table["valid_share"].tolist() == [0.0] * len(rows)


def test_examples_of_each_fault_are_kept():
    """At most three of a kind, each of the several samples of a window for itself."""
    answer = '<answer>{"holding_delta": 1.0}</answer>'
    samples = parse_samples(completions(*[["?", answer, f"<think></think>{answer}"]] * 6), TEST)
    examples = fault_examples(samples)
    assert examples["fault"].value_counts().to_dict() == {
        "no answer": 3, "not one think block followed by one answer block": 3
    }  # fmt: skip
    assert examples.groupby("fault")["completion"].first().tolist() == ["?", answer]
    assert examples.groupby("fault")["parsed"].first().tolist() == [False, True]
    assert summarize_samples(samples)["faults"].iloc[0] == "no answer; not one think block followed by one answer block"


def test_nothing_parsed_gives_empty_metrics_not_an_error():
    frame = join_predictions(TEST, {"sft": parsed_predictions(completions(*"??????"), TEST)})
    table = metrics_table(frame, SETTINGS)
    assert table[table["treatment"] == "answered_by_all"]["MAE"].isna().all()
    assert table[table["treatment"] == "answered_by_itself"]["n_windows"].tolist() == [0] * 4
    assert evaluation.trimmed_table(frame, SETTINGS, 95)["n_windows"].min() == 6


def test_rows_must_be_the_test_rows():
    with pytest.raises(InputError, match="not the test windows"):
        join_predictions(TEST, {"sft": prediction_table(["w0"], [10.0], [0.0])})
    with pytest.raises(InputError, match="same window_ids"):
        parsed_predictions([{"window_id": "w0", "completion": "", "finish_reason": "stop"}], TEST)


def test_trivial_quarters_are_flagged():
    quarterly = evaluation.quarterly_table(joined([1.0] * 6), EvaluationSettings(top_k=3))
    assert (quarterly["not_ranked"] == "at most k windows").all()
    assert quarterly["quarter"].tolist() == ["2019Q1", "2019Q2"] * 4


def test_size_deciles_by_hand():
    held = np.arange(1.0, 21.0)
    test = rows([8076] * 20, held, held / 10)
    frame = join_predictions(test, {"sft": prediction_table([r["window_id"] for r in test], held, np.zeros(20))})
    table = evaluation.size_table(frame, SETTINGS).query("target == 'change'").set_index("size_decile")
    assert table["n_windows"].tolist() == [2] * 10
    assert (table.loc[10, "holding_t_min_musd"], table.loc[10, "MAE"]) == (19.0, pytest.approx(1.95))
    assert table["relative_MAE"].tolist() == pytest.approx([0.1] * 10)


def test_periods_are_those_of_the_label():
    frame = joined([0.0] * 6)
    cut = evaluation.period_table(frame, SETTINGS, dt.date(2019, 6, 30)).query("target == 'change'")
    # t = 2019Q1 has its label at 2019Q2, which ends on the cut-off.
    assert cut.set_index("period")["n_windows"].to_dict() == {"label_before_cutoff": 3, "label_after_cutoff": 3}
    earlier = evaluation.period_table(frame, SETTINGS, dt.date(2019, 6, 29)).query("target == 'change'")
    assert earlier.set_index("period")["n_windows"].to_dict() == {"label_before_cutoff": 0, "label_after_cutoff": 6}
    assert evaluation.period_table(frame, SETTINGS, None).empty


def test_trimming_removes_the_largest_errors_only():
    frame = joined([1.0, 2.0, 3.0, 3.0, 2.0, 100.0])
    table = evaluation.trimmed_table(frame, SETTINGS, 90).set_index("target")
    assert table.loc["change", "n_windows_trimmed"] == 1
    assert table.loc["change", "MAE"] == 0.0
    assert table.loc["change", "RankIC"] == 1.0
    assert evaluation.trimmed_table(frame, SETTINGS, 100).set_index("target").loc["change", "RankIC"] < 1.0


METRIC_COLUMNS = ["MAE", "skill", "IC", "RankIC", "RankIC_t", "Recall@10%", "Precision@10%", "NDCG@10%", "accuracy",
                  "MCC", "calibration_slope", "parsed_share", "valid_share", "pooled_IC",
                  "n_quarters_ranked"]  # fmt: skip


def test_trimmed_and_period_tables_have_the_same_metrics():
    """With nothing trimmed, and with every label after the cut-off, they are those of the headline."""
    frame = join_predictions(TEST, {"sft": parsed_predictions(completions(*["?"] * 3, *WELL[3:]), TEST)})
    metrics = metrics_table(frame, SETTINGS).query("treatment == 'unparsed_as_no_change'").reset_index(drop=True)
    trimmed = evaluation.trimmed_table(frame, SETTINGS, 100)
    periods = evaluation.period_table(frame, SETTINGS, dt.date(2000, 1, 1)).query("period == 'label_after_cutoff'")
    for table in (trimmed, periods.reset_index(drop=True)):
        own = [name for name in metrics if name in table]
        assert set(METRIC_COLUMNS) < set(own)
        pd.testing.assert_frame_equal(table[own], metrics[own])
    cut = evaluation.period_table(frame, SETTINGS, dt.date(2019, 6, 30)).query("target == 'change'")
    assert cut.set_index("period")["parsed_share"].to_dict() == {"label_before_cutoff": 0, "label_after_cutoff": 1}


@pytest.mark.parametrize(
    ("module", "settings", "table"),
    [(trim_metrics, {"trim_percentile": 60}, lambda frame: evaluation.trimmed_table(frame, SETTINGS, 60)),
     (score_periods, {"knowledge_cutoff": "2019-06-30"},
      lambda frame: evaluation.period_table(frame, SETTINGS, dt.date(2019, 6, 30)))],
)  # fmt: skip
def test_parts_are_made_from_the_file_of_forecasts_alone(tmp_path, module, settings, table):
    """There is nothing else in the folder."""
    frame = joined([0.1, 0.2, None, 0.3, 1 / 3, -1.0])
    forecasts, out = tmp_path / "forecasts.csv", tmp_path / "x.csv"
    write_csv(forecasts, evaluation.with_units(frame))
    made = module.Settings(metrics=SETTINGS, **settings)
    module.main(Namespace(forecasts=forecasts, firm_type="banks", settings=made, out=out))
    expected = table(frame)
    expected.insert(0, "firm_type", "banks")
    write_csv(tmp_path / "expected.csv", expected)
    assert out.read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_a_forecaster_on_its_own_windows_is_marked_as_not_comparable():
    """Silent where it would err, it looks perfect; the same stage counts as no change there in the headline."""
    silent = ["?", *WELL[1:]]
    predictions = {
        "sft": parsed_predictions(completions(*silent), TEST),
        "grpo": parsed_predictions(completions(*WELL[:5], "?"), TEST),
    }
    table = metrics_table(join_predictions(TEST, predictions), SETTINGS).query("target == 'change'")
    table = table.set_index(["treatment", "forecaster"])
    assert table.loc["answered_by_itself", "n_windows"].tolist() == [5, 5]
    assert table.loc["answered_by_itself", "n_windows_set_aside"].tolist() == [1, 1]
    assert table.loc["answered_by_all", "n_windows"].tolist() == [4, 4]
    assert table.loc["answered_by_itself", "MAE"].tolist() == [0.0, 0.0]
    assert (table.loc["unparsed_as_no_change", "MAE"] > 0).all()
    assert table.groupby("treatment")["comparable"].first().to_dict() == {
        "unparsed_as_no_change": True, "answered_by_all": True, "answered_by_itself": False
    }  # fmt: skip


def test_the_default_ranks_every_quarter_of_the_published_recipe():
    """1,000 windows over 27 quarters: with k = 50 not one of them could be ranked."""
    generator = np.random.default_rng(0)
    test = rows(8076 + np.arange(1000) % 27, [10.0] * 1000, generator.normal(size=1000).round(3))
    frame = joined(generator.normal(size=1000).round(3), test=test)
    row = headline(frame)
    assert (row["n_quarters_ranked"], row["n_quarters"], row["not_ranked"]) == (27, 27, "")
    assert np.isfinite(row[["Recall@10%", "Precision@10%", "NDCG@10%"]].astype(float)).all()
    assert row["Recall@10%_by_chance"] == pytest.approx(0.108, abs=0.001), "4 of 37 or 38 windows"
    fifty = metrics_table(frame, EvaluationSettings(top_k=50)).iloc[1]
    assert np.isnan(fifty["Recall@50"])
    assert fifty["not_ranked"] == "at most k windows: 27"


def test_tables_keep_the_order_of_the_forecasters():
    frame = pd.concat([joined([0.0] * 6, "no_change"), joined([1.0] * 6, "base")], ignore_index=True)
    for table in (evaluation.quarterly_table(frame, SETTINGS), metrics_table(frame, SETTINGS)):
        assert table["forecaster"].unique().tolist() == ["no_change", "base"]


def test_written_forecasts_are_read_back(tmp_path):
    frame = joined([0.1, 0.2, None, 0.3, 1 / 3, -1.0])
    evaluation.with_units(frame).to_csv(tmp_path / "forecasts.csv", index=False)
    assert "predicted_delta_musd" in (tmp_path / "forecasts.csv").read_text()
    pd.testing.assert_frame_equal(evaluation.read_forecasts(tmp_path / "forecasts.csv"), frame, check_dtype=False)


def test_stages_that_answered_in_different_ways_are_not_compared():
    made = {"prompts": "a", "backend": "transformers", "model": "m", "adapter": None}
    check_conditions({"base": made, "sft": made | {"adapter": "x"}, "grpo": made | {"model": "n"}})
    with pytest.raises(InputError, match=r"sft and base differ in prompts, backend"):
        check_conditions({"base": made, "sft": made | {"prompts": "b", "backend": "vllm"}})
    check_conditions({})


def test_an_adapter_of_ones_own_may_sit_on_another_base_model_and_that_is_told():
    """A stage on another base model is refused; one's own adapter is a forecaster whose pairs say what they compare."""
    made = {"prompts": "a", "engine": {"torch_dtype": "float32", "model_type": "qwen2"}, "base_model": "m"}
    made |= {"model": "m", "adapter": None}
    mine = made | {"base_model": "n", "model": "n", "adapter": "x"}
    mine["engine"] = {"torch_dtype": "float32", "model_type": "llama"}
    with pytest.raises(InputError, match="sft and base differ in engine, base_model"):
        check_conditions({"base": made, "sft": mine})
    # Whatever stands first, a stage is what the others are held against.
    check_conditions({"mine": mine, "base": made}, own=["mine"])
    for changes, word in (({"prompts": "b"}, "prompts"), ({"engine": {"torch_dtype": "bfloat16"}}, "precision")):
        with pytest.raises(InputError, match=f"mine and base differ in {word};"):
            check_conditions({"base": made, "mine": mine | changes}, own=["mine"])
    known = origins(
        ["no_change", "base", "mine", "csv"],
        {"base": made, "mine": mine},
        {"mine": "folder", "csv": "file.csv"},
        {"base": "qwen", "mine": "llama"},
    )
    assert known["kind"].tolist() == ["baseline", "stage", "adapter", "forecasts"]
    pairs = pd.DataFrame({"baseline": ["base", "base", "no_change"], "candidate": ["mine", "base", "mine"]})
    assert with_base_models(pairs, known)["same_base_model"].tolist() == ["no", "yes", ""]
