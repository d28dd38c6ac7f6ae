"""Train the GRPO adapter of one firm type with `swift rlhf --rlhf_type grpo` and our rewards.

Steps: check that every row has the columns that the rewards need → fingerprint of data, settings,
start model, seed, versions, reward code and reward settings → resume or start in the store → publish
adapter, training log and manifest. Fails when the trainer does, or when it stops early.
"""

import dataclasses

from workflow_scripts import cli
from workflow_scripts.code_digest import code_of
from workflow_scripts.holdings.files import file_digest, read_jsonl
from workflow_scripts.holdings.rewards import REWARD_COLUMNS, RewardSettings
from workflow_scripts.store import model_identity, open_entry, trainer_versions
from workflow_scripts.trainer import (
    GrpoSettings,
    ModelSettings,
    grpo_arguments,
    train,
    training_arguments,
    what_decides,
    write_reward_settings,
)


def main(args) -> str:
    """Train and publish to the folder `--out`."""
    read_jsonl(args.dataset, ("messages", "window_id", *REWARD_COLUMNS))
    reward_settings = dataclasses.asdict(args.reward_settings)
    identity = {
        "stage": "grpo",
        "data": file_digest(args.dataset),
        "model": model_identity(args.model.path),
        "model_settings": what_decides(args.model),
        "settings": what_decides(args.settings),
        "rewards": {"code": code_of("workflow_scripts.plugins.swift_rewards"), "settings": reward_settings},
        "seed": args.seed,
        "versions": trainer_versions(),
    }
    entry = open_entry(args.store, identity)
    arguments = training_arguments(args.model, args.settings, args.dataset, args.seed)
    arguments += grpo_arguments(args.settings)
    manifest = {"firm_type": args.firm_type, "identity": identity, "start_model": args.model.path}
    label = f"train_grpo {args.firm_type}"
    environment = write_reward_settings(entry, reward_settings)
    return train("rlhf", arguments, args.model, entry, args.out, manifest, label, environment)


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        dataset=cli.TEXT,
        model=cli.settings_option(ModelSettings),
        settings=cli.settings_option(GrpoSettings),
        reward_settings=cli.settings_option(RewardSettings),
        seed=cli.INTEGER,
        store=cli.TEXT,
        out=cli.TEXT,
    )
