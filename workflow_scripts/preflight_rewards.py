"""Score canned policies with the rewards that a GRPO stage is about to train with.

Writes what each reward, and their weighted total, pays on the stage's split to every policy of
`holdings/rewards/preflight.py`. Fails when the oracle does not beat every other policy, when answers of a prompt are
not paid in the order of their errors, or practically alike in too many groups (section `preflight`): then nothing is
written and nothing is trained.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.rewards.preflight import (
    SCALED_TRUTH,
    TOTAL,
    PreflightSettings,
    check_preflight,
    misleading_means,
    preflight_table,
)
from workflow_scripts.holdings.rewards.rewards import RewardSettings, reward_columns
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_jsonl, write_csv
from workflow_scripts.plumbing.random_streams import random_stream
from workflow_scripts.training.own_rewards import load_rewards


@dataclass(frozen=True)
class Settings:
    """The rewards that the stage will train with, how it groups and batches completions, and what is demanded."""

    seed: int
    weights: list[float]
    rewards: RewardSettings
    num_generations: int
    completions_per_step: int
    limits: PreflightSettings


def main(args: Namespace) -> str:
    """Write the table to `--out`."""
    settings = args.settings
    load_rewards(settings.rewards.plugins, settings.rewards.names)
    target = settings.rewards.target
    needed = {"holding_t", TARGETS[target].label, "past_change", *reward_columns(settings.rewards.names, target)}
    rows = read_jsonl(args.dataset, needed)
    rng = random_stream(settings.seed, "preflight", args.firm_type)
    table = preflight_table(
        rows,
        settings.rewards,
        settings.weights,
        settings.num_generations,
        settings.completions_per_step,
        rng,
    )
    try:
        check_preflight(table, settings.rewards.names, settings.limits)
    except InputError as error:
        raise InputError(f"{args.dataset}: {error}\n{table.to_string(index=False)}") from error
    table.insert(0, "firm_type", args.firm_type)
    table.insert(1, "stage", args.stage)
    write_csv(args.out, table)
    label = f"preflight_rewards {args.firm_type} {args.stage}"
    if warning := misleading_means(table):
        print(f"{label}: WARNING: {warning}", flush=True)
    total = table[table["reward"] == TOTAL].set_index("policy")
    second, groups = total["mean"].drop("oracle").nlargest(1), total.loc[SCALED_TRUTH]
    order, dead = (f"{groups[name]:.1%}" for name in ("in_order", "dead_groups"))
    return (
        f"{label}: oracle {total['mean']['oracle']:+.3f}, next {second.index[0]} {second.iloc[0]:+.3f}; of answers "
        f"from -1 to 1.5 times the truth {order} of the pairs in order, {dead} of the groups dead"
    )


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        dataset=cli.TEXT,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
