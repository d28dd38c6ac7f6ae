"""Each statistic of the probes is its reference for a model that remembers nothing, and leaves it for one that does."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.evaluation import probes
from workflow_scripts.holdings.evaluation.probes import (
    NOT_ANSWERED,
    NOT_JUDGED,
    STATISTICS,
    Asked,
    StageAnswers,
    identity_found,
    line_found,
    named_stock,
    probe_table,
    rank_of_truth,
    recall_found,
    reidentification_found,
    remembering,
    scale_found,
    stage_found,
)
from workflow_scripts.holdings.report.dictionary import data_dictionary
from workflow_scripts.holdings.report.probes_page import probes_page, verdict
from workflow_scripts.holdings.texts.probe_answers import AnswerStyle, answer_rows
from workflow_scripts.holdings.texts.probe_prompts import ProbeSettings, probe_rows
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.windows.labels import label_arrays

N = 240


@pytest.fixture
def facts() -> pd.DataFrame:
    """Windows of 12 quarters and 10 managers, with positions of all sizes."""
    rng = np.random.default_rng(11)
    held = np.exp(rng.normal(2, 1.5, N))
    truth = held * rng.normal(0, 0.2, N)
    return pd.DataFrame(
        {
            "quarter": 8076 + np.arange(N) % 12,
            "mgrno": rng.integers(10, size=N),
            "holding_t": held,
            "label_tp1": held + truth,
            "truth": truth,
            "me": np.exp(rng.normal(8, 2, N)),
        },
        index=[f"w{i}" for i in range(N)],
    )


def series(facts: pd.DataFrame, values) -> pd.Series:
    """By window, in another order than that of the facts: joins are by the window, never by the place."""
    return pd.Series(np.asarray(values), facts.index).iloc[::-1]


def test_the_rank_of_the_truth_counts_equal_answers_by_half():
    assert rank_of_truth(np.array([-1.0, -2.0, -3.0]), 0) == 1
    assert rank_of_truth(np.array([-1.0, -2.0, -3.0]), 2) == 0
    assert rank_of_truth(np.array([-1.0, -1.0, -1.0]), 1) == 0.5


def test_a_forecast_that_follows_the_dollars_has_elasticity_one_and_amounts_have_none(facts):
    rng = np.random.default_rng(1)
    factor = series(facts, np.exp(rng.uniform(-2, 2, N)))
    before = facts["truth"]
    follows = scale_found(before, factor * before, factor, facts)
    assert follows["elasticity"].estimate.value == pytest.approx(1)
    assert follows["shift"].estimate.value == pytest.approx(0, abs=1e-12)
    stays = scale_found(before, series(facts, before), factor, facts)
    assert stays["elasticity"].estimate.value == pytest.approx(0)
    lower, upper = stays["elasticity"].estimate.interval(0.95)
    assert lower <= upper < 0.1
    expected = np.minimum(np.abs((1 / factor[facts.index] - 1) * facts["truth"] / facts["holding_t"]), 1).mean()
    assert stays["shift"].estimate.value == pytest.approx(expected)


def test_forecasts_that_change_their_sign_or_are_none_have_no_elasticity_and_are_counted(facts):
    factor, before = series(facts, np.full(N, 2.0)), facts["truth"].copy()
    after = 2 * before
    after.iloc[:10] *= -1
    after.iloc[10:15] = np.nan
    after.iloc[15:20] = 0
    found = scale_found(before, after, factor, facts)["elasticity"]
    assert (found.n_windows, found.n_answered) == (N - 20, N - 5)
    assert found.estimate.value == pytest.approx(1)


def test_recall_is_what_an_answer_has_more_in_common_with_its_own_window(facts):
    rng = np.random.default_rng(2)
    remembered = series(facts, facts["label_tp1"] * rng.uniform(0.93, 1.07, N))
    found = recall_found(remembered, 0.1, facts)
    assert found["close_share"].estimate.value > 0.85
    assert found["RankIC"].estimate.value > 0.99
    # By hand: the answer of each window against the truths of the other windows of its quarter.
    expected = []
    for window, row in facts.iterrows():
        others = facts[(facts["quarter"] == row["quarter"]) & (facts.index != window)]["label_tp1"]
        close = np.abs(remembered[window] - others) <= 0.1 * others
        expected.append((abs(remembered[window] - row["label_tp1"]) <= 0.1 * row["label_tp1"]) - close.mean())
    assert found["close_share"].estimate.value == pytest.approx(np.mean(expected))


def test_answers_that_fit_everyone_or_nobody_are_no_recall(facts):
    """The same answer everywhere, or the quarter's positions shuffled: close to some truths, never more to the own."""
    constant = recall_found(series(facts, np.full(N, facts["label_tp1"].median())), 0.5, facts)["close_share"]
    assert constant.estimate.value == pytest.approx(0, abs=1e-12)
    rng = np.random.default_rng(5)
    shuffled = facts.groupby("quarter")["label_tp1"].transform(lambda values: rng.permutation(values))
    found = recall_found(series(facts, shuffled), 0.1, facts)["close_share"]
    assert found.estimate.p_value() > 0.05


def test_exits_are_no_positions_and_silence_is_no_absence_of_memory(facts):
    facts.loc["w3", "label_tp1"] = 0.0
    silent = recall_found(series(facts, np.full(N, np.nan)), 0.1, facts)
    assert [(one.n_windows, one.n_answered) for one in silent.values()] == [(N - 1, 0), (0, 0)]
    table = probe_table({"base": {("recall", name): one for name, one in silent.items()}}, 0.95)
    assert table["finding"].tolist() == [NOT_ANSWERED, NOT_JUDGED]
    half = series(facts, facts["label_tp1"].where(np.arange(N) % 2 == 0))
    assert recall_found(half, 0.01, facts)["close_share"].estimate.value == pytest.approx(0.5, abs=0.03)


def test_naming_the_most_frequent_stock_is_no_reidentification(facts):
    stock = pd.Series(np.where(np.arange(N) % 3 == 0, "AAPL", [f"S{i % 40}" for i in range(N)]), facts.index)
    most = reidentification_found(series(facts, np.full(N, "AAPL")), stock, facts)["right_share"]
    assert most.estimate.value == pytest.approx(0, abs=1e-12)
    right = reidentification_found(series(facts, stock), stock, facts)["right_share"]
    assert right.estimate.value > 0.5
    assert reidentification_found(series(facts, np.full(N, "")), stock, facts)["right_share"].n_answered == 0


@pytest.mark.parametrize(
    ("text", "stock"),
    [
        ('<answer>{"stock": "msft"}</answer>', "MSFT"),
        ('<think>x</think>{"stock": 10107}', "10107"),
        ('{"stock": "permno 10107"}', "10107"),
        ("It is Microsoft.", ""),
        (None, ""),
    ],
)
def test_a_named_stock_is_read(text, stock):
    assert named_stock(text) == stock


def test_the_difference_by_identity_is_paired_by_size_and_by_cutoff(facts):
    """Better by .1 of the position where the stock is large and named; the cut-off is that of t+1's last day."""
    large = facts["me"] > facts["me"].quantile(2 / 3)
    hidden = series(facts, facts["truth"] + 0.3 * facts["holding_t"])
    named = series(facts, facts["truth"] + np.where(large, 0.2, 0.3) * facts["holding_t"])
    found = identity_found(named, hidden, facts, dt.date(2019, 9, 30))
    values = {name: one.estimate.value for name, one in found.items()}
    assert values["error_difference_large"] == pytest.approx(-0.1)
    assert values["error_difference_small"] == values["error_difference_middle"] == pytest.approx(0, abs=1e-12)
    assert values["error_difference"] == pytest.approx(-0.1 * large.mean())
    # Quarters t from 2019Q1 on: labels of 2019Q2 and 2019Q3 end by the cut-off.
    assert found["error_difference_before_cutoff"].n_windows == (facts["quarter"] <= 8077).sum()
    assert found["error_difference_after_cutoff"].n_windows == (facts["quarter"] > 8077).sum()
    assert set(identity_found(named, hidden, facts, None)) == set(list(found)[:4])


def test_a_line_is_that_of_least_squares_and_is_jackknifed_by_cluster(facts, monkeypatch):
    rng = np.random.default_rng(3)
    x = pd.Series(rng.uniform(size=N), facts.index)
    y = 0.4 - 0.3 * x + rng.normal(0, 0.1, N)
    y.iloc[5] = np.nan
    seen = []
    monkeypatch.setattr(probes, "estimate", lambda value, without: seen.append((value, without)))
    line_found(x, y, facts, 0.5)
    kept = y.notna().to_numpy()
    a, b, quarter = x[kept].to_numpy() - 0.5, y[kept].to_numpy(), facts["quarter"][kept].to_numpy()
    for (value, without), coefficient in zip(seen, (0, 1), strict=True):
        assert value == pytest.approx(np.polyfit(a, b, 1)[coefficient])
        expected = [np.polyfit(a[quarter != q], b[quarter != q], 1)[coefficient] for q in np.unique(quarter)]
        np.testing.assert_allclose(without["quarter"], expected)


def windows():
    rng = np.random.default_rng(3)
    rows = [row for stock in range(24) for row in make_run(7 + stock % 6, 10100 + stock, list(rng.uniform(10, 30, 10)))]
    sample = sample_of(make_panel(rows))
    return sample.filter(pc.is_finite(sample["holding_t1"]))


def answered(sample, remembers: bool) -> tuple[list[dict], list[dict], StageAnswers, pd.DataFrame]:
    """A model that gives every true number whatever it is asked, or one that forecasts half of the last change, and is
    off by 9 more where the stock is hidden."""
    rng = np.random.default_rng(8)
    questions = probe_rows(sample, np.exp(rng.uniform(-2, 2, sample.num_rows)), PromptSettings(think=False))
    prompts = build_prompts(sample, PromptSettings(think=False))
    ranked = answer_rows(sample, prompts, AnswerStyle("holding_delta", 3, None), ProbeSettings(), rng)
    known = label_arrays(sample)
    facts = pd.DataFrame(
        known | {name: sample[name].to_numpy() for name in ("quarter", "mgrno")}
        | {"truth": known["label_delta"], "me": rng.uniform(size=sample.num_rows)},
        index=sample["window_id"].to_pylist(),
    )  # fmt: skip
    last = pd.Series(sample["holding_t"].to_numpy() - sample["holding_t_lag1"].to_numpy(), facts.index)
    forecast = facts["truth"] if remembers else 0.5 * last

    def text(row):
        window, probe = row["window"], row["probe"]
        if probe == "recall":
            number = facts["label_tp1"][window] if remembers else 20.0
            return f'<answer>{{"holding_tp1": {number:.3f}}}</answer>'
        if probe == "reidentification":
            return f'<answer>{{"stock": "{row["stock"] if remembers else 10100}"}}</answer>'
        times = 1.0 if remembers else row["factor"]
        off = 9.0 * (probe == "identity" and not remembers)
        return f'<answer>{{"holding_delta": {times * forecast[window] + off:.6f}}}</answer>'

    completions = [
        {"window_id": row["window_id"], "sample": 0, "completion": text(row), "finish_reason": "stop"}
        for row in questions
    ]
    log_probabilities = []
    for row in ranked:
        values = rng.normal(size=len(row["answers"]))
        values[row["true_place"]] += 9 * remembers
        log_probabilities.append({"window_id": row["window_id"], "log_probabilities": values.tolist()})
    answers = StageAnswers(forecast.iloc[::-1], completions[::-1], log_probabilities[::-1])
    return questions, ranked, answers, facts


def test_a_model_that_remembers_is_caught_by_every_probe_and_an_honest_one_by_none():
    """From the files as they are to the page, in whatever order the answers stand there."""
    sample, asked = windows(), Asked("holding_delta", False, 0.1, None)
    found = {name: stage_found(*answered(sample, name == "sft"), asked) for name in ("base", "sft")}
    table = probe_table(found, 0.95)
    said = {
        stage: {one.name: rows.set_index(["probe", "statistic"])["finding"].get((one.probe, one.name)) == one.same
                for one in STATISTICS if one.name in ("elasticity", "close_share", "right_share", "RankIC")}
        | {"digits": rows["finding"].iloc[0] == STATISTICS[0].same}
        for stage, rows in table.groupby("stage")
    }  # fmt: skip
    # The honest model's recalled position is always the same: it ranks nothing.
    assert {name for name, same in said["base"].items() if not same} == {"RankIC"}
    assert not any(said["sft"].values())
    named = table[table["statistic"] == "error_difference"].set_index("stage")["estimate"]
    assert named["base"] < -0.05, "the error with the name, less that without"
    assert named["sft"] == pytest.approx(0, abs=1e-6)
    assert remembering(table) == ["sft"]
    table.insert(0, "firm_type", "banks")
    page = probes_page("a run", "permno", [table])
    assert "banks, SFT: memory of the test windows is shown (rank of the true last digits 1.000" in page
    assert "banks, base: no memory of the test windows is shown (rank of the true last digits 0." in page
    assert page.count("it REMEMBERS") == 4, "twice among the verdicts, twice in the table"
    assert len(data_dictionary({"probes": table.columns})) == len(table.columns)


def test_several_samples_of_a_prompt_count_by_their_median():
    questions, ranked, answers, facts = answered(windows(), remembers=False)
    asked = Asked("holding_delta", False, 0.1, None)
    before = stage_found(questions, ranked, answers, facts, asked)
    wild = [
        {**row, "sample": k, "completion": f'<answer>{{"holding_{name}": {number}}}</answer>'}
        for row in answers.completions
        for name in ["tp1" if row["window_id"].endswith("recall") else "delta"]
        for k, number in ((1, "1000000"), (2, "0"))
        if not row["window_id"].endswith("reidentification")
    ]
    answers = replace(answers, completions=[*answers.completions, *wild])
    after = stage_found(questions, ranked, answers, facts, asked)
    recalled = [key for key in before if key[0] == "recall"]
    assert {key: after[key] for key in recalled} == {key: before[key] for key in recalled}
    assert after["scale", "elasticity"].n_answered == before["scale", "elasticity"].n_answered


def test_what_cannot_be_judged_is_said_and_not_acquitted(facts):
    """One quarter, or decimals too coarse for any digits."""
    one = facts[facts["quarter"] == 8076]
    ranks = {name: pd.Series(1.0, one.index) for name in ("digits", "others")}
    found = probes.ranks_found(ranks, one["truth"], one)
    table = probe_table({"sft": {("digits", name): value for name, value in found["digits"].items()}}, 0.95)
    assert table["finding"].iloc[0] == NOT_JUDGED
    assert "cannot be judged" in verdict(table)
    none = {name: pd.Series(dtype=float) for name in ranks}
    found = probes.ranks_found(none, facts["truth"], facts)
    table = probe_table({"sft": {("digits", name): value for name, value in found["digits"].items()}}, 0.95)
    assert table["finding"].tolist() == [NOT_JUDGED] * 3
    assert "cannot be judged" in verdict(table)


def test_what_skill_or_rounding_adds_is_no_finding(facts):
    """Without any doubt .515, and an elasticity of .97: a model of great skill, and prompts of few decimals."""
    for key, value, said in (
        (("digits", "rank"), 0.515, 1), (("digits", "rank"), 0.53, 2),
        (("scale", "elasticity"), 0.97, 1), (("scale", "elasticity"), 0.9, 0),
    ):  # fmt: skip
        one = probes.BY_NAME[key]
        found = probes.mean_found(pd.Series(value, facts.index), facts)
        table = probe_table({"sft": {key: found}}, 0.95)
        assert table["p_holm"].item() < 1e-9
        assert table["finding"].item() == (one.below, one.same, one.above)[said], value


def test_what_shows_memory_is_corrected_for_itself(facts):
    """Two tests of memory among five: each counts twice, and not five times."""
    rng = np.random.default_rng(6)
    found = {("digits", "rank"): probes.mean_found(pd.Series(rng.uniform(0.02, 1.02, N), facts.index), facts)}
    found |= {("recall", "close_share"): probes.mean_found(pd.Series(rng.normal(0.1, 1, N), facts.index), facts)}
    for name in ("error_difference", "error_difference_small", "error_difference_large"):
        found["identity", name] = probes.mean_found(pd.Series(rng.normal(0.1, 1, N), facts.index), facts)
    table = probe_table({"sft": found}, 0.95).set_index("statistic")
    first = table.loc[["rank", "close_share"], "p_value"].idxmin()
    assert table.loc[first, "p_holm"] == pytest.approx(min(2 * table.loc[first, "p_value"], 1))
    smallest = table.iloc[2:]["p_value"].idxmin()
    assert table.loc[smallest, "p_holm"] == pytest.approx(min(3 * table.loc[smallest, "p_value"], 1))
