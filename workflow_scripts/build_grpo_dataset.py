"""Write the GRPO prompts of one firm type, with the label columns that the rewards receive."""

from workflow_scripts.holdings.texts.conversations import grpo_rows
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, read_table, write_jsonl


def main(args) -> str:
    """Write the rows to `--out`."""
    sample = read_table(args.sample)
    rows = grpo_rows(read_jsonl(args.prompts), sample, args.exemplar_template, args.decimals, args.target)
    write_jsonl(args.out, rows)
    return f"build_grpo_dataset {args.firm_type}: {len(rows):,} rows"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        prompts=cli.TEXT,
        sample=cli.TEXT,
        firm_type=cli.TEXT,
        exemplar_template=cli.JSON,
        decimals=cli.INTEGER,
        target=cli.TEXT,
        out=cli.TEXT,
    )
