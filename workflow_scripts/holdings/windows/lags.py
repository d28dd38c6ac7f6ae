"""Names of the wide columns of a sample: every feature at every lag."""

import pyarrow as pa


def lagged(feature: str, lag: int | str) -> str:
    """Column name of a feature `lag` quarters before t; lag 0 is t itself."""
    return f"{feature}_lag{lag}"


def history_lags(history_quarters: int) -> range:
    """Lags of a window, oldest first: 3, 2, 1, 0 for four quarters."""
    return range(history_quarters - 1, -1, -1)


def sample_lags(sample: pa.Table) -> range:
    """Lags of a sample's windows, oldest first."""
    return history_lags(sum(name.startswith(lagged("holding_t", "")) for name in sample.column_names))
