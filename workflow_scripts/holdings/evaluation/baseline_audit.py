"""Leakage checks of the baselines; apart from `text_audit`, so that another baseline queues no training."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.holdings.evaluation.text_audit import scramble_labels
from workflow_scripts.holdings.forecasts.baselines import baseline_forecasts, window_features


def differing_features(sample: pa.Table, samples: Iterable[pa.Table], target: str) -> list[str]:
    """window_ids for which the baselines would read other features from the scrambled samples."""
    rebuilt = pa.concat_tables(samples)
    place = {name: row for row, name in enumerate(rebuilt["window_id"].to_pylist())}
    ids = sample["window_id"].to_pylist()
    found, expected = (window_features(table, target) for table in (sample, rebuilt.take([place[i] for i in ids])))
    differs = np.zeros(len(ids), dtype=bool)
    for a, b in zip(dataclasses.astuple(found), dataclasses.astuple(expected), strict=True):
        different = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        differs |= different.any(axis=1) if different.ndim > 1 else different
    return [ids[row] for row in np.flatnonzero(differs)]


def differing_baselines(
    train: pa.Table, test: pa.Table, target: str, predictions: Mapping[str, pd.DataFrame], rng: np.random.Generator
) -> list[str]:
    """Baselines whose forecasts change when the test labels do, or when half of the test windows are not there.

    `predictions` are the forecasters' tables; what is fitted on training windows alone gives the same numbers.
    """
    half = np.sort(rng.permutation(test.num_rows)[: max(test.num_rows // 2, 1)])
    again = baseline_forecasts(train, scramble_labels(test, rng).take(half), target)
    ids = [test["window_id"][int(i)].as_py() for i in half]
    differing = []
    for name, forecast in again.items():
        written = predictions[name].set_index("window_id")["predicted_delta"].reindex(ids).to_numpy()
        # The order of sums, hence the last digits, may depend on the number of windows.
        if not np.allclose(written, forecast, rtol=1e-9, atol=1e-9, equal_nan=True):
            differing.append(name)
    return differing
