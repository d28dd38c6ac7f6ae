"""Write the test conversations of one firm type, with unrounded labels, quarter and ids in columns."""

from argparse import Namespace

from workflow_scripts.holdings.texts.conversations import holdout_rows
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, read_table, write_jsonl


def main(args: Namespace) -> str:
    """Write the rows to `--out`."""
    rows = holdout_rows(read_jsonl(args.prompts), read_table(args.sample))
    write_jsonl(args.out, rows)
    return f"build_test_dataset {args.firm_type}: {len(rows):,} rows"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(main, __doc__, prompts=cli.TEXT, sample=cli.TEXT, firm_type=cli.TEXT, out=cli.TEXT)
