"""The model card beside an adapter, so that it can be understood alone; everything in it is from its manifest.

No training imports this module: another word in the card must not queue a training.
"""

from huggingface_hub import ModelCardData


def model_card(manifest: dict) -> str:
    """README.md of an adapter: PEFT's metadata, what it is for, how it was made; all of it from the manifest."""
    options, stage = manifest["options"], manifest["identity"]["stage"]
    recipe = {
        name: options[name]
        for name in ("lora_rank", "lora_alpha", "learning_rate", "num_train_epochs", "max_steps", "seed", "beta",
                     "num_generations", "reward_funcs", "reward_weights")
        if name in options
    }  # fmt: skip
    tags = ["lora", stage, "finance", "form-13f"]
    head = ModelCardData(base_model=manifest["start_model"], library_name="peft", tags=tags).to_yaml()
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    lines = [
        f"---\n{head.strip()}\n---",
        f"# {stage.upper()} adapter, {manifest['firm_type'].replace('_', ' ')}",
        "Forecasts next quarter's change of an institution's position in a stock from its last quarters. Trained by "
        "the holdings-adjustment workflow on Form 13F positions of one firm type; it is no investment advice, and its "
        "worth is what the run's comparison with no-change says.",
        "## How it was made",
        "\n".join(f"- {name}: {value}" for name, value in recipe.items()),
        f"- steps: {manifest['steps']}\n- training data (SHA-256): {manifest['identity']['data']}\n"
        f"- fingerprint: {manifest['fingerprint']}\n"
        f"- parent adapter (SHA-256): {manifest['parent_adapter'] or 'none'}\n- versions: {versions}",
        "## How to load it",
        "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{manifest["start_model"]}")\n'
        'model = PeftModel.from_pretrained(base, "path/to/this/folder")\n```',
    ]
    return "\n\n".join(lines) + "\n"
