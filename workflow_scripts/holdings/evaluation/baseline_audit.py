"""Leakage checks of the baselines; apart from `text_audit`, so that another baseline queues no training."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation.audit_checks import differ
from workflow_scripts.holdings.evaluation.text_audit import scramble_labels
from workflow_scripts.holdings.forecasts.baselines import baseline_forecasts, window_features
from workflow_scripts.holdings.forecasts.residual_bands import residual_bands, residual_quantiles
from workflow_scripts.holdings.panel.contract import LABELS
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters
from workflow_scripts.holdings.texts.answers import QUANTILES
from workflow_scripts.holdings.windows.managers import (
    FACTS,
    MANAGER_COLUMNS,
    ManagerQuarters,
    attach_managers,
    manager_quarters,
)
from workflow_scripts.holdings.windows.splits import SPLITS

AUDITED_RUNS, MANAGERS_OF_RUN, AUDITED_QUARTERS = 4, 5, 4


def differing_features(sample: pa.Table, samples: Iterable[pa.Table], target: str) -> list[str]:
    """window_ids for which the baselines would read other features from the scrambled samples."""
    rebuilt = pa.concat_tables(samples)
    place = {name: row for row, name in enumerate(rebuilt["window_id"].to_pylist())}
    ids = sample["window_id"].to_pylist()
    found, expected = (window_features(table, target) for table in (sample, rebuilt.take([place[i] for i in ids])))
    differs = np.zeros(len(ids), dtype=bool)
    for a, b in zip(dataclasses.astuple(found), dataclasses.astuple(expected), strict=True):
        different = differ(a, b)
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


def differing_bands(
    training: Mapping[str, pa.Table],
    samples: Mapping[str, pa.Table],
    target: str,
    predictions: Mapping[str, pd.DataFrame],
    rng: np.random.Generator,
) -> list[str]:
    """Baselines whose quantiles are not their forecasts and the residuals of a fit on all splits before the last two.

    `training` has the windows that baselines are fitted on by split, `samples` the samples. The residuals are made
    again from the sample before the test one, and the bands from the test windows with other labels.
    """
    *before, last, asked = SPLITS
    earlier, later = [training[split] for split in before], samples[last]
    test = scramble_labels(samples[asked], rng)
    residuals = residual_quantiles(later, baseline_forecasts(pa.concat_tables(earlier), later, target), target)
    written = {name: predictions[name].set_index("window_id").loc[test["window_id"].to_pylist()] for name in residuals}
    forecasts = {name: table["predicted_delta"].to_numpy() for name, table in written.items()}
    bands = residual_bands(test, forecasts, residuals)
    return [
        name
        for name, table in written.items()
        if not np.allclose(table[list(QUANTILES)], bands[name], rtol=1e-9, atol=1e-9, equal_nan=True)
    ]


def differing_facts(
    windows: pa.Table,
    read: Callable[[Sequence[str], NDArray[np.int64]], pa.Table],
    stocks: pa.Table,
    rng: np.random.Generator,
) -> list[str]:
    """window_ids whose facts about the manager are others where the panel and the prices end at t.

    Looked at are the windows of AUDITED_RUNS runs of MANAGERS_OF_RUN managers, by their ids, in AUDITED_QUARTERS
    quarters, all drawn at random. `read` gives columns of the rows of some managers (typed, with `quarter`): of
    neighbours, because these stand together in a sorted slice. `stocks` is the table of `stock_quarters`.
    """
    managers = np.unique(windows["mgrno"].to_numpy())
    starts = rng.permutation(len(managers))[:AUDITED_RUNS]
    managers = managers[np.unique((starts[:, None] + np.arange(MANAGERS_OF_RUN)) % len(managers))]
    windows = windows.filter(pc.is_in(windows["mgrno"], pa.array(managers)))
    rows = read(MANAGER_COLUMNS, managers)
    found: list[str] = []
    for quarter in rng.permutation(np.unique(windows["quarter"].to_numpy()))[:AUDITED_QUARTERS]:
        asked = windows.filter(pc.equal(windows["quarter"], int(quarter)))
        prices = StockQuarters(_ended_at(stocks, int(quarter), ("prc_t1", "split_ratio")))
        facts = ManagerQuarters(manager_quarters([_ended_at(rows, int(quarter), LABELS)], prices))
        rebuilt = attach_managers(asked.drop_columns(list(FACTS)), facts, prices)
        pairs = [(asked[name].to_numpy(), rebuilt[name].to_numpy()) for name in FACTS]
        differs = np.any([differ(a, b) for a, b in pairs], axis=0)
        found += asked["window_id"].filter(pa.array(differs)).to_pylist()
    return sorted(found)


def _ended_at(table: pa.Table, quarter: int, dated_after: Sequence[str]) -> pa.Table:
    """The rows up to a quarter; what the last ones have of the quarter after is missing."""
    table = table.filter(pc.less_equal(table["quarter"], quarter))
    last = table["quarter"].to_numpy() == quarter
    for name in dated_after:
        values = pa.array(np.where(last, np.nan, table[name].to_numpy()))
        table = table.set_column(table.column_names.index(name), name, values)
    return table
