"""Sum up the quarters of one slice: of every stock its price and splits, of every manager what he did with all he held.

Steps: the price of every stock-quarter and that of the next quarter, and the splits in between → what every manager
did, without prices' moves and splits. The slice is streamed three times in its own order, so that memory is that of the
two tables.
"""

from argparse import Namespace

import numpy as np

from workflow_scripts.holdings.panel.slices import panel_batches
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters, stock_quarters
from workflow_scripts.holdings.windows.managers import MANAGER_COLUMNS, manager_quarters
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_table


def main(args: Namespace) -> str:
    """Write the stock-quarters to `--stocks` and the managers' quarters to `--managers`."""
    stocks = stock_quarters(lambda columns: panel_batches(args.panel, columns))
    write_table(args.stocks, stocks)
    managers = manager_quarters(panel_batches(args.panel, MANAGER_COLUMNS), StockQuarters(stocks))
    write_table(args.managers, managers)
    splits = int(np.isfinite(stocks["split_ratio"].to_numpy()).sum())
    unpriced = int(np.isnan(stocks["prc"].to_numpy()).sum())
    trades = int(managers["trades"].to_numpy().sum())
    return (
        f"build_quarters {args.firm_type}: {stocks.num_rows:,} stock-quarters, {unpriced:,} without a price that its "
        f"holders agree on, {splits:,} split-like; {managers.num_rows:,} managers' quarters, {trades:,} trades"
    )


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(main, __doc__, panel=cli.TEXT, firm_type=cli.TEXT, stocks=cli.TEXT, managers=cli.TEXT)
