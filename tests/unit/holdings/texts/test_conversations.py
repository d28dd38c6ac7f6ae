"""SFT, GRPO and test rows carry the right labels under the right keys, joined by window_id."""

import json

import pytest

from tests.conftest import make_panel, make_run, sample_of
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

THINK = "From t-1 to t: be {be_change}, price {prc_direction}, holding {holding_change} ({holding_direction})."


@pytest.fixture
def sample(one_window_panel):
    return sample_of(one_window_panel, rows=1)


@pytest.fixture
def prompts(sample):
    return build_prompts(sample, PromptSettings())


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_golden_datasets(prompts, sample, golden):
    golden("sft.jsonl", as_jsonl(sft_rows(prompts, sample, "holding_delta", 2, THINK)[0]))
    golden("grpo.jsonl", as_jsonl(grpo_rows(prompts, sample, ThinkStyle(THINK, 2))))
    golden("test.jsonl", as_jsonl(holdout_rows(prompts, sample)))


def test_leaving_a_position_is_a_label_that_obeys_the_contract(prompts, sample):
    rows, counts = sft_rows(prompts, sample, "holding_delta", 2, "")
    assert rows[0]["messages"][-1]["content"] == '<think></think><answer>{"holding_delta": -3.35}</answer>'
    assert parse_completion(rows[0]["messages"][-1]["content"], 3.357637).valid
    assert counts == {"rows": 1, "labels_rounded_to_zero": 0}


def test_labels_lost_to_rounding_are_counted_and_never_negative_zero():
    panel = make_panel(make_run(1, 1, [1.0, 1.0, 1.0, 1.0, 0.996]))
    sample = sample_of(panel, rows=1)
    prompts = build_prompts(sample, PromptSettings())
    rows, counts = sft_rows(prompts, sample, "holding_delta", 2, "")
    assert '{"holding_delta": 0.00}' in rows[0]["messages"][-1]["content"]
    assert counts["labels_rounded_to_zero"] == 1


def test_level_target(sample):
    assert target_numbers(sample, "holding_tp1", 2) == ["0.00"]


def test_think_texts_by_hand(sample):
    assert think_texts(sample, THINK, 2) == ["From t-1 to t: be -9.88, price rose, holding -8.89 (fell)."]


def test_a_missing_factor_has_an_unknown_change(one_window_panel):
    sample = sample_of(one_window_panel, history_quarters=2, rows=1)
    assert think_texts(sample, "{be_change} {be_direction}", 2) == ["NA unknown"]


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
    messages = grpo_rows(prompts, sample, ThinkStyle(THINK, 2))[0]["messages"]
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
