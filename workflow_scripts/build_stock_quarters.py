"""Find the price of every stock-quarter of one slice, that of the next quarter, and the splits in between.

The slice is streamed twice in its own order, so that memory is that of the stock-quarters.
"""

from argparse import Namespace

import numpy as np

from workflow_scripts.holdings.panel.slices import panel_batches
from workflow_scripts.holdings.panel.stock_quarters import stock_quarters
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_table


def main(args: Namespace) -> str:
    """Write the stock-quarters to `--out`."""
    table = stock_quarters(lambda columns: panel_batches(args.panel, columns))
    write_table(args.out, table)
    splits = int(np.isfinite(table["split_ratio"].to_numpy()).sum())
    unpriced = int(np.isnan(table["prc"].to_numpy()).sum())
    return (
        f"build_stock_quarters {args.firm_type}: {table.num_rows:,} stock-quarters, {unpriced:,} without a price that "
        f"its holders agree on, {splits:,} split-like"
    )


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(main, __doc__, panel=cli.TEXT, firm_type=cli.TEXT, out=cli.TEXT)
