"""Delete from a run what no published adapter needs.

A finished training whose adapter is not the published one is deleted. So is an unfinished training that is older than
the published adapter, because nobody will resume it. Of a finished training that is kept, the checkpoints go. What
a hard kill has left under temporary names goes once it is a day old: a younger file may belong to a job that is
running. Published results, trainings that can be resumed, and completions stay.
"""

import contextlib
import shutil
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import PART
from workflow_scripts.training.store import COMPLETE_STATES, STALE_STATES, folder_size, store_entries

DAY = 86400.0


def not_needed(run_folder: str) -> Iterator[Path]:
    """Files and folders to delete."""
    for entry in store_entries(run_folder):
        if entry.state in STALE_STATES:
            yield entry.folder
        elif entry.state in COMPLETE_STATES:
            unneeded = ("checkpoints", "checkpoints.digests", "datasets")
            yield from (entry.folder / name for name in unneeded if (entry.folder / name).is_dir())
    # A younger one may belong to a job that is running.
    for path in Path(run_folder).rglob(f".*{PART}"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - DAY:
                yield path


def main(args: Namespace) -> str:
    """Delete, and return what was deleted."""
    lines, freed = [], 0
    for path in list(not_needed(args.run_folder)):
        if not path.exists():
            continue  # it lay in a folder that is gone
        if path.is_dir():
            size = folder_size(path)
            shutil.rmtree(path)
        else:
            size = path.stat().st_size
            path.unlink()
        freed += size
        lines.append(f"deleted {path} ({size / 1e6:,.1f} MB)")
    return "\n".join([*lines, f"clean_store: {freed / 1e6:,.1f} MB freed"])


if __name__ == "__main__":
    cli.run(main, __doc__, run_folder=cli.TEXT)
