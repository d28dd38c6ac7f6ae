"""The model card: with it alone, somebody who has only the folder can load the adapter and ask it."""

import yaml

from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.training.model_card import example_prompt, model_card

MANIFEST = {
    "firm_type": "mutual_funds",
    "start_model": "results/demo/mutual_funds/merged/sft",
    "identity": {"stage": "grpo", "data": "d" * 64},
    "options": {"torch_dtype": "float32", "model_type": "qwen2", "template": "qwen2_5", "lora_rank": 32,
                "model": "/home/me/results/demo/mutual_funds/merged/sft"},
    "parent_adapter": "a" * 64,
    "versions": {"peft": "0.20.0"},
    "steps": 4,
    "fingerprint": "f" * 16,
}  # fmt: skip


def test_the_card_names_model_tokenizer_template_and_prompt():
    card = model_card(MANIFEST, PromptSettings(target="active_delta", identity="hidden", history_quarters=2))
    head, text = card.removeprefix("---\n").split("---\n", 1)
    assert yaml.safe_load(head)["base_model"] == "results/demo/mutual_funds/merged/sft"
    assert "/home/me" not in card, "no path of the machine that trained it"
    assert "AutoTokenizer.from_pretrained(base)" in text
    assert "model type `qwen2`, chat template `qwen2_5`" in text
    assert "with the SFT adapter merged in" in text
    assert '<answer>{"active_delta": <number>}</answer>' in text
    assert "{t-1 data}" in text
    assert "{t-2 data}" not in text
    assert "Ticker" not in text


def test_an_adapter_that_goes_on_with_another_one_is_on_no_merged_model():
    manifest = MANIFEST | {"identity": {**MANIFEST["identity"], "start_adapter": "a" * 64}}
    assert "merged in" not in model_card(manifest, PromptSettings())


def test_the_example_is_a_prompt_of_the_workflow_with_what_the_manager_did():
    """It is built by what builds all prompts, so that it cannot say another form."""
    prompt = example_prompt("banks", PromptSettings(manager_context=True))
    assert prompt["system"].startswith("You manage the stock portfolio of a bank.")
    assert "{manager data}" in prompt["user"]
    assert "NA" not in prompt["user"]
