"""What a training is: ms-swift's options for it, and the identity that its fingerprint is made of."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import check_safetensors, file_digest, read_json, read_jsonl
from workflow_scripts.training.base_model import ModelSettings, model_identity, model_options
from workflow_scripts.training.store import trainer_versions
from workflow_scripts.training.training_settings import OWN_SETTINGS, GrpoSettings, LoraSettings
from workflow_scripts.training.validation import validates, validation_identity

ADAPTER_WEIGHTS, ADAPTER_CONFIG = ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
# The callback of the plugin early_stopping.py, which only ms-swift's process can import.
EARLY_STOPPING = "holdings_early_stopping"
# Settings that ms-swift takes under their own names, but only where vLLM draws the rollouts.
VLLM_OPTIONS = (
    "vllm_gpu_memory_utilization", "sleep_level", "offload_model", "offload_optimizer",
    "rollout_importance_sampling_mode",
)  # fmt: skip
# Who follows a training, and what is kept of it beside its log, changes nothing of it.
UNTRACKED = {"report_to": "none", "log_completions": False}
# The adapter that a training goes on with, and the one that its KL divergence is measured from.
ADAPTER_OPTIONS = ("adapters", "ref_adapters")


def training_options(model: ModelSettings, settings: LoraSettings, dataset: str, seed: int) -> dict[str, Any]:
    """All ms-swift options of a training but the output folder: the settings, and what never varies.

    `extra_args` come last; `check_arguments` has refused those that would override another option.
    """
    # An empty text and null leave an option to ms-swift.
    recipe = {
        name: value for name, value in asdict(settings).items() if name not in OWN_SETTINGS and value not in ("", None)
    }
    steps = settings.save_steps
    options = {
        **model_options(model),
        # The trainer would move the model to a GPU, wherever it was loaded.
        **({"use_cpu": True} if model.device == "cpu" else {}),
        "dataset": str(Path(dataset).resolve()),
        **recipe,
        "save_steps": int(steps) if steps >= 1 else steps,
        # Setting only torch_dtype float32 would silently train in fp16.
        "bf16": model.torch_dtype == "bfloat16",
        "fp16": model.torch_dtype == "float16",
        "seed": seed,
        "data_seed": seed,
        # Otherwise the trainer asks a hub about the model, with retries, whatever the environment says.
        "check_model": False,
        # args.json beside a model may name plugins.
        "load_args": False,
        "tuner_type": "lora",
        "split_dataset_ratio": 0,
        "eval_strategy": "no",
        "report_to": settings.tracking,
        "callbacks": "graceful_exit",
        "dataset_num_proc": 1,
        "dataloader_num_workers": 0,
        "save_total_limit": 2,
        "add_version": False,
    }
    plugins = []
    if isinstance(settings, GrpoSettings):
        options = _grpo_options(options, settings)
        plugins.append(_plugin("rewards_plugin"))
    if validates(settings):
        options |= _validation_options(settings, options["save_steps"])
    if settings.early_stopping:
        options["callbacks"] = ["graceful_exit", EARLY_STOPPING]
        plugins.append(_plugin("early_stopping"))
    if plugins:
        options["external_plugins"] = plugins
    return options | settings.extra_args


def _plugin(module: str) -> str:
    """Path of a module of this package that ms-swift imports."""
    return str(Path(__file__).with_name(f"{module}.py"))


def _grpo_options(options: dict[str, Any], settings: GrpoSettings) -> dict[str, Any]:
    """The options with GRPO's in ms-swift's words; those of vLLM only where it is used."""
    ours = {"rewards", "structured_outputs", *VLLM_OPTIONS}
    options = {name: value for name, value in options.items() if name not in ours}
    options |= {"rlhf_type": "grpo", "reward_funcs": settings.rewards}
    if settings.use_vllm:
        options |= {"vllm_mode": "colocate", **{name: getattr(settings, name) for name in VLLM_OPTIONS}}
        if settings.rollout_importance_sampling_mode == "none":
            del options["rollout_importance_sampling_mode"]
    return options


def _validation_options(settings: LoraSettings, steps: float) -> dict[str, Any]:
    """A validation at every checkpoint; in GRPO one completion per prompt, in the batches of the training."""
    batch = settings.per_device_train_batch_size
    options = {"eval_strategy": "steps", "eval_steps": steps, "per_device_eval_batch_size": batch}
    return options | ({"num_generations_eval": 1} if isinstance(settings, GrpoSettings) else {})


def command_line(options: dict[str, Any]) -> list[str]:
    """Options as words; a list gives several words, true and false are spelt in small letters.

    >>> command_line({"seed": 1, "bf16": True, "reward_funcs": ["a", "b"]})
    ['--seed', '1', '--bf16', 'true', '--reward_funcs', 'a', 'b']
    """
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *map(_word, values)]
    return words


def _word(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def training_identity(options: dict[str, Any], settings: LoraSettings) -> dict:
    """What the fingerprint of a training covers: data, models by content, every option, the validation, the versions.

    Options that cannot change the result are left out: where files lie, how often checkpoints are
    written and how many are kept, who follows it. Several GPUs enlarge the batch.
    """
    neutral = {"model", "dataset", "external_plugins", "save_steps", "save_total_limit", *ADAPTER_OPTIONS}
    identity = {
        "data": file_digest(options["dataset"]),
        "model": model_identity(options["model"]),
        "options": {
            name: UNTRACKED.get(name, _by_content(value)) for name, value in options.items() if name not in neutral
        },
        "num_gpus": settings.num_gpus,
        "versions": trainer_versions(*optional_packages(options)),
    }
    if validates(settings):
        identity["validation"] = validation_identity(settings, read_jsonl(options["dataset"]), options["seed"])
    if "adapters" in options:
        identity["start_adapter"] = file_digest(Path(options["adapters"]) / ADAPTER_WEIGHTS)
    return identity


def continued(options: dict[str, Any], adapter: str, settings: LoraSettings) -> dict[str, Any]:
    """The options of a training that goes on with an adapter, which is then the reference of its KL divergence, too.

    InputError where the adapter has another shape than the settings say: ms-swift would train with the adapter's.
    """
    folder = Path(adapter).resolve()
    check_safetensors(folder / ADAPTER_WEIGHTS)
    config = read_json(folder / ADAPTER_CONFIG)
    found = {"lora_rank": config["r"], "lora_alpha": config["lora_alpha"]}
    if other := [f"{name} {value}" for name, value in found.items() if value != getattr(settings, name)]:
        raise InputError(
            f"{adapter} has {' and '.join(other)}, and a training that goes on with it cannot have another: set them so"
        )
    names = ADAPTER_OPTIONS if isinstance(settings, GrpoSettings) else ADAPTER_OPTIONS[:1]
    return options | dict.fromkeys(names, str(folder))


def _by_content(value: object) -> object:
    """An option's value, with the content of a file that it names, such as a configuration of DeepSpeed."""
    if isinstance(value, dict):
        return {name: _by_content(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_by_content(part) for part in value]
    # A trainer runs in the folder in which the workflow runs, and so does this.
    if isinstance(value, str) and len(value) < 4096 and Path(value).is_file():
        return {"file": file_digest(value)}
    return value


def optional_packages(options: dict[str, Any]) -> list[str]:
    """Packages beside the trainer's own that a training uses by its options."""
    return ["deepspeed"] * bool(options.get("deepspeed")) + ["vllm"] * bool(options.get("use_vllm"))
