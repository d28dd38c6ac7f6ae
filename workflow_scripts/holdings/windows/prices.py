"""Prices of t+1 and splits for the windows of a sample."""

import pyarrow as pa

from workflow_scripts.holdings.panel.stock_quarters import StockQuarters
from workflow_scripts.holdings.windows.lags import lagged


def attach_prices(sample: pa.Table, stocks: StockQuarters, history_quarters: int) -> pa.Table:
    """The sample with the columns of `StockQuarters.next_prices`, and the splits of its history, known at t.

    `split_ratio_lag{k}`, k = 1..n-1, is that of the quarter from t-k to t-k+1.
    """
    permno, quarter = sample["permno"].to_numpy(), sample["quarter"].to_numpy()
    columns = stocks.next_prices(permno, quarter)
    for lag in range(1, history_quarters):
        columns[lagged("split_ratio", lag)] = stocks.find("split_ratio", permno, quarter - lag)
    for name, values in columns.items():
        sample = sample.append_column(name, pa.array(values))
    return sample
