"""Replay completions of one stage through rewards: their distribution, and completions that earn nothing or least.

Any reward of `holdings/rewards`, and of the user's own, can be replayed. Batch rewards see batches of
`completions_per_step` completions in the order of the file: as many as one optimizer step scores in training, but one
per prompt, where training has several.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.rewards.rewards import RewardSettings, reward_columns
from workflow_scripts.holdings.rewards.scores import answered_rows, score_tables, summary_line
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
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
    rows = answered_rows(answers, dataset)
    if len({row["window_id"] for row in answers}) < len(dataset):
        raise InputError(f"{args.completions} and {args.dataset} do not have the same window_ids")
    texts = [row["completion"] for row in answers]
    summary, zero, worst = score_tables(texts, rows, settings, args.settings.completions_per_step)
    for place, (name, value) in enumerate((("firm_type", args.firm_type), ("stage", args.stage))):
        summary.insert(place, name, value)
    for path, table in ((args.out, summary), (args.zero, zero), (args.worst, worst)):
        write_csv(path, table)
    return f"score_rewards {args.firm_type} {args.stage}: {summary_line(summary)}"


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
        zero=cli.TEXT,
        worst=cli.TEXT,
    )
