"""Train the GRPO adapter of one firm type with `swift rlhf --rlhf_type grpo` and our rewards.

Steps: check that every row has the columns that the rewards need → fingerprint of data, settings,
start model, seed, versions, reward code and reward settings → resume or start in the store → publish
adapter, training log and manifest. Fails when the trainer does, or when it stops early.
"""

import dataclasses

from workflow_scripts import cli
from workflow_scripts.code_digest import code_of
from workflow_scripts.holdings.files import read_jsonl
from workflow_scripts.holdings.rewards import REWARD_COLUMNS, RewardSettings
from workflow_scripts.store import open_entry
from workflow_scripts.trainer import (
    GrpoSettings,
    ModelSettings,
    train,
    training_identity,
    training_options,
    write_reward_settings,
)


def main(args) -> str:
    """Train and publish to the folder `--out`."""
    read_jsonl(args.dataset, ("messages", "window_id", *REWARD_COLUMNS))
    reward_settings = dataclasses.asdict(args.reward_settings)
    options = training_options(args.model, args.settings, args.dataset, args.seed)
    rewards = {"code": code_of("workflow_scripts.plugins.swift_rewards"), "settings": reward_settings}
    identity = {"stage": "grpo", **training_identity(options), "rewards": rewards}
    entry = open_entry(args.store, identity)
    manifest = {"firm_type": args.firm_type, "identity": identity, "start_model": args.model.path}
    environment = write_reward_settings(entry, reward_settings)
    return train("rlhf", options, entry, args.out, manifest, f"train_grpo {args.firm_type}", environment)


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
