"""Forecasts of the change from completions and from baselines, one table per forecaster."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.plumbing.errors import InputError


def prediction_table(window_ids: Sequence[str], holding_t: ArrayLike, predicted_delta: ArrayLike) -> pd.DataFrame:
    """Predictions of a numeric forecaster ($ million), in the columns of `parse_predictions`; it always answers."""
    delta, held = np.asarray(predicted_delta, float), np.asarray(holding_t, float)
    return pd.DataFrame(
        {
            "window_id": list(window_ids),
            "predicted_delta": delta,
            "predicted_tp1": held + delta,
            "mean_delta": delta,
            "spread_delta": np.nan,
            "samples": 1,
            "parsed": True,
            "parsed_share": 1.0,
            "valid_share": (delta >= -held).astype(float),
            "bound_share": (delta >= -held).astype(float),
            "truncated_share": 0.0,
            "fault": "",
        }
    )


def parse_predictions(
    completions: Sequence[dict], test_rows: Sequence[dict], target: str = "holding_delta", think: bool = True
) -> pd.DataFrame:
    """One row per test row, in its order, joined by window_id; predictions in $ million.

    `target` and `think` are what the prompts ask for: the number, and whether a think block comes before it. A window
    may have several sampled completions, all windows equally many. Columns: window_id, predicted_delta (the
    median of the samples that could be parsed), predicted_tp1, mean_delta, spread_delta (their mean and standard
    deviation, the latter missing for fewer than two), samples, parsed (whether any was), and shares of the samples:
    parsed_share, valid_share (that obey the output contract and its bound), bound_share (with a number not below the
    bound), truncated_share (cut at max_tokens); fault (of the first sample that has one). predicted_delta is missing
    where nothing could be parsed. A prediction below the bound is kept as it was written: evaluation must not repair a
    model. Raises InputError when the ids differ.
    """
    answers: dict[str, list[dict]] = {row["window_id"]: [] for row in test_rows}
    for row in completions:
        if row["window_id"] not in answers:
            raise InputError(f"completions and test rows do not have the same window_ids ({row['window_id']})")
        answers[row["window_id"]].append(row)
    sizes = {len(samples) for samples in answers.values()}
    if len(sizes) > 1 or 0 in sizes:
        raise InputError("completions and test rows do not have the same window_ids; generate them again")
    rows = []
    for row in test_rows:
        samples = answers[row["window_id"]]
        parsed = [parse_completion(sample["completion"], row["holding_t"], target, think) for sample in samples]
        numbers = np.array([p.delta for p in parsed if p.delta is not None])
        median = float(np.median(numbers)) if len(numbers) else np.nan
        rows.append(
            {
                "window_id": row["window_id"],
                "predicted_delta": median,
                "predicted_tp1": row["holding_t"] + median,
                "mean_delta": float(numbers.mean()) if len(numbers) else np.nan,
                "spread_delta": float(numbers.std(ddof=1)) if len(numbers) > 1 else np.nan,
                "samples": len(parsed),
                "parsed": len(numbers) > 0,
                "parsed_share": len(numbers) / len(parsed),
                "valid_share": sum(p.valid for p in parsed) / len(parsed),
                "bound_share": sum(p.bound for p in parsed) / len(parsed),
                "truncated_share": sum(sample["finish_reason"] == "length" for sample in samples) / len(parsed),
                "fault": next((p.fault for p in parsed if p.fault), ""),
            }
        )
    return pd.DataFrame(rows)
