"""Check the extra_args of a training against ms-swift's own options, before it is queued.

Fails for a name that ms-swift does not have, with the nearest one, and for one that the workflow sets itself.
"""

import dataclasses
import difflib
import os

from workflow_scripts import cli
from workflow_scripts.base_model import ModelSettings
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.files import write_json
from workflow_scripts.trainer import GrpoSettings, LoraSettings, swift_environment, training_options

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


SETTINGS = {"sft": LoraSettings, "grpo": GrpoSettings}


def main(args) -> str:
    """Write the accepted arguments to `--out`."""
    os.environ.update(swift_environment(".", LOG_LEVEL="ERROR"))
    # Importing ms-swift takes many seconds, which only runs with extra arguments pay.
    from swift.arguments import RLHFArguments, SftArguments

    settings = SETTINGS[args.stage](**args.settings)
    known = {field.name for field in dataclasses.fields({"sft": SftArguments, "grpo": RLHFArguments}[args.stage])}
    check_extra_args(args.stage, settings, known)
    write_json(args.out, settings.extra_args)
    return f"check_arguments {args.stage}: {', '.join(settings.extra_args)} accepted"


if __name__ == "__main__":
    cli.run(main, __doc__, stage=cli.TEXT, settings=cli.JSON, out=cli.TEXT)
