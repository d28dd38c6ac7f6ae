"""Check the extra_args of a training against ms-swift's own options, before it is queued.

Fails for a name that ms-swift does not have, with the nearest one, and for one that the workflow sets itself.
"""

import dataclasses
import os

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_json
from workflow_scripts.training.arguments import check_extra_args
from workflow_scripts.training.trainer import GrpoSettings, LoraSettings, swift_environment

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
