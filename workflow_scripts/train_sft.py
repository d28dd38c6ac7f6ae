"""Train an SFT adapter of one firm type with `swift sft`, or publish it where it is finished.

Steps: fingerprint of data, settings, base model, seed and versions → resume or start in the store →
publish adapter, adapter config, training log and manifest.
Fails when the trainer does, or when it stops before its last step.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl
from workflow_scripts.training.base_model import ModelSettings, check_model
from workflow_scripts.training.options import training_identity, training_options
from workflow_scripts.training.store import open_entry
from workflow_scripts.training.trainer import Training, train
from workflow_scripts.training.training_settings import LoraSettings


@dataclass(frozen=True)
class Settings:
    """The training, and the model that it starts from."""

    seed: int
    model: ModelSettings
    training: LoraSettings


def main(args: Namespace) -> str:
    """Train and publish to the folder `--out`."""
    settings, model = args.settings.training, args.settings.model
    check_model(model)
    read_jsonl(args.dataset, ("messages",))
    options = training_options(model, settings, args.dataset, args.settings.seed)
    identity = {"stage": args.stage, **training_identity(options, settings)}
    entry = open_entry(args.store, identity)
    manifest = {"firm_type": args.firm_type, "identity": identity, "start_model": model.path}
    training = Training(f"train_sft {args.firm_type} {args.stage}", "sft", options, settings, model)
    return train(training, entry, args.out, manifest)


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        dataset=cli.TEXT,
        settings=cli.settings_option(Settings),
        store=cli.TEXT,
        out=cli.TEXT,
    )
