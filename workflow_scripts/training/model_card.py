"""What goes beside an adapter so that it can be understood alone: hardware, parent, model card."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import yaml

from workflow_scripts.plumbing.files import read_json

MODEL_CARD = "README.md"
# In a merged model's folder: which adapter went into it.
MERGED_ADAPTER = "merged_adapter.json"


def hardware() -> dict[str, object]:
    """Processor, its threads, and the GPUs as the driver names them."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    gpus = []
    if shutil.which(query[0]):
        result = subprocess.run(query, capture_output=True, text=True)
        gpus = result.stdout.strip().splitlines() if result.returncode == 0 else []
    return {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "gpus": gpus}


def merged_adapter(model: str) -> str | None:
    """SHA-256 of the adapter that was merged into a start model, None where there is none."""
    path = Path(model) / MERGED_ADAPTER
    return read_json(path)["adapter_sha256"] if path.is_file() else None


def model_card(manifest: dict) -> str:
    """README.md of an adapter: PEFT's metadata, what it is for, how it was made; all of it from the manifest."""
    options, stage = manifest["options"], manifest["identity"]["stage"]
    recipe = {
        name: options[name]
        for name in ("lora_rank", "lora_alpha", "learning_rate", "num_train_epochs", "max_steps", "seed", "beta",
                     "num_generations", "reward_funcs", "reward_weights")
        if name in options
    }  # fmt: skip
    head = {
        "base_model": manifest["start_model"],
        "library_name": "peft",
        "tags": ["lora", stage, "finance", "form-13f"],
    }
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    lines = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
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
