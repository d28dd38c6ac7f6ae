"""The sentences of the first screen say what the rows of the primary comparisons say, and no more."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.holdings.report import summary
from workflow_scripts.holdings.report.answer_figure import answer_table, plot_answer
from workflow_scripts.holdings.report.answers import NO_QUESTION, answers, caution, question

ERROR, RANKING = "capped_relative_MAE", "relative_RankIC"


def comparison(firm_type: str, verdict: str, difference: float, half: float, **changes) -> dict:
    """A primary comparison of GRPO with ridge, whose error is .5, by the relative error."""
    row = {
        "firm_type": firm_type, "candidate": "grpo", "baseline": "ridge", "target": "active_change", "metric": ERROR,
        "baseline_value": 0.5, "difference": difference, "interval_low": difference - half,
        "interval_high": difference + half, "standard_error": half / 2, "p_value": 0.5, "detectable": 0.05,
        "verdict": verdict, "family": "primary", "few_quarters": False, "few_managers": False, "same_base_model": "",
    }  # fmt: skip
    return row | changes


def said(*rows: dict) -> list[str]:
    return [answer.text.replace("\N{MINUS SIGN}", "-") for answer in answers(pd.DataFrame(rows))]


def test_better_worse_and_not_shown_are_told_with_their_sizes():
    """By hand: -.03 of .5 is -6 %, [-.045, -.015] is [-9, -3]; .05 of .5 could have been found."""
    rows = (
        comparison("banks", "better", -0.03, 0.015),
        comparison("mutual_funds", "worse", 0.1, 0.05),
        comparison("other", "not shown", 0.005, 0.02, detectable=0.05),
        comparison("insurance_companies", "not shown", -0.01, 0.1, detectable=0.2),
    )
    assert said(*rows) == [
        "GRPO has a smaller error than the baseline that was best before the test quarters in 1 of 4 firm types: banks "
        "against ridge (error -6 % [-9, -3]). It is worse in 1 of 4 firm types: mutual funds against ridge (error "
        "+20 % [+10, +30]). Neither is shown in 2 of 4 firm types: other against ridge (error +1 % [-3, +5]; "
        "10 % could have been found) and insurance companies against ridge (error -2 % [-22, +18]; 40 % could have "
        "been found). A difference of 5 % could not have been found in any of these."
    ]
    tones = [answer.tone for answer in answers(pd.DataFrame(rows))]
    assert tones == ["open"], "neither good nor bad where types differ"
    assert [one.tone for one in answers(pd.DataFrame(rows[:1]))] == ["good"]
    assert [one.tone for one in answers(pd.DataFrame(rows[1:3]))] == ["bad"]


def test_a_sample_that_could_have_found_five_per_cent_is_not_excused():
    text = said(comparison("banks", "not shown", 0.0, 0.01, detectable=0.02))[0]
    assert "4 % could have been found" in text
    assert "could not have been found" not in text


def test_the_same_forecasts_are_no_absence_of_evidence():
    """A model that repeats its start has a difference of 0 without any spread: nothing could be smaller than found."""
    alike = comparison("banks", "not shown", 0.0, 0.0, baseline="sft", detectable=0.0)
    assert said(alike) == ["GRPO makes exactly the same errors as SFT: banks."]
    text = said(alike, comparison("other", "better", -0.05, 0.01, baseline="sft"))[0]
    assert text.startswith("GRPO has a smaller error than SFT in 1 of 2 firm types: other (error -10 % [-12, -8]).")
    assert text.endswith("Both make exactly the same errors for banks.")


def test_rankings_are_told_as_correlations_and_what_has_no_test_says_so():
    nothing = dict.fromkeys(("difference", "interval_low", "interval_high", "detectable", "p_value"), np.nan)
    tested = comparison("banks", "better", 0.04, 0.01, metric=RANKING)
    undefined = comparison("other", "undefined", np.nan, np.nan, metric=RANKING) | nothing
    assert said(tested, undefined) == [
        "GRPO has a better ranking than the baseline that was best before the test quarters in 1 of 2 firm types: "
        "banks against ridge (RankIC +0.040 [+0.030, +0.050]). There is no test for other: forecasts that are alike "
        "within a quarter rank nothing."
    ]
    assert said(undefined)[0].startswith("Whether GRPO has a better ranking than the baseline")


def test_every_rival_and_metric_has_its_sentence_in_the_order_of_the_question():
    rows = [
        comparison("banks", "not shown", 0.0, 0.1, baseline=rival, metric=metric)
        for rival in ("sft", "no_change", "ridge")
        for metric in (RANKING, ERROR)
    ]
    texts = said(*rows)
    rivals = ("the baseline", "no change", "SFT")
    starts = [f"{gain} than {rival}" for gain in ("a smaller error", "a better ranking") for rival in rivals]
    assert [
        text.removeprefix("GRPO has ").startswith(start) for text, start in zip(texts, starts, strict=True)
    ] == 6 * [True]
    asked = question(pd.DataFrame(rows))
    assert "does GRPO forecast" in asked
    assert asked.endswith("the baseline that was best before the test quarters, no change and the stage before it?")


def test_a_perfect_rival_has_no_share():
    assert (
        "in the one firm type: banks (the other makes no error)"
        in said(comparison("banks", "worse", 0.1, 0.01, baseline_value=0.0))[0]
    )


def test_the_secondary_comparisons_say_nothing_here():
    rows = comparison("banks", "better", -0.03, 0.015, family="secondary")
    assert said(rows) == [NO_QUESTION]
    assert question(pd.DataFrame([rows])) == ""
    assert caution(pd.DataFrame([rows]), 0.95) == []


def test_few_managers_and_other_base_models_are_told():
    rows = [
        comparison("banks", "better", -0.03, 0.015, few_managers=True),
        comparison("other", "better", -0.03, 0.015, same_base_model="no"),
    ]
    first, few, models = caution(pd.DataFrame(rows), 0.95)
    assert "Intervals hold 95 % each" in first
    assert "for all 2 tests" in first
    assert few == "Fewer than 10 managers are behind the sentences on banks: do not trust their intervals."
    assert "different base models" in models


def test_the_sentences_rest_on_the_corrected_verdicts():
    """.03 is significant alone, and not among two tests: Holm's 2 * .03 is above .05."""
    rows = [comparison("banks", "", -0.03, 0.015, p_value=0.03, degrees_of_freedom=20),
            comparison("other", "", -0.03, 0.015, p_value=0.04, degrees_of_freedom=20)]  # fmt: skip
    corrected = summary.correct_comparisons(pd.DataFrame(rows).drop(columns=["verdict", "detectable"]), 0.95)
    assert "in none of 2 firm types" in answers(corrected)[0].text


@pytest.fixture
def skill() -> pd.DataFrame:
    names = ("no_change", "ridge", "boosted_trees", "grpo", "oracle")
    rows = [
        {"firm_type": firm_type, "forecaster": name, "target": target, "metric": ERROR, "skill": 0.1,
         "interval_low": -3.0, "interval_high": 0.2}
        for firm_type in ("banks", "other") for name in names for target in ("active_change", "change")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_figure_shows_the_best_baseline_of_each_type_and_the_models(skill, tmp_path):
    primary = [comparison("banks", "better", -0.03, 0.015),
               comparison("other", "better", -0.03, 0.015, baseline="boosted_trees")]  # fmt: skip
    shown = answer_table(skill, pd.DataFrame(primary))
    assert list(zip(shown["firm_type"], shown["forecaster"], strict=True)) == [
        ("banks", "ridge"), ("banks", "grpo"), ("other", "boosted_trees"), ("other", "grpo"),
    ]  # fmt: skip
    plot_answer(shown, tmp_path / "answer")
    first = (tmp_path / "answer.png").read_bytes()
    plot_answer(shown, tmp_path / "answer")
    assert (tmp_path / "answer.png").read_bytes() == first
    assert pd.read_csv(tmp_path / "answer.csv")["interval_low"].tolist() == [-3.0] * 4, "what is cut is in the file"


def test_without_a_question_the_figure_shows_all(skill, tmp_path):
    primary = pd.DataFrame([comparison("banks", "better", -0.03, 0.015, family="secondary")])
    assert set(answer_table(skill, primary)["forecaster"]) == {"ridge", "boosted_trees", "grpo"}
    plot_answer(skill.iloc[:0], tmp_path / "answer")
