"""What the summary says after the correction, over seeds, and that every column of every table is described."""

import copy

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from workflow_scripts.holdings.evaluation.conditions import ORIGIN_COLUMNS, origins
from workflow_scripts.holdings.panel.contract import PANEL_COLUMNS
from workflow_scripts.holdings.report import summary
from workflow_scripts.holdings.report.dictionary import COLUMNS, column_of_data, data_dictionary
from workflow_scripts.plumbing.errors import InputError


def comparisons(*rows) -> pd.DataFrame:
    names = ("firm_type", "baseline", "candidate", "target", "metric", "difference", "p_value", "family")
    table = pd.DataFrame(rows, columns=names)
    other = np.where(table["firm_type"] == "other", "no", "")
    table = table.assign(few_quarters=False, few_managers=table["firm_type"] == "other", same_base_model=other)
    return table.assign(standard_error=0.1, degrees_of_freedom=26)


def test_nothing_is_called_better_that_the_correction_does_not_carry():
    """By hand, two families: three primary tests of four, one secondary test that pays for itself alone."""
    headline = ("active_change", "capped_relative_MAE")
    table = summary.correct_comparisons(
        comparisons(
            ("banks", "no_change", "grpo", *headline, -1.0, 0.01, "primary"),
            ("other", "no_change", "grpo", *headline, -1.0, 0.03, "primary"),
            ("banks", "sft", "grpo", "active_change", "relative_RankIC", -0.1, 0.001, "primary"),
            ("other", "sft", "grpo", "active_change", "relative_RankIC", np.nan, np.nan, "primary"),
            ("banks", "sft", "base", "change", "MAE", 1.0, 0.03, "secondary"),
        ),
        0.95,
    )
    assert table["p_holm"].tolist()[:3] == pytest.approx([0.02, 0.03, 0.003])
    assert table["p_holm"][4] == 0.03, "the other family does not count"
    assert table["verdict"].tolist() == ["better", "better", "worse", "undefined", "worse"]
    quantiles = scipy.stats.t.ppf([1 - 0.05 / 6, 0.8], 26)
    assert table["detectable"][0] == pytest.approx(0.1 * quantiles.sum()), "5 % over three tests"
    assert table["detectable"][4] == pytest.approx(0.1 * scipy.stats.t.ppf([0.975, 0.8], 26).sum())
    stricter = summary.correct_comparisons(table.drop(columns=["p_holm", "verdict"]), 0.975)
    assert stricter["verdict"].tolist() == ["better", "not shown", "worse", "undefined", "not shown"]
    assert summary.verdict_table(stricter).to_dict("records") == [
        {
            "target": "active_change",
            "candidate": "grpo",
            "baseline": "no_change",
            "banks": "better",
            "other": "not shown * \N{DAGGER}",
        }
    ]
    shown = stricter.assign(**dict.fromkeys({*summary.PRIMARY_COLUMNS} - {*stricter}, 0.0))
    primary = summary.primary_table(shown)
    assert primary["firm_type"].tolist() == ["banks", "banks", "other", "other"]
    assert primary["verdict"].tolist() == [
        "better", "worse", "not shown * \N{DAGGER}", "undefined * \N{DAGGER}",
    ]  # fmt: skip


def metrics(value: float) -> pd.DataFrame:
    keys = {"firm_type": "banks", "forecaster": "grpo", "target": "change"}
    rows = [{**keys, "treatment": treatment, **dict.fromkeys(summary.SEED_METRICS, number)}
            for treatment, number in (("unparsed_as_no_change", value), ("answered_by_all", 99.0))]  # fmt: skip
    return pd.DataFrame(rows)


def test_mean_and_spread_over_seeds():
    table = summary.over_seeds({7: metrics(1.0), 8: metrics(2.0), 9: metrics(6.0)}).set_index("metric")
    assert table.loc["MAE", "by_seed"] == "7: 1; 8: 2; 9: 6"
    assert table.loc["MAE", ["n_seeds", "mean"]].tolist() == [3, 3.0]
    assert table.loc["MAE", "sd"] == pytest.approx(np.sqrt(7))
    assert np.isnan(summary.over_seeds({7: metrics(1.0)})["sd"]).all()


def test_only_runs_that_differ_in_the_seed_are_averaged():
    one = {"run": "a", "seed": 1, "sft": {"lora_rank": 8}, "evaluation": {"top_k": 5, "seed_runs": ["b"]}}
    two = copy.deepcopy(one) | {"run": "b", "seed": 2}
    two["evaluation"]["seed_runs"] = []
    summary.check_seed_runs({"a": one, "b": two})
    with pytest.raises(InputError, match="b differs from a in sft"):
        summary.check_seed_runs({"a": one, "b": two | {"sft": {"lora_rank": 4}}})
    with pytest.raises(InputError, match="seeds 1, 1 are not all different"):
        summary.check_seed_runs({"a": one, "b": two | {"seed": 1}})


NO_ONE = pd.DataFrame(columns=["firm_type", *ORIGIN_COLUMNS])


def test_what_is_not_this_runs_own_is_told_first_of_all():
    """Nobody can see what a foreign forecaster was trained on, and another base model is another comparison."""
    models = {"sft": "a", "mine": "a", "other": "b"}
    found = origins(
        ["ridge", *models, "csv"],
        {name: {"base_model": model, "adapter": "x"} for name, model in models.items()},
        {"mine": "m", "other": "o", "csv": "c.csv"},
        {"sft": "qwen", "mine": "qwen", "other": "llama"},
    )
    table = pd.DataFrame(columns=["firm_type", "forecaster", "target", "treatment", "n_windows",
                                  *summary.RANKED, *summary.HEADLINE_COLUMNS])  # fmt: skip
    warnings = summary.run_warnings([], [], table, found.assign(firm_type="banks"))
    assert [warning.split(";")[0] for warning in warnings] == [
        "mine, other, csv: made outside this run",
        "banks other: its base model (llama) is not that of the stages",
    ]


def test_a_collapsed_model_is_warned_of():
    table = pd.DataFrame(
        [{"firm_type": "banks", "forecaster": "grpo", "target": "change", "treatment": "unparsed_as_no_change",
          "n_windows": 5, "n_quarters_ranked": 25, "not_ranked": "constant forecast: 2",
          **dict.fromkeys(summary.HEADLINE_COLUMNS, 0.94), "n_quarters": 27}]
    )  # fmt: skip
    panel = {"firm_type": "banks", "column_types": dict.fromkeys(PANEL_COLUMNS, "double")}
    panel["warnings"] = {"days_per_quarter": {"count": 2, "examples": ["2015Q1", "2015Q2"]}}
    warnings = summary.run_warnings(
        [panel], [{"firm_type": "banks", "stage": "sft", "warnings": ["sick"]}], table, NO_ONE
    )
    assert [warning.split(" and are")[0].split(";")[0] for warning in warnings] == [
        "panel: banks: 2 quarters stamped with more than one day (2015Q1)",
        "banks sft: sick",
        "banks grpo: only 94.0% of the completions could be parsed",
        "banks grpo: 2 of 27 quarters are left out of Recall, Precision and NDCG (constant forecast: 2)",
        "banks grpo: 94% of the forecasts are no change (dead band)",
    ]


def test_the_dictionary_describes_columns_and_refuses_unknown_ones():
    table = data_dictionary({"evaluation/metrics.csv": ["forecaster", "MAE"]})
    assert table["meaning"].tolist() == [COLUMNS["forecaster"][1], "mean absolute error"]
    with pytest.raises(InputError, match=r"'Sharpe' is not in holdings/report/dictionary\.py"):
        data_dictionary({"evaluation/metrics.csv": ["Sharpe"]})


@pytest.mark.parametrize(
    ("column", "described"),
    [
        ("holding_t", ("$ million", "position at the end of the row's quarter; of a window, at the end of t")),
        ("holding_t_lag0", ("$ million", "holding_t at t")),
        ("beta_lag3", ("", "beta at t-3")),
        ("split_ratio_lag1", ("", "split_ratio of the quarter that begins at t-1")),
        ("eval_loss", ("", "of the validation, in ms-swift's words: loss")),
        ("vllm_delta", ("$ million", "forecast of the target's change that is read from it")),
        ("rewards/mse_holdings/std", ("", "the reward mse_holdings, standard deviation over completions")),
    ],
)
def test_columns_of_the_data_have_unit_and_meaning(column, described):
    assert column_of_data(column) == described


def test_a_column_of_the_data_that_nobody_describes_is_an_error():
    with pytest.raises(InputError, match="column 'holding_t2' is not in"):
        column_of_data("holding_t2")
