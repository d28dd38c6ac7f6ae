"""What is forecast of the next quarter: one long table of all forecasters, as it is published and kept."""

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa

from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.texts.answers import QUANTILES
from workflow_scripts.plumbing.errors import InputError

Tickers = Mapping[int, tuple[str, str]]
# Columns in $ million say so in the file.
MONEY = ("holding_t", "predicted_delta", "predicted_tp1")


def forecast_table(sample: pa.Table, predictions: Mapping[str, pd.DataFrame], tickers: Tickers | None) -> pd.DataFrame:
    """One row per window and forecaster, windows in the order of the sample.

    `predictions` are the tables of predictions by forecaster (`predictions.py`). Columns: window_id, mgrno, permno,
    ticker (where tickers are named), quarter, quarter_forecast (t+1), holding_t_musd, forecaster, predicted_delta_musd,
    predicted_tp1_musd, QUANTILES ($ million of the change; empty where a forecaster has none), samples, parsed,
    valid_share. InputError where a forecaster has other windows than the sample.
    """
    quarter = sample["quarter"].to_numpy()
    windows = pd.DataFrame({name: sample[name].to_numpy() for name in ("mgrno", "permno", "holding_t")})
    windows.insert(0, "window_id", sample["window_id"].to_pylist())
    if tickers is not None:
        windows["ticker"] = [tickers.get(permno, ("", ""))[0] for permno in windows["permno"].tolist()]
    windows["quarter"], windows["quarter_forecast"] = quarter_labels(quarter), quarter_labels(quarter + 1)
    tables = []
    for forecaster, table in predictions.items():
        if list(table["window_id"]) != list(windows["window_id"]):
            raise InputError(f"{forecaster}: its windows are not those of the forecast; predict again")
        values = table.reindex(columns=["predicted_delta", "predicted_tp1", *QUANTILES])
        answers = table[["samples", "parsed", "valid_share"]]
        named = windows.assign(forecaster=forecaster, place=range(len(windows)))
        tables.append(pd.concat([named, values.astype(float), answers], axis=1))
    table = pd.concat(tables, ignore_index=True).sort_values("place", kind="stable", ignore_index=True)
    ids = ["window_id", "mgrno", "permno", *(["ticker"] if tickers is not None else []), "quarter", "quarter_forecast"]
    order = [*ids, "holding_t", "forecaster", "predicted_delta", "predicted_tp1", *QUANTILES]
    return table[[*order, "samples", "parsed", "valid_share"]].rename(columns={name: f"{name}_musd" for name in MONEY})


def kept_forecasts(table: pd.DataFrame) -> pd.DataFrame:
    """A kept table in the names of Python, without the units."""
    return table.rename(columns={f"{name}_musd": name for name in MONEY})
