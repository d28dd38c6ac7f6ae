"""Read one of the SEC's Form 13F data sets: its filings, and what each of them reports of each CUSIP.

Steps: SUBMISSION, COVERPAGE and SUMMARYPAGE → one row per filing; stream INFOTABLE, leave out options and principal
amounts, add up the rows of one filing and CUSIP → positions. A new quarter costs this job and what follows; the zips
before it are not read again. Fails where the zip is damaged or lacks a table or a column.
"""

import tempfile
from argparse import Namespace
from pathlib import Path

from workflow_scripts.holdings.sec.reading import read_zip
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_table, write_tables


def main(args: Namespace) -> str:
    """Write the positions of the zip `--zip` to `--positions`, its filings to `--filings`."""
    out = Path(args.positions).parent
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="holdings-sec-") as folder:
        content = read_zip(args.zip, folder)
        positions = write_tables(args.positions, content.positions)
    write_table(args.filings, content.filings)
    rows = sum(content.filings["rows"].to_pylist())
    lost = sum(content.orphans.values())
    warning = f"; WARNING: {lost:,} rows belong to no filing of SUBMISSION" if lost else ""
    return f"read_sec_zip: {len(content.filings):,} filings, {rows:,} rows, {positions:,} positions{warning}"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(main, __doc__, zip=cli.TEXT, positions=cli.TEXT, filings=cli.TEXT)
