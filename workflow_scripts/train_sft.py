"""Train the SFT adapter of one firm type with `swift sft`, or publish it where it is finished.

Steps: fingerprint of data, settings, base model, seed and versions → resume or start in the store →
publish adapter_model.safetensors, adapter_config.json, training_log.jsonl, manifest.json.
Fails when the trainer does, or when it stops before its last step.
"""

from workflow_scripts import cli
from workflow_scripts.holdings.files import read_jsonl
from workflow_scripts.store import open_entry
from workflow_scripts.trainer import LoraSettings, ModelSettings, train, training_arguments, training_identity


def main(args) -> str:
    """Train and publish to the folder `--out`."""
    read_jsonl(args.dataset, ("messages",))
    identity = training_identity("sft", args.dataset, args.model, args.settings, args.seed)
    entry = open_entry(args.store, identity)
    arguments = training_arguments(args.model, args.settings, args.dataset, args.seed)
    manifest = {"firm_type": args.firm_type, "identity": identity, "base_model": args.model.path}
    label = f"train_sft {args.firm_type}"
    return train("sft", arguments, args.model, entry, args.out, manifest, label)


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
