"""How long prompts are for the model that will read them."""

import os

from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.trainer import swift_environment


def prompt_lengths(rows: list[dict], model: ModelSettings) -> list[int]:
    """Tokens of each prompt, the opening of the answer included, by the model's own tokenizer and chat template."""
    os.environ.update(swift_environment(model))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        model.location, revision=model.hub_revision or None, trust_remote_code=model.trust_remote_code
    )
    encoded = (
        tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, tokenize=True, return_dict=True)
        for row in rows
    )
    return [len(one["input_ids"]) for one in encoded]
