"""Further options of ms-swift that a config names: which are free to be set."""

import dataclasses
import difflib

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.trainer import LoraSettings, training_options

FORBIDDEN = {"save_only_model", "save_strategy", "resume_from_checkpoint", "resume_only_model", "ignore_data_skip"}


def check_extra_args(section: str, settings: LoraSettings, known: set[str]) -> None:
    """Raise InputError naming every option of `settings.extra_args` that is not free to be set."""
    model = ModelSettings("model", "type", "template", revision="revision")
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
