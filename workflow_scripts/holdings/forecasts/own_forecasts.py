"""A CSV of the user's own forecasts as a table of predictions: every test window once, numbers in every cell.

Columns: window_id, predicted_delta ($ million), and any number of quantiles of the change ($ million), named q and the
percentage: q05, q50, q97.5. Quantiles do not fall from one to the next, and are kept beside the predictions; a file
that has all of `quantiles.QUANTILES` is scored as a distribution, too.
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.texts.answers import quantile_name
from workflow_scripts.plumbing.errors import InputError

KEY, FORECAST = "window_id", "predicted_delta"
QUANTILE = re.compile(r"q(\d{1,2}(?:\.\d+)?)")
# How many ids or rows a message names.
EXAMPLES = 3


def own_predictions(path: str | Path, window_ids: Sequence[str], held: Sequence[float]) -> tuple[pd.DataFrame, int]:
    """`prediction_table` of the test windows, in their order, with the file's quantiles; and how many rows were left.

    `held` is their holding_t, $ million. Rows of windows that were not sampled are left: a file may cover all firm
    types, or all windows. InputError naming file, column, row and remedy for a test window without a forecast, a window
    that stands there twice, an unknown or missing column, a cell that is no finite number, and quantiles that fall.
    """
    table = _as_text(path)
    quantiles = sorted((name for name in table if QUANTILE.fullmatch(name)), key=_percent)
    twice = [pair for pair in itertools.pairwise(quantiles) if len(set(map(_percent, pair))) == 1]
    if twice:
        raise InputError(f"{path}: columns {' and '.join(twice[0])} are the same quantile; leave one of them")
    unknown = [name for name in table if name not in (KEY, FORECAST, *quantiles)]
    missing = [name for name in (KEY, FORECAST) if name not in table]
    if missing or unknown:
        faults = [f"there is no column {', '.join(missing)}"] * bool(missing)
        faults += [f"column {', '.join(map(repr, unknown))} is unknown"] * bool(unknown)
        raise InputError(
            f"{path}: {'; '.join(faults)}. A file of forecasts is a CSV with commas and the columns {KEY}, {FORECAST} "
            "and, if you like, quantiles such as q05, q50, q95"
        )
    repeated = table[KEY].duplicated(keep=False)
    if repeated.any():
        first = table.loc[repeated, KEY].iloc[0]
        rows = _rows(table[KEY] == first)
        raise InputError(
            f"{path}: column {KEY}: {table.loc[repeated, KEY].nunique():,} windows stand there more than once, first "
            f"{first} in {rows}; leave one row per window"
        )
    place = pd.Index(table[KEY]).get_indexer(window_ids)
    absent = [one for one, row in zip(window_ids, place, strict=True) if row < 0]
    if absent:
        raise InputError(
            f"{path}: {len(absent):,} of {len(window_ids):,} test windows have no forecast, such as "
            f"{', '.join(absent[:EXAMPLES])}; add a row for each (the windows are those of samples/test.parquet)"
        )
    values = {name: _numbers(path, table, name) for name in (FORECAST, *quantiles)}
    for lower, upper in itertools.pairwise(quantiles):
        falls = values[lower] > values[upper]
        if falls.any():
            raise InputError(
                f"{path}: column {upper} lies below {lower} in {_rows(falls)}; quantiles rise with their percentage"
            )
    predictions = prediction_table(window_ids, held, values[FORECAST][place])
    for name in quantiles:
        # q5 and q5.0 are q05.
        predictions[quantile_name(_percent(name) / 100)] = values[name][place]
    return predictions, len(table) - len(window_ids)


def _as_text(path: str | Path) -> pd.DataFrame:
    """The cells as they are written; InputError for a file that is no CSV."""
    try:
        # A byte order mark, as Excel writes it, would be part of the first column's name.
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a CSV in UTF-8 ({str(error).strip()}); write it again") from error


def _percent(name: str) -> float:
    return float(name[1:])


def _numbers(path: str | Path, table: pd.DataFrame, column: str) -> np.ndarray:
    read = pd.to_numeric(table[column].str.strip(), errors="coerce").to_numpy(float)
    bad = ~np.isfinite(read)
    if bad.any():
        cell = table[column].to_numpy()[bad][0]
        raise InputError(
            f"{path}: column {column}: {bad.sum():,} cells are no finite number, such as {cell!r} in {_rows(bad)}; "
            "write $ million with a decimal point, and 0 for no change"
        )
    # pandas' own reading can be off by the last digit.
    return table[column].to_numpy(object).astype(float)


def _rows(mask: ArrayLike) -> str:
    """The first rows where `mask` holds, counted as an editor counts lines: the header is line 1."""
    lines = np.flatnonzero(np.asarray(mask)) + 2
    more = ", ..." if len(lines) > EXAMPLES else ""
    return f"line {', '.join(map(str, lines[:EXAMPLES]))}{more}"
