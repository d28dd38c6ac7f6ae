"""Write the SFT conversations of one firm type: prompt, generated think block, rounded label."""

from workflow_scripts.holdings.texts.conversations import sft_rows
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, read_table, write_json, write_jsonl


def main(args) -> str:
    """Write the rows to `--out` and the counts to `--report`."""
    sample = read_table(args.sample)
    rows, counts = sft_rows(read_jsonl(args.prompts), sample, args.target, args.decimals, args.think_template)
    write_jsonl(args.out, rows)
    write_json(args.report, {"firm_type": args.firm_type, **counts})
    rounded = counts["labels_rounded_to_zero"]
    return f"build_sft_dataset {args.firm_type}: {len(rows):,} rows, {rounded:,} labels rounded to zero"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        prompts=cli.TEXT,
        sample=cli.TEXT,
        firm_type=cli.TEXT,
        target=cli.TEXT,
        decimals=cli.INTEGER,
        think_template=cli.JSON,
        out=cli.TEXT,
        report=cli.TEXT,
    )
