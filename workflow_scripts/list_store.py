"""List what the store of a run holds: every training by fingerprint, whether it is needed, and its size."""

from argparse import Namespace

from workflow_scripts.plumbing import cli
from workflow_scripts.training.store import store_entries


def main(args: Namespace) -> str:
    """Return the list, one line per entry."""
    lines = [f"{'firm type':<20}  {'stage':<11}  {'fingerprint':<16}  {'MB':>9}  state"]
    for entry in store_entries(args.run_folder):
        size = f"{entry.size / 1e6:>9,.1f}"
        lines.append(f"{entry.firm_type:<20}  {entry.stage:<11}  {entry.folder.name:<16}  {size}  {entry.state}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main, __doc__, run_folder=cli.TEXT)
