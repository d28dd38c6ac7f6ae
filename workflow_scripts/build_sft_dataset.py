"""Write the SFT conversations of one firm type: prompt, generated think block if there is one, rounded label."""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.texts.answers import AnswerName
from workflow_scripts.holdings.texts.conversations import ThinkStyle, sft_rows
from workflow_scripts.holdings.texts.targets import TargetName
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, read_table, write_json, write_jsonl


@dataclass(frozen=True)
class Settings:
    """How the completions to imitate are written."""

    target: TargetName
    decimals: int
    think: ThinkStyle | None
    answer: AnswerName


def main(args: Namespace) -> str:
    """Write the rows to `--out` and the counts to `--report`."""
    sample = read_table(args.sample)
    settings = args.settings
    prompts = read_jsonl(args.prompts)
    rows, counts = sft_rows(prompts, sample, settings.target, settings.decimals, settings.think, settings.answer)
    write_jsonl(args.out, rows)
    write_json(args.report, {"firm_type": args.firm_type, **counts})
    rounded = counts["labels_rounded_to_zero"]
    return f"build_sft_dataset {args.firm_type}: {len(rows):,} rows, {rounded:,} labels rounded to zero"


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
        report=cli.TEXT,
    )
