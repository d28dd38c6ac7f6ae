"""Train a GRPO adapter of one firm type with `swift rlhf --rlhf_type grpo` and our rewards.

Steps: check that every row has the columns that the rewards need → fingerprint of data, settings, start model, seed,
versions, reward code and reward settings → leave out prompts longer than max_length → resume or start in the
store → publish adapter, training log and manifest. Fails when the trainer does, when it stops early, or
when too many prompts are too long.
"""

import dataclasses
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.holdings.rewards.rewards import RewardSettings, is_self_scaled, modules_of, reward_columns
from workflow_scripts.holdings.texts.completions import contract_pattern
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.code_digest import digest_of
from workflow_scripts.plumbing.files import file_digest, read_jsonl, write_jsonl
from workflow_scripts.training.base_model import ModelSettings, check_model
from workflow_scripts.training.options import continued, training_identity, training_options
from workflow_scripts.training.prompt_lengths import prompt_lengths
from workflow_scripts.training.store import open_entry
from workflow_scripts.training.trainer import REWARDS_PLUGIN, Training, refuse_dropped, train, write_reward_settings
from workflow_scripts.training.training_settings import GrpoSettings
from workflow_scripts.training.validation import validates


@dataclass(frozen=True)
class Settings:
    """The training, the model and the adapter (if any) that it starts from, and the constants of its rewards."""

    seed: int
    model: ModelSettings
    training: GrpoSettings
    rewards: RewardSettings
    start_adapter: str = ""


def main(args: Namespace) -> str:
    """Train and publish to the folder `--out`."""
    settings, model, rewards = args.settings.training, args.settings.model, args.settings.rewards
    check_model(model)
    rows = read_jsonl(args.dataset, ("messages", "window_id", *reward_columns(rewards.names, rewards.target)))

    def leave_out_long_prompts(entry: Path) -> tuple[str, int]:
        """ms-swift would silently cut off the beginning of a long prompt: the role and the oldest quarters."""
        lengths = prompt_lengths(rows, model)
        kept = [row for row, length in zip(rows, lengths, strict=True) if length <= settings.max_length]
        refuse_dropped(len(rows) - len(kept), len(rows), settings.max_dropped_share)
        if len(kept) == len(rows):
            return args.dataset, 0
        write_jsonl(entry / "dataset.jsonl", kept)
        return str(entry / "dataset.jsonl"), len(rows) - len(kept)

    label = f"train_grpo {args.firm_type} {args.stage}"
    scaled = [name for name in rewards.names if is_self_scaled([name])]
    if validates(settings) and scaled:
        print(f"{label}: WARNING: {' and '.join(scaled)} is scaled by the model's own errors: a validation by it does "
              "not see errors that become smaller all alike; scaled_mae_holdings does", flush=True)  # fmt: skip
    constants = dataclasses.asdict(rewards)
    # Files of the user's own count by content, wherever they lie.
    plugins = [file_digest(path) for path in rewards.plugins]
    options = training_options(model, settings, args.dataset, args.settings.seed)
    if args.settings.start_adapter:
        options = continued(options, args.settings.start_adapter, settings)
    if settings.structured_outputs:
        options["structured_outputs_regex"] = contract_pattern(rewards.contract)
    code = digest_of(REWARDS_PLUGIN, *modules_of(rewards.names))
    identity = {
        "stage": args.stage,
        **training_identity(options, settings),
        "rewards": {"code": code, "settings": constants | {"plugins": plugins}},
    }
    entry = open_entry(args.store, identity)
    manifest = {"firm_type": args.firm_type, "identity": identity, "start_model": model.path}
    training = Training(
        label=label,
        command="rlhf",
        options=options,
        settings=settings,
        model=model,
        environment=write_reward_settings(entry, constants),
        prepare=leave_out_long_prompts,
    )
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
