"""SFT, GRPO and test rows carry the right labels under the right keys, joined by window_id."""

import json

import pyarrow as pa
import pytest

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.holdings.texts.conversations import (
    ThinkStyle,
    check_think_template,
    grpo_rows,
    holdout_rows,
    sft_rows,
    target_numbers,
    think_texts,
)
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.plumbing.errors import InputError

THINK = ThinkStyle(
    "From t-1 to t: be {be_change}, profit {profit_change}, price {prc_direction}, "
    "holding {holding_change} ({holding_direction}).",
    decimals=2,
    ratio_decimals=4,
)
EMPTY = ThinkStyle("", 2, 4)


@pytest.fixture
def sample(one_window_panel):
    return sample_of(one_window_panel, rows=1)


@pytest.fixture
def prompts(sample):
    return build_prompts(sample, PromptSettings())


@pytest.fixture
def bare_prompts(sample):
    """Of a run whose answers have no think block."""
    return build_prompts(sample, PromptSettings(think=False))


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_golden_datasets(prompts, bare_prompts, sample, golden):
    golden("sft.jsonl", as_jsonl(sft_rows(prompts, sample, "holding_delta", 2, THINK)[0]))
    golden("grpo.jsonl", as_jsonl(grpo_rows(prompts, sample, THINK)))
    golden("sft_no_think.jsonl", as_jsonl(sft_rows(bare_prompts, sample, "holding_delta", 2, None)[0]))
    golden("test.jsonl", as_jsonl(holdout_rows(prompts, sample)))


def test_leaving_a_position_is_a_label_that_obeys_the_contract(prompts, sample):
    rows, counts = sft_rows(prompts, sample, "holding_delta", 2, EMPTY)
    assert rows[0]["messages"][-1]["content"] == '<think></think><answer>{"holding_delta": -3.35}</answer>'
    assert parse_completion(rows[0]["messages"][-1]["content"], 3.357637).valid
    assert counts == {"rows": 1, "labels_rounded_to_zero": 0}


def test_without_think_blocks_sft_imitates_the_answer_alone(bare_prompts, sample):
    rows, _ = sft_rows(bare_prompts, sample, "holding_delta", 2, None)
    answer = rows[0]["messages"][-1]["content"]
    assert answer == '<answer>{"holding_delta": -3.35}</answer>'
    assert parse_completion(answer, 3.357637, Contract(think=False)).valid


def test_labels_lost_to_rounding_are_counted_and_never_negative_zero():
    panel = make_panel(make_run(1, 1, [1.0, 1.0, 1.0, 1.0, 0.996]))
    sample = sample_of(panel, rows=1)
    prompts = build_prompts(sample, PromptSettings())
    rows, counts = sft_rows(prompts, sample, "holding_delta", 2, EMPTY)
    assert '{"holding_delta": 0.00}' in rows[0]["messages"][-1]["content"]
    assert counts["labels_rounded_to_zero"] == 1


def test_level_target(sample):
    assert target_numbers(sample, "holding_tp1", 2) == ["0.00"]


def test_think_texts_by_hand(sample):
    told = "From t-1 to t: be -9.88, profit -0.01, price rose, holding -8.89 (fell)."
    assert think_texts(sample, THINK) == [told]


@pytest.mark.parametrize(("decimals", "told"), [(4, "-0.0027 +0.0031 -0.0001"), (2, "0 0 0")])
def test_changes_of_ratios_have_decimals_of_their_own(one_window_panel, decimals, told):
    """At the two decimals of money a quarter's change of profitability reads 0, and says nothing."""
    panel = one_window_panel
    for name, change in (("profit", -0.0027), ("Gat", 0.0031), ("beta", -0.0001)):
        values = pa.array([0.25 + change * i for i in range(len(panel))])
        panel = panel.set_column(panel.column_names.index(name), name, values)
    style = ThinkStyle("{profit_change} {Gat_change} {beta_change}", 2, decimals)
    assert think_texts(sample_of(panel, rows=1), style) == [told]


def test_a_missing_factor_has_an_unknown_change(one_window_panel):
    sample = sample_of(one_window_panel, history_quarters=2, rows=1)
    assert think_texts(sample, ThinkStyle("{be_change} {be_direction}", 2, 4)) == ["NA unknown"]


@pytest.mark.parametrize("template", ["{holding_t1}", "{me}", "a <answer>", "{0}"])
def test_bad_templates_are_refused(template):
    with pytest.raises(ValueError, match="think template"):
        check_think_template(template)


def test_grpo_and_test_labels_are_unrounded(prompts, sample):
    for rows in (grpo_rows(prompts, sample), holdout_rows(prompts, sample)):
        assert rows[0]["label_delta"] == -3.357637
        assert rows[0]["label_tp1"] == 0.0
        assert rows[0]["holding_t"] == 3.357637


def test_the_exemplar_stands_in_the_prompt_and_the_label_does_not(prompts, sample):
    messages = grpo_rows(prompts, sample, THINK)[0]["messages"]
    assert [m["role"] for m in messages] == ["system", "user"]
    assert messages[-1]["content"].endswith("(fell).</think>")
    assert "3.35," not in messages[-1]["content"]


def test_joins_are_by_id_not_by_order():
    panel = make_panel(make_run(1, 1, [1.0, 2.0, 3.0, 4.0, 5.0]) + make_run(2, 1, [9.0, 8.0, 7.0, 6.0, 5.5]))
    sample = sample_of(panel).take([0, 2])
    prompts = build_prompts(sample, PromptSettings())
    assert holdout_rows(prompts[::-1], sample) == holdout_rows(prompts, sample)
    with pytest.raises(InputError, match="same window_ids"):
        holdout_rows(prompts[:1], sample)
