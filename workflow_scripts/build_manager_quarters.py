"""Sum up what every manager of one slice did with all his positions, quarter by quarter.

The slice is streamed once in its own order, so that memory is that of the managers' quarters.
"""

from argparse import Namespace

from workflow_scripts.holdings.panel.slices import panel_batches
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters
from workflow_scripts.holdings.windows.managers import MANAGER_COLUMNS, manager_quarters
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_table, write_table


def main(args: Namespace) -> str:
    """Write the managers' quarters to `--out`."""
    stocks = StockQuarters(read_table(args.stocks))
    table = manager_quarters(panel_batches(args.panel, MANAGER_COLUMNS), stocks)
    write_table(args.out, table)
    trades = int(table["trades"].to_numpy().sum())
    return f"build_manager_quarters {args.firm_type}: {table.num_rows:,} managers' quarters, {trades:,} trades"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(main, __doc__, panel=cli.TEXT, stocks=cli.TEXT, firm_type=cli.TEXT, out=cli.TEXT)
