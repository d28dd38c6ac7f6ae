"""Train the SFT adapter of one firm type with `swift sft`, or publish it where it is finished.

Steps: fingerprint of data, settings, base model, seed and versions → resume or start in the store →
publish adapter, adapter config, training log, model card and manifest.
Fails when the trainer does, or when it stops before its last step.
"""

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl
from workflow_scripts.training.base_model import ModelSettings, check_model
from workflow_scripts.training.store import open_entry
from workflow_scripts.training.trainer import LoraSettings, train, training_identity, training_options


def main(args) -> str:
    """Train and publish to the folder `--out`."""
    check_model(args.model)
    read_jsonl(args.dataset, ("messages",))
    options = training_options(args.model, args.settings, args.dataset, args.seed)
    identity = {"stage": "sft", **training_identity(options, args.settings.num_gpus)}
    entry = open_entry(args.store, identity)
    manifest = {"firm_type": args.firm_type, "identity": identity, "start_model": args.model.path}
    return train("sft", options, args.settings, entry, args.out, manifest, f"train_sft {args.firm_type}")


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        dataset=cli.TEXT,
        model=cli.settings_option(ModelSettings),
        settings=cli.settings_option(LoraSettings),
        seed=cli.INTEGER,
        store=cli.TEXT,
        out=cli.TEXT,
    )
