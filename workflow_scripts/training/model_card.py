"""The model card beside an adapter, so that it can be understood alone: from its manifest, and the form of its prompts.

No training imports this module: another word in the card must not queue a training.
"""

import pyarrow as pa
from huggingface_hub import ModelCardData

from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.windows.history import prompt_columns

# A window that nobody holds: a card may be shown to those who may not see the panel.
MADE_UP = {
    "window_id": "made-up", "permno": 10001, "me": 12000.0, "be": 4000.0, "profit": 0.25, "Gat": 0.05, "beta": 1.1,
    "aum": 800.0, "outaum": 60.0, "holding_t": 10.0, "prc": 50.0, "held_quarters": 8, "manager_trades": 20,
    "manager_mean_trade": 0.05, "manager_untraded": 0.4, "manager_sold": 0.1, "manager_past_trades": 300,
    "manager_past_mean_trade": 0.02,
}  # fmt: skip
LOADING = """import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = "{start_model}"
tokenizer = AutoTokenizer.from_pretrained(base)
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.{dtype})
model = PeftModel.from_pretrained(model, "path/to/this/folder")

messages = [{{"role": "system", "content": "..."}}, {{"role": "user", "content": "..."}}]  # as below
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**inputs, max_new_tokens=512, do_sample=False)[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))"""


def example_prompt(firm_type: str, settings: PromptSettings) -> dict[str, str]:
    """System and user message of a made-up window, in the form that the adapter was trained on."""
    row = {name: firm_type if name == "firm_type" else MADE_UP[name.split("_lag")[0]]
           for name in prompt_columns(settings.history_quarters)}  # fmt: skip
    return build_prompts(pa.table({name: [value] for name, value in row.items()}), settings)[0]


def _about_the_model(manifest: dict) -> str:
    """Which model and tokenizer the adapter needs, and what ms-swift calls its type and its chat template."""
    options = manifest["options"]
    revision = f" at revision `{options['model_revision']}`" if "model_revision" in options else ""
    # An adapter that goes on with another one was trained on the model of that one.
    is_merged = manifest["parent_adapter"] and "start_adapter" not in manifest["identity"]
    names = {"model type": "model_type", "chat template": "template"}
    ms_swift = [f"{words} `{options[name]}`" for words, name in names.items() if name in options]
    return " ".join(
        [
            f"Base model and tokenizer are those of `{manifest['start_model']}`{revision}; a path is one below the "
            "folder in which the workflow ran. The adapter fits no other model.",
            *["That model is the base model with the SFT adapter merged in."] * bool(is_merged),
            *[f"In ms-swift: {', '.join(ms_swift)}."] * bool(ms_swift),
        ]
    )


def model_card(manifest: dict, settings: PromptSettings) -> str:
    """README.md of an adapter: PEFT's metadata, what it is for, how to load and to ask it, how it was made."""
    options, stage, start_model = manifest["options"], manifest["identity"]["stage"], manifest["start_model"]
    recipe = {
        name: options[name]
        for name in ("lora_rank", "lora_alpha", "learning_rate", "num_train_epochs", "max_steps", "seed", "beta",
                     "num_generations", "reward_funcs", "reward_weights")
        if name in options
    }  # fmt: skip
    tags = ["lora", stage, "finance", "form-13f"]
    head = ModelCardData(base_model=start_model, library_name="peft", tags=tags).to_yaml()
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    prompt = example_prompt(manifest["firm_type"], settings)
    lines = [
        f"---\n{head.strip()}\n---",
        f"# {stage.upper()} adapter, {manifest['firm_type'].replace('_', ' ')}",
        "Forecasts next quarter's change of an institution's position in a stock from its last quarters. Trained by "
        "the holdings-adjustment workflow on Form 13F positions of one firm type; it is no investment advice, and its "
        "worth is what the run's comparison with no-change says.",
        "## How to load it",
        _about_the_model(manifest),
        f"```python\n{LOADING.format(start_model=start_model, dtype=options['torch_dtype'])}\n```",
        "## How to ask it",
        "A system and a user message in exactly this form; the numbers of this example are made up. The answer stands "
        "between `<answer>` and `</answer>`.",
        f"```text\n{prompt['system']}\n```",
        f"```text\n{prompt['user']}\n```",
        "## How it was made",
        "\n".join(f"- {name}: {value}" for name, value in recipe.items()),
        f"- steps: {manifest['steps']}\n- training data (SHA-256): {manifest['identity']['data']}\n"
        f"- fingerprint: {manifest['fingerprint']}\n"
        f"- parent adapter (SHA-256): {manifest['parent_adapter'] or 'none'}\n- versions: {versions}",
    ]
    return "\n\n".join(lines) + "\n"
