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
    grpo_arguments,
    train,
    training_arguments,
    training_identity,
    write_reward_settings,
)


def main(args) -> str:
    """Train and publish to the folder `--out`."""
    read_jsonl(args.dataset, ("messages", "window_id", *REWARD_COLUMNS))
    reward_settings = dataclasses.asdict(args.reward_settings)
    identity = training_identity("grpo", args.dataset, args.model, args.settings, args.seed)
    reward_code = code_of("workflow_scripts.plugins.swift_rewards")
    identity["rewards"] = {"code": reward_code, "settings": reward_settings}
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
