"""Add the exit rows that one slice lacks: holding 0 where a manager files in t+1 and the pair is gone.

Steps: find the quarters in which each manager files, and those of all stocks in all slices of the panel → stream the
slice by blocks of whole pairs and put in what is missing. The slice that is made is sorted; it obeys the panel contract
as the one does that it is made from.
"""

from argparse import Namespace
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.holdings.panel import exits
from workflow_scripts.holdings.panel.contract import PANEL_COLUMNS
from workflow_scripts.holdings.panel.slices import check_keys, panel_batches, panel_blocks, panel_schema
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_json, write_tables


def stock_rows(path: str) -> Iterator[pa.Table]:
    """The rows of a slice by stock; none of an empty one. The others of the panel may never have been checked."""
    panel_schema(path, exits.STOCK_COLUMNS)
    if pq.read_metadata(path).num_rows:
        check_keys(path)
        yield from panel_batches(path, exits.STOCK_COLUMNS)


def main(args: Namespace) -> str:
    """Write the slice with its exits to `--out`."""
    filed = exits.filings(panel_batches(args.panel, exits.FILING_COLUMNS))
    traded = exits.stocks(table for path in args.slices for table in stock_rows(path))
    made = 0

    def completed() -> Iterator[pa.Table]:
        nonlocal made
        for block in panel_blocks(args.panel, PANEL_COLUMNS, read_json(args.report)["sorted"]):
            table, count = exits.add_exits(block, filed, traded)
            made += count
            yield table

    rows = write_tables(args.out, completed())
    return f"add_exits {args.firm_type}: {rows:,} rows, {made:,} of them exits that had none"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        panel=cli.TEXT,
        report={**cli.TEXT, "help": "of check_panel: whether the slice is sorted"},
        slices={**cli.FILES, "help": "all slices of the panel: which stocks are there in a quarter"},
        firm_type=cli.TEXT,
        out=cli.TEXT,
    )
