"""What a config says in ms-swift's own words: further options, the type of the model, its chat template."""

import dataclasses
import difflib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import json_digest, read_json, write_json
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.methods import METHODS
from workflow_scripts.training.options import training_options
from workflow_scripts.training.store import trainer_versions
from workflow_scripts.training.trainer import swift_environment
from workflow_scripts.training.training_settings import LoraSettings

# Below the folder in which the workflow runs.
MEMORY = Path(".snakemake/ms_swift")
_VALIDATION = "belongs to the validation: set validation_share or validation_quarters, keep, early_stopping"
_RESUME = "would take the checkpoints away that a training resumes from"
_MODEL = "names a model, or what it is loaded by, that nobody checks and no fingerprint covers"
_CODE = "names code that would run, and that no fingerprint covers"
_DATA = "names data beside the workflow's own, which no fingerprint covers"
FORBIDDEN = {
    **dict.fromkeys(
        (
            "early_stop_interval", "eval_steps", "load_best_model_at_end", "metric_for_best_model", "greater_is_better",
            "per_device_eval_batch_size", "num_generations_eval", "eval_on_start", "eval_delay",
        ),
        _VALIDATION,
    ),
    **dict.fromkeys(
        ("save_only_model", "save_strategy", "resume_from_checkpoint", "resume_only_model", "ignore_data_skip"), _RESUME
    ),
    **dict.fromkeys(
        (
            "adapters", "ref_model", "ref_adapters", "reward_model", "reward_adapters", "teacher_model",
            "teacher_adapters", "teacher_model_server", "vllm_server_base_url", "vllm_server_host",
            "vllm_engine_kwargs", "vllm_speculative_config",
        ),
        _MODEL,
    ),
    **dict.fromkeys(
        (
            "external_plugins", "custom_register_path", "reward_model_plugin", "multi_turn_scheduler", "gym_env",
            "use_gym_env", "agent_template", "local_repo_path",
        ),
        _CODE,
    ),
    # ms-swift writes them into its environment, which decides what Python loads.
    "model_kwargs": "sets environment variables, which can make code run",
    **dict.fromkeys(
        (
            "val_dataset", "cached_dataset", "cached_val_dataset", "eval_dataset", "eval_dataset_args",
            "chord_sft_dataset", "custom_dataset_info",
        ),
        _DATA,
    ),
}  # fmt: skip


def check_extra_args(section: str, settings: LoraSettings, known: Collection[str]) -> None:
    """Raise InputError naming every option of `settings.extra_args` that is not free to be set."""
    model = ModelSettings("model", revision="revision", model_type="type", template="template")
    # Those that are left to ms-swift are among them: what checks a setting does not look into extra_args.
    ours = {"output_dir", *(one.name for one in dataclasses.fields(settings))}
    ours |= set(training_options(model, dataclasses.replace(settings, extra_args={}), "dataset", 0))
    faults = []
    for name in settings.extra_args:
        if name in ours:
            key = f"{section}.{name}" if name in type(settings).__dataclass_fields__ else "the workflow"
            faults.append(f"{name} is set by {key}")
        elif name in FORBIDDEN:
            faults.append(f"{name} {FORBIDDEN[name]}")
        elif name not in known:
            nearest = difflib.get_close_matches(name, set(known) - ours, n=1)
            faults.append(f"{name} is no option of ms-swift" + (f", did you mean {nearest[0]}?" if nearest else ""))
    if faults:
        raise InputError(f"{section}.extra_args: {'; '.join(faults)}")


def check_model_names(model: ModelSettings, known: Mapping[str, Collection[str]]) -> None:
    """Raise InputError where ms-swift has no such model type or template; an empty text leaves the choice to it."""
    for key, name in (("model_type", model.model_type), ("template", model.template)):
        if name and name not in known[key]:
            nearest = difflib.get_close_matches(name, known[key], n=1)
            hint = f", did you mean {nearest[0]}?" if nearest else "; an empty text leaves the choice to ms-swift"
            raise InputError(f"model.{key}: ms-swift has no {name}{hint}")


def known_names(memory: Path = MEMORY) -> dict[str, list[str]]:
    """Names that ms-swift has: the options of each training method, model types and templates.

    Importing them takes many seconds; they are remembered below `memory` for the installed versions.
    """
    path = memory / f"{json_digest(trainer_versions())[:16]}.json"
    if path.is_file():
        return read_json(path)
    os.environ.update(swift_environment(ModelSettings("."), LOG_LEVEL="ERROR"))
    import swift.arguments
    from swift.model import MODEL_MAPPING
    from swift.template import TEMPLATE_MAPPING

    options = {
        name: [field.name for field in dataclasses.fields(getattr(swift.arguments, method.arguments))]
        for name, method in METHODS.items()
    }
    names = {**options, "model_type": list(MODEL_MAPPING), "template": list(TEMPLATE_MAPPING)}
    write_json(path, names)
    return names
