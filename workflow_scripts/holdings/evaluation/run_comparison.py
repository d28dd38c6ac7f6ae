"""Several runs on one test: are their windows the same, and how do their models compare on them?

The comparisons are those within a run (`comparison.py`): each run's forecaster takes part under a name of its own, so
that the inference is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import pandas as pd

from workflow_scripts.holdings.evaluation.comparison import compare_forecasts, compared_cases
from workflow_scripts.holdings.evaluation.conditions import with_base_models
from workflow_scripts.holdings.evaluation.tables import TRUTH

# What must be the same of a window for two runs to be compared on it.
WINDOW_COLUMNS = ("mgrno", "permno", "quarter", *TRUTH)
# Between run and forecaster; no name of a run has it.
SEPARATOR = ": "


def windows_and_truth(joined: pd.DataFrame) -> pd.DataFrame:
    """WINDOW_COLUMNS by window_id, from a run's long table of forecasts, which has them once for each forecaster."""
    rows = joined[joined["forecaster"] == joined["forecaster"].iloc[0]]
    return rows.set_index("window_id")[list(WINDOW_COLUMNS)].sort_index()


def window_difference(first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str]) -> str:
    """How the windows of two runs differ, with an example; empty where they are the same to the last digit.

    Tables of `windows_and_truth`; `names` are the runs'. An unknown label (NaN) equals another one.
    """
    for owner, table, other in ((names[0], first, second), (names[1], second, first)):
        if len(alone := table.index.difference(other.index)):
            return (
                f"{names[0]} has {len(first):,} windows, {names[1]} {len(second):,}; {len(alone):,} are in {owner} "
                f"alone, such as {alone[0]}"
            )
    for name in WINDOW_COLUMNS:
        same = (first[name] == second[name]) | (first[name].isna() & second[name].isna())
        if not same.all():
            example = same.index[~same][0]
            values = " and ".join(
                f"{table.at[example, name]} in {run}" for table, run in zip((first, second), names, strict=True)
            )
            return f"{name} differs in {(~same).sum():,} of {len(first):,} windows: of {example} it is {values}"
    return ""


@dataclass(frozen=True)
class RunForecasts:
    """What a run has of one firm type: its long table of forecasts, and where its forecasters come from."""

    forecasts: pd.DataFrame
    origins: pd.DataFrame


def _named(run: str, rows: pd.DataFrame, forecasters: Sequence[str]) -> pd.DataFrame:
    """The rows of these forecasters, under names that no other run's have."""
    kept = rows[rows["forecaster"].isin(forecasters)]
    return kept.assign(forecaster=run + SEPARATOR + kept["forecaster"])


def compare_runs(
    runs: Mapping[str, RunForecasts], forecasters: Sequence[str], against: str, confidence: float
) -> pd.DataFrame:
    """`compare_forecasts` of each run with the run `against`, by forecaster; the last of these is the primary one.

    The runs have identical windows. Columns: forecaster, baseline and candidate (the runs), then as within a run.
    """
    joined, origins = (
        pd.concat([_named(name, table(run), forecasters) for name, run in runs.items()], ignore_index=True)
        for table in (attrgetter("forecasts"), attrgetter("origins"))
    )
    others = [run for run in runs if run != against]
    pairs = {name: [(against + SEPARATOR + name, run + SEPARATOR + name) for run in others] for name in forecasters}
    every = [pair for name in forecasters for pair in pairs[name]]
    found = compare_forecasts(compared_cases(joined), every, pairs[forecasters[-1]], confidence)
    found = with_base_models(found, origins)
    first, second = (found[side].str.split(SEPARATOR, n=1, expand=True) for side in ("baseline", "candidate"))
    found = found.assign(baseline=first[0], candidate=second[0])
    found.insert(0, "forecaster", second[1])
    return found
