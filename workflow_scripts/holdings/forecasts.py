"""Forecasts of the change from completions and from baselines, one table per forecaster."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workflow_scripts.holdings.contract import parse_completion
from workflow_scripts.holdings.errors import InputError


def _table(window_ids, holding_t, predicted_delta, parsed, contract, bound, fault) -> pd.DataFrame:
    """The columns of every prediction file, $ million."""
    return pd.DataFrame(
        {
            "window_id": list(window_ids),
            "predicted_delta": predicted_delta,
            "predicted_tp1": holding_t + predicted_delta,
            "parsed": parsed,
            "contract": contract,
            "bound": bound,
            "fault": fault,
        }
    )


def prediction_table(window_ids: Sequence[str], holding_t: ArrayLike, predicted_delta: ArrayLike) -> pd.DataFrame:
    """Predictions of a numeric forecaster ($ million), in the columns of `parse_predictions`; it always answers."""
    delta, held = np.asarray(predicted_delta, float), np.asarray(holding_t, float)
    return _table(window_ids, held, delta, parsed=True, contract=True, bound=delta >= -held, fault="")


def parse_predictions(
    completions: Sequence[dict], test_rows: Sequence[dict], target: str = "holding_delta"
) -> pd.DataFrame:
    """One row per test row, in its order, joined by window_id; predictions in $ million.

    Columns: window_id, predicted_delta, predicted_tp1, parsed, contract, bound, fault.
    `predicted_delta` is missing where nothing could be parsed. A prediction below the bound is kept
    as it was written: evaluation must not repair a model. Raises InputError when the ids differ.
    """
    by_id = {row["window_id"]: row["completion"] for row in completions}
    ids = [row["window_id"] for row in test_rows]
    if len(by_id) != len(completions) or set(by_id) != set(ids):
        raise InputError("completions and test rows do not have the same window_ids; generate them again")
    parsed = [parse_completion(by_id[row["window_id"]], row["holding_t"], target) for row in test_rows]
    held = np.array([row["holding_t"] for row in test_rows], dtype=float)
    delta = np.array([np.nan if p.delta is None else p.delta for p in parsed])
    return _table(
        ids,
        held,
        delta,
        parsed=~np.isnan(delta),
        contract=[p.contract for p in parsed],
        bound=[p.bound for p in parsed],
        fault=[p.fault for p in parsed],
    )
