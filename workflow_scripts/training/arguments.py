"""Further options of ms-swift that a config names: which are free to be set."""

import dataclasses
import difflib
import os

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.methods import METHODS
from workflow_scripts.training.trainer import swift_environment, training_options
from workflow_scripts.training.training_settings import LoraSettings

FORBIDDEN = {"save_only_model", "save_strategy", "resume_from_checkpoint", "resume_only_model", "ignore_data_skip"}


def check_extra_args(section: str, settings: LoraSettings, known: set[str]) -> None:
    """Raise InputError naming every option of `settings.extra_args` that is not free to be set."""
    model = ModelSettings("model", revision="revision", model_type="type", template="template")
    ours = set(training_options(model, dataclasses.replace(settings, extra_args={}), "dataset", 0)) | {"output_dir"}
    faults = []
    for name in settings.extra_args:
        if name in FORBIDDEN:
            faults.append(f"{name} would take the checkpoints away that a training resumes from")
        elif name in ours:
            key = f"{section}.{name}" if name in type(settings).__dataclass_fields__ else "the workflow"
            faults.append(f"{name} is set by {key}")
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
