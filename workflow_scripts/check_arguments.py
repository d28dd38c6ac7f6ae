"""Check the extra_args of a training against ms-swift's own options, before it is queued.

Fails for a name that ms-swift does not have, with the nearest one, and for one that the workflow sets itself.
"""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_json
from workflow_scripts.training.arguments import check_extra_args, known_options
from workflow_scripts.training.methods import METHODS


@dataclass(frozen=True)
class Settings:
    """How a stage is trained, and its section of the config."""

    method: str
    training: dict[str, Any]


def main(args: Namespace) -> str:
    """Write the accepted arguments to `--out`."""
    method = args.settings.method
    settings = METHODS[method].settings(**args.settings.training)
    check_extra_args(args.stage, settings, known_options(method))
    write_json(args.out, settings.extra_args)
    return f"check_arguments {args.stage}: {', '.join(settings.extra_args)} accepted"


if __name__ == "__main__":
    cli.run(main, __doc__, stage=cli.TEXT, settings=cli.settings_option(Settings), out=cli.TEXT)
