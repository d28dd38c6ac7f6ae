"""How each baseline does before the test quarters, and which is the best: the one that the models are held against.

Fitted on the SFT sample alone, scored on the GRPO sample; no test window is read.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.evaluation.baseline_choice import baseline_scores, chosen_baseline
from workflow_scripts.holdings.texts.targets import TargetName
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_table, write_csv


@dataclass(frozen=True)
class Settings:
    """What the baselines forecast."""

    target: TargetName


def main(args: Namespace) -> str:
    """Write the table to `--out`."""
    scores = baseline_scores(read_table(args.sft), read_table(args.grpo), args.settings.target)
    scores.insert(0, "firm_type", args.firm_type)
    write_csv(args.out, scores)
    return f"choose_baseline {args.firm_type}: {chosen_baseline(scores) or 'none'}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        sft=cli.TEXT,
        grpo=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
