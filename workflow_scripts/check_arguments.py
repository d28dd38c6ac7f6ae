"""Check what a config says in ms-swift's own words, before a training is queued: model type, template, extra_args.

Fails for a name that ms-swift does not have, with the nearest one, and for an option that the workflow sets itself.
"""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_json
from workflow_scripts.training.arguments import check_extra_args, check_model_names, known_names
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.methods import METHODS


@dataclass(frozen=True)
class Settings:
    """How a stage is trained, its section of the config, and its model."""

    method: str
    training: dict[str, Any]
    model: ModelSettings


def main(args: Namespace) -> str:
    """Write the accepted arguments to `--out`."""
    method = args.settings.method
    settings, model = METHODS[method].settings(**args.settings.training), args.settings.model
    known = known_names()
    check_model_names(model, known)
    check_extra_args(args.stage, settings, known[method])
    accepted = {"model_type": model.model_type, "template": model.template, **settings.extra_args}
    write_json(args.out, accepted)
    return f"check_arguments {args.stage}: {', '.join(accepted)} accepted"


if __name__ == "__main__":
    cli.run(main, __doc__, stage=cli.TEXT, settings=cli.settings_option(Settings), out=cli.TEXT)
