"""Tables for readers: human headings with units, sensible digits, sorted by merit, best in bold, the CSV inside."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from workflow_scripts.holdings.evaluation.distributions import CRPS, CRPS_SKILL
from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, RELATIVE_RANK_IC
from workflow_scripts.holdings.evaluation.tables import CAPPED_SKILL
from workflow_scripts.holdings.forecasts.forecasters import ORACLE
from workflow_scripts.holdings.report.dictionary import COLUMNS, UNIT, column_of_data, name_of, without_k
from workflow_scripts.holdings.report.numbers import PER_CENT, numbers, p_value
from workflow_scripts.holdings.report.plots import FORECASTERS

# Whether the smallest or the largest of a column is the best one; no other column has a best.
LEAST = (CAPPED_MAE, "MAE", "relative_MedAE", CRPS)
MOST = (CAPPED_SKILL, "skill", RELATIVE_RANK_IC, "RankIC", CRPS_SKILL, "accuracy", "MCC", "Recall", "Precision", "NDCG")
# Columns whose values are names of ours, told in words.
WORDS = ("firm_type", "forecaster", "candidate", "baseline", "stage", "target", "metric", "policy", "step", "period")
LOW_ENDS, HIGH_ENDS = ("_low", "lower"), ("_high", "upper")
P_VALUES = ("p_value", "p_holm", "p_adds_nothing", "p_baseline_adds_nothing")


@dataclass(frozen=True)
class Column:
    """The head of a column: its name, the unit below it, its meaning, and whether it holds numbers."""

    name: str
    unit: str
    meaning: str
    is_number: bool


@dataclass(frozen=True)
class Cell:
    """A value as it is shown, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table as it is shown. `source` names its columns as files do; `csv` has its numbers in full, in base64."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    source: Sequence[str]
    csv: str
    note: str = ""
    folded: bool = False
    name: str = field(default="table", kw_only=True)


def words(name: object) -> str:
    """A forecaster, firm type or other name of ours in words.

    >>> words("grpo"), words("mutual_funds"), words("capped_relative_MAE")
    ('GRPO', 'mutual funds', 'relative error')
    """
    if name in FORECASTERS:
        return FORECASTERS[str(name)].label
    return name_of(str(name)) if isinstance(name, str) else ""


def described(column: str, units: Mapping[str, str]) -> tuple[str, str]:
    """Unit and meaning of a column, of the tables or of the data; `units` for those that differ by row."""
    plain = without_k(column)
    unit, meaning = COLUMNS[plain] if plain in COLUMNS else column_of_data(column)
    unit = units.get(column, unit)
    return ("" if unit == UNIT else unit), meaning


def without_empty(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that say something: not only missing values or empty texts."""
    kept = [name for name in frame if not (frame[name].isna() | (frame[name].astype(str) == "")).all()]
    return frame[kept]


def _texts(values: pd.Series, unit: str) -> list[str]:
    """The values of a column as they are shown."""
    if is_bool_dtype(values) or (set(values.dropna().unique()) <= {True, False} and values.dtype == object):
        return ["" if pd.isna(value) else ("yes" if value else "no") for value in values]
    if is_numeric_dtype(values):
        if values.name in P_VALUES:
            return [p_value(value) for value in values]
        return numbers(values, unit)
    if values.name in WORDS:
        return [words(value) for value in values]
    return ["" if pd.isna(value) else str(value) for value in values]


def _best(values: pd.Series, excluded: pd.Series) -> np.ndarray:
    """Whether each value is the best of its column; none where all are equal."""
    plain = without_k(str(values.name))
    if plain not in (*LEAST, *MOST):
        return np.zeros(len(values), bool)
    known = values.where(~excluded)
    best = known.min() if plain in LEAST else known.max()
    found = (known == best).to_numpy()
    return found if found.sum() < known.notna().sum() else np.zeros(len(values), bool)


def _interval(low: pd.Series, high: pd.Series, unit: str) -> list[str]:
    """Both ends of an interval in one cell, with the same digits."""
    texts = numbers([*low, *high], unit)
    return [f"{a} to {b}" if a and b else "" for a, b in zip(texts[: len(low)], texts[len(low) :], strict=True)]


def table(
    title: str,
    frame: pd.DataFrame,
    *,
    units: Mapping[str, str] = MappingProxyType({}),
    ranked: bool = False,
    spread: tuple[str, Sequence[str]] = ("", ()),
    **options: Any,
) -> Table:
    """A table of the page from a frame with the columns of a file.

    `units` are of columns whose unit differs from table to table. `ranked`: the best value of a column is bold; the
    oracle of a simulated panel is no rival. `spread`: the column that a wide frame spreads over columns of its own,
    such as one per firm type, and these columns. A column without any value is left out; the two ends of an interval
    become one column. `options`: note, folded, and name, the file's when it is downloaded.
    """
    shown = without_empty(frame)
    oracle = shown["forecaster"] == ORACLE if "forecaster" in shown else pd.Series(False, shown.index)
    columns, cells, names = [], [], list(shown)
    for place, name in enumerate(names):
        values, source = shown[name], spread[0] if name in spread[1] else name
        unit, meaning = described(source, units)
        before, after = names[place - 1] if place else "", names[place + 1] if place + 1 < len(names) else ""
        if name.endswith(HIGH_ENDS) and name_of(before) == name_of(name):
            continue
        pair = name.endswith(LOW_ENDS) and name_of(after) == name_of(name)
        texts = _interval(values, shown[after], unit) if pair else _texts(values, unit)
        is_number = is_numeric_dtype(values) and not is_bool_dtype(values)
        heading = words(name) if name in spread[1] else name_of(name)
        columns.append(Column(heading, PER_CENT.get(unit, unit).replace("count", ""), meaning, is_number))
        best = _best(values, oracle) if ranked and is_number else np.zeros(len(shown), bool)
        cells.append([Cell(text, bool(bold)) for text, bold in zip(texts, best, strict=True)])
    text = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    sources = list(dict.fromkeys(spread[0] if name in spread[1] else name for name in names))
    rows = list(zip(*cells, strict=True))
    return Table(title, columns, rows, sources, base64.b64encode(text.encode()).decode(), **options)
