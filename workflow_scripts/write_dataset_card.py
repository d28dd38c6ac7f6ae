"""Write the dataset card of one firm type: what its datasets hold, how to load them, where they come from."""

from argparse import Namespace
from pathlib import Path

from workflow_scripts.holdings.report.dataset_card import CardFacts, dataset_card, split_facts
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import file_digest, iterate_jsonl, write_text


def main(args: Namespace) -> str:
    """Write `--out`; the splits are named as their files."""
    splits = {Path(path).stem: split_facts(iterate_jsonl(path), file_digest(path)) for path in args.datasets}
    write_text(args.out, dataset_card(args.firm_type, args.settings, splits))
    return f"write_dataset_card {args.firm_type}: {', '.join(splits)}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        datasets=cli.FILES,
        firm_type=cli.TEXT,
        settings=cli.settings_option(CardFacts),
        out=cli.TEXT,
    )
