"""Evaluation tables of one firm type: forecasters × targets × treatment of unparsed completions."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.files import json_digest
from workflow_scripts.holdings.metrics import TARGETS, metrics_by_quarter, summarize
from workflow_scripts.holdings.quarters import quarter_labels

# In the headline an unparsed completion counts as "no change": silence must not beat an answer.
TREATMENTS = ("unparsed_as_no_change", "unparsed_dropped")


def join_predictions(test_rows: Sequence[dict], predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Long table: one row per forecaster and test window, joined by window_id, in the order of its hash.

    Columns: forecaster, window_id, quarter (label), holding_t, label_delta, label_tp1,
    predicted_delta, predicted_tp1 ($ million), parsed, parsed_share, valid_share. Every forecaster must cover
    exactly the test windows; InputError otherwise.
    """
    names = ("window_id", "quarter", "holding_t", "label_delta", "label_tp1")
    truth = pd.DataFrame([{name: row[name] for name in names} for row in test_rows])
    truth["quarter"] = quarter_labels(truth["quarter"])
    # Ties in a ranking fall back on the order of the rows, which must not follow managers or stocks.
    truth = truth.sort_values("window_id", key=lambda ids: ids.map(json_digest), ignore_index=True)
    tables = []
    for forecaster, table in predictions.items():
        if table["window_id"].duplicated().any() or set(table["window_id"]) != set(truth["window_id"]):
            raise InputError(f"{forecaster}: its windows are not the test windows; predict again")
        joined = truth.merge(table, on="window_id", validate="one_to_one")
        tables.append(joined.assign(forecaster=forecaster))
    return pd.concat(tables, ignore_index=True)


def true_and_predicted(rows: pd.DataFrame, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of truth and forecast ($ million); an unparsed forecast is a change of 0."""
    delta = rows["predicted_delta"].fillna(0.0).to_numpy(float)
    if target == "change":
        return rows["label_delta"].to_numpy(float), delta
    return rows["label_tp1"].to_numpy(float), rows["holding_t"].to_numpy(float) + delta


def metrics_table(joined: pd.DataFrame, k: int) -> pd.DataFrame:
    """One row per forecaster, target and treatment: coverage shares, then `summarize`.

    `coverage` is the share of parsed completions, `contract_valid` of those that obey the contract,
    bound included; `share_no_change` of forecasts within half a cent ($ 0.005 million) of 0.
    `skill` = 1 - MAE / MAE of no-change on the same windows.
    """
    rows = []
    for forecaster, table in joined.groupby("forecaster", sort=False):
        for treatment in TREATMENTS:
            kept = table if treatment == TREATMENTS[0] else table[table["parsed"]]
            for target in TARGETS:
                true, predicted = true_and_predicted(kept, target)
                stay = np.zeros(len(kept)) if target == "change" else kept["holding_t"].to_numpy(float)
                values = summarize(true, predicted, kept["quarter"].to_numpy(), k)
                reference = float(np.mean(np.abs(stay - true))) if len(kept) else float("nan")
                rows.append(
                    {
                        "forecaster": forecaster,
                        "target": target,
                        "treatment": treatment,
                        "coverage": table["parsed_share"].mean(),
                        "contract_valid": table["valid_share"].mean(),
                        "share_no_change": (kept["predicted_delta"].fillna(0.0).abs() < 0.005).mean(),
                        "skill": 1.0 - values["MAE"] / reference if reference > 0 else float("nan"),
                        **values,
                    }
                )
    return pd.DataFrame(rows)


def quarterly_table(joined: pd.DataFrame, k: int) -> pd.DataFrame:
    """`metrics_by_quarter` per forecaster and target, unparsed counted as no change."""
    tables = []
    for forecaster, table in joined.groupby("forecaster", sort=False):
        for target in TARGETS:
            true, predicted = true_and_predicted(table, target)
            quarterly = metrics_by_quarter(true, predicted, table["quarter"].to_numpy(), k)
            quarterly.insert(0, "target", target)
            quarterly.insert(0, "forecaster", forecaster)
            tables.append(quarterly)
    return pd.concat(tables, ignore_index=True)


def trimmed_table(joined: pd.DataFrame, k: int, percentile: float) -> pd.DataFrame:
    """Debug table: metrics without the windows whose |error| exceeds the forecaster's percentile.

    Trimming by the error flatters everyone: it shows whether few windows own a metric, no more.
    """
    rows = []
    for forecaster, table in joined.groupby("forecaster", sort=False):
        for target in TARGETS:
            true, predicted = true_and_predicted(table, target)
            error = np.abs(predicted - true)
            kept = error <= np.percentile(error, percentile)
            values = summarize(true[kept], predicted[kept], table["quarter"].to_numpy()[kept], k)
            trimmed = {"forecaster": forecaster, "target": target, "trimmed_above_percentile": percentile}
            rows.append({**trimmed, "windows_trimmed": int((~kept).sum()), **values})
    return pd.DataFrame(rows)
