"""Train the GRPO adapter of one firm type with `swift rlhf --rlhf_type grpo` and our rewards.

Steps: check that every row has the columns that the rewards need → fingerprint of data, settings, start model, seed,
versions, reward code and reward settings → leave out prompts longer than max_length → resume or start in the
store → publish adapter, training log, model card and manifest. Fails when the trainer does, when it stops early, or
when too many prompts are too long.
"""

import dataclasses
from pathlib import Path

from workflow_scripts.holdings.rewards.rewards import RewardSettings, reward_columns
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.code_digest import digest_of
from workflow_scripts.plumbing.files import read_jsonl, write_jsonl
from workflow_scripts.training.base_model import ModelSettings, check_model
from workflow_scripts.training.prompt_lengths import prompt_lengths
from workflow_scripts.training.store import open_entry
from workflow_scripts.training.trainer import (
    GrpoSettings,
    refuse_dropped,
    train,
    training_identity,
    training_options,
    write_reward_settings,
)


def main(args) -> str:
    """Train and publish to the folder `--out`."""
    check_model(args.model)
    rows = read_jsonl(
        args.dataset, ("messages", "window_id", *reward_columns(args.settings.rewards, args.reward_settings.target))
    )

    def leave_out_long_prompts(entry: Path) -> tuple[str, int]:
        """ms-swift would cut the beginning of a long prompt off, the role and the oldest quarters, and say nothing."""
        lengths = prompt_lengths(rows, args.model)
        kept = [row for row, length in zip(rows, lengths, strict=True) if length <= args.settings.max_length]
        refuse_dropped(len(rows) - len(kept), len(rows), args.settings.max_dropped_share)
        if len(kept) == len(rows):
            return args.dataset, 0
        write_jsonl(entry / "dataset.jsonl", kept)
        return str(entry / "dataset.jsonl"), len(rows) - len(kept)

    reward_settings = dataclasses.asdict(args.reward_settings)
    options = training_options(args.model, args.settings, args.dataset, args.seed)
    rewards = {"code": digest_of("workflow_scripts.training.rewards_plugin"), "settings": reward_settings}
    identity = {"stage": "grpo", **training_identity(options, args.settings.num_gpus), "rewards": rewards}
    entry = open_entry(args.store, identity)
    manifest = {"firm_type": args.firm_type, "identity": identity, "start_model": args.model.path}
    environment = write_reward_settings(entry, reward_settings)
    label = f"train_grpo {args.firm_type}"
    return train("rlhf", options, args.settings, entry, args.out, manifest, label, environment, leave_out_long_prompts)


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
