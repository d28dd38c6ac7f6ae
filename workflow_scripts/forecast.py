"""Publish the forecasts of the next quarter: a line each in the run's ledger, and the file kept under its digest.

The ledger's chain and all kept files are checked first. A forecast that the ledger has already adds no line. This is
the one place where a clock is read: when a forecast was made is what its record is about.
"""

import datetime as dt
from argparse import Namespace
from pathlib import Path

from workflow_scripts.holdings.forecasts.ledger import KEPT, Published, publish, read_ledger
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_json
from workflow_scripts.plumbing.project_version import project_version
from workflow_scripts.training.store import alone_in


def main(args: Namespace) -> str:
    """Append to the ledger and keep the files in the folder beside it."""
    folder = Path(args.ledger).parent
    forecasts = [
        Published(Path(path), **read_json(entry)) for path, entry in zip(args.forecasts, args.entries, strict=True)
    ]
    with alone_in(folder / KEPT, "forecast"):
        new = publish(folder, forecasts, dt.datetime.now(dt.UTC), project_version(args.project))
        lines = read_ledger(folder)
    what = ", ".join(f"{line['firm_type']} {line['quarter_forecast']}" for line in new) or "none"
    return f"forecast: new in {args.ledger}: {what}; {len(lines)} lines, the last with digest {lines[-1]['digest']}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        ledger=cli.TEXT,
        forecasts={**cli.FILES, "help": "by firm type"},
        entries={**cli.FILES, "help": "what the ledger says of each, in the same order"},
        project={"help": "folder of the project, whose version is noted"},
    )
