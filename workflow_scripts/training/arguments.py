"""Further options of ms-swift that a config names: which are free to be set."""

import dataclasses
import difflib
import os

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.methods import METHODS
from workflow_scripts.training.trainer import swift_environment, training_options
from workflow_scripts.training.training_settings import LoraSettings

_RESUME = "would take the checkpoints away that a training resumes from"
_MODEL = "names a model, or what it is loaded by, that nobody checks and no fingerprint covers"
_CODE = "names code that would run, and that no fingerprint covers"
_DATA = "names data beside the workflow's own, which no fingerprint covers"
FORBIDDEN = {
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


def check_extra_args(section: str, settings: LoraSettings, known: set[str]) -> None:
    """Raise InputError naming every option of `settings.extra_args` that is not free to be set."""
    model = ModelSettings("model", revision="revision", model_type="type", template="template")
    ours = set(training_options(model, dataclasses.replace(settings, extra_args={}), "dataset", 0)) | {"output_dir"}
    faults = []
    for name in settings.extra_args:
        if name in ours:
            key = f"{section}.{name}" if name in type(settings).__dataclass_fields__ else "the workflow"
            faults.append(f"{name} is set by {key}")
        elif name in FORBIDDEN:
            faults.append(f"{name} {FORBIDDEN[name]}")
        elif name not in known:
            nearest = difflib.get_close_matches(name, known - ours, n=1)
            faults.append(f"{name} is no option of ms-swift" + (f", did you mean {nearest[0]}?" if nearest else ""))
    if faults:
        raise InputError(f"{section}.extra_args: {'; '.join(faults)}")


def known_options(method: str) -> set[str]:
    """Names of ms-swift's own options for a training method. Importing them takes many seconds."""
    os.environ.update(swift_environment(".", LOG_LEVEL="ERROR"))
    import swift.arguments

    return {field.name for field in dataclasses.fields(getattr(swift.arguments, METHODS[method].arguments))}
