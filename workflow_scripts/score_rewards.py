"""Replay one stage's completions through rewards: their distribution, and the completions that earn least.

Any reward of `holdings/rewards` can be replayed. Batch rewards see batches of `completions_per_step`
completions in the order of the file: as many as one optimizer step scores in training, but one per
prompt, where training has several.
"""

from argparse import Namespace
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.holdings.rewards.rewards import RewardSettings, replay, reward_columns
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_jsonl, write_csv

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
EXAMPLES = 5


@dataclass(frozen=True)
class Settings:
    """Which rewards are replayed, with which constants, and how many completions they see together."""

    rewards: RewardSettings
    completions_per_step: int


def main(args: Namespace) -> str:
    """Write the distributions to `--out` and the worst completions to `--samples`."""
    settings = args.settings.rewards
    names = settings.names
    needed = reward_columns(names, settings.target)
    answers = read_jsonl(args.completions, ("window_id", "completion"))
    by_id = {row["window_id"]: row for row in read_jsonl(args.dataset, ("window_id", *needed))}
    if {row["window_id"] for row in answers} != set(by_id):
        raise InputError(f"{args.completions} and {args.dataset} do not have the same window_ids")
    completions, rows = [row["completion"] for row in answers], [by_id[row["window_id"]] for row in answers]
    columns = {column: [row[column] for row in rows] for column in needed}
    summaries, samples = [], []
    for name in names:
        rewards = replay(name, settings, completions, columns, args.settings.completions_per_step)
        quantiles = {f"q{int(q * 100):02d}": np.quantile(rewards, q) for q in QUANTILES}
        summaries.append(
            {
                "firm_type": args.firm_type,
                "stage": args.stage,
                "reward": name,
                "count": len(rewards),
                "mean": rewards.mean(),
                "std": rewards.std(ddof=1) if len(rewards) > 1 else float("nan"),
                "min": rewards.min(),
                **quantiles,
                "max": rewards.max(),
            }
        )
        for i in np.argsort(rewards, kind="stable")[:EXAMPLES]:
            labels = {column: values[i] for column, values in columns.items()}
            sample = {"reward": name, "value": rewards[i], "window_id": rows[i]["window_id"], **labels}
            samples.append({**sample, "completion": completions[i]})
    write_csv(args.out, pd.DataFrame(summaries))
    write_csv(args.samples, pd.DataFrame(samples))
    means = ", ".join(f"{row['reward']} {row['mean']:+.2f}" for row in summaries)
    return f"score_rewards {args.firm_type} {args.stage}: {means}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        completions=cli.TEXT,
        dataset=cli.TEXT,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
        samples=cli.TEXT,
    )
