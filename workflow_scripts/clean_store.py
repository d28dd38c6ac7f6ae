"""Delete from the store of a run what no published adapter needs.

Deleted are finished trainings that are not published, unfinished ones older than the adapter that is, and the
checkpoints of finished ones. Kept are published results, trainings that can be resumed, and completions.
"""

import shutil

from workflow_scripts import cli
from workflow_scripts.store import COMPLETE_STATES, STALE_STATES, folder_size, store_entries


def main(args) -> str:
    """Delete, and return what was deleted."""
    lines, freed = [], 0
    for entry in store_entries(args.run_folder):
        if entry.state in STALE_STATES:
            doomed = [entry.folder]
        elif entry.state in COMPLETE_STATES:
            doomed = [entry.folder / name for name in ("checkpoints", "datasets") if (entry.folder / name).is_dir()]
        else:
            doomed = []
        for folder in doomed:
            size = folder_size(folder)
            shutil.rmtree(folder)
            freed += size
            lines.append(f"deleted {folder} ({size / 1e6:,.1f} MB)")
    return "\n".join([*lines, f"clean_store: {freed / 1e6:,.1f} MB freed"])


if __name__ == "__main__":
    cli.run(main, __doc__, run_folder=cli.TEXT)
