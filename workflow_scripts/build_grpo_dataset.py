"""Write the GRPO prompts of one firm type, with the label columns that the rewards receive."""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.texts.conversations import ThinkStyle, grpo_rows
from workflow_scripts.holdings.texts.targets import TargetName
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, read_table, write_jsonl


@dataclass(frozen=True)
class Settings:
    """The target, and how prompts close with an example of a think block, if they do."""

    target: TargetName
    exemplar: ThinkStyle | None


def main(args: Namespace) -> str:
    """Write the rows to `--out`."""
    sample = read_table(args.sample)
    rows = grpo_rows(read_jsonl(args.prompts), sample, args.settings.exemplar, args.settings.target)
    write_jsonl(args.out, rows)
    return f"build_grpo_dataset {args.firm_type}: {len(rows):,} rows"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        prompts=cli.TEXT,
        sample=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
