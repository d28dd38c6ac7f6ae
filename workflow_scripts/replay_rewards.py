"""Replay any file of completions through rewards, beside the dataset whose prompts were completed.

Another run's completions, some that were edited by hand, or rollouts: rows of JSON with window_id and completion. They
are joined to the dataset by window_id; prompts that nobody has completed are counted. Otherwise as `score_rewards`.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.rewards.rewards import RewardSettings, reward_columns
from workflow_scripts.holdings.rewards.scores import answered_rows, score_tables, summary_line
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, write_csv
from workflow_scripts.training.own_rewards import load_rewards


@dataclass(frozen=True)
class Settings:
    """Which rewards are replayed, with which constants, and how many completions they see together."""

    rewards: RewardSettings
    completions_per_step: int


def main(args: Namespace) -> str:
    """Write the distributions to `--out`, completions that earn 0 to `--zero`, and the worst others to `--worst`."""
    settings = args.settings.rewards
    load_rewards(settings.plugins, settings.names)
    answers = read_jsonl(args.completions, ("window_id", "completion"))
    dataset = read_jsonl(args.dataset, ("window_id", *reward_columns(settings.names, settings.target)))
    texts = [row["completion"] for row in answers]
    tables = score_tables(texts, answered_rows(answers, dataset), settings, args.settings.completions_per_step)
    for path, table in zip((args.out, args.zero, args.worst), tables, strict=True):
        write_csv(path, table)
    silent = len({row["window_id"] for row in dataset} - {row["window_id"] for row in answers})
    return f"replay_rewards: {silent:,} of {len(dataset):,} prompts without a completion; {summary_line(tables[0])}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        completions=cli.TEXT,
        dataset=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
        zero=cli.TEXT,
        worst=cli.TEXT,
    )
