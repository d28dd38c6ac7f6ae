"""Evaluation tables of one firm type: forecasters × scored quantities × treatment of unparsed completions.

A forecaster gives one number per window, its forecast of the change; nobody forecasts the price, so that the same
number is the forecast of the active change. What is scored does not depend on the target that a model was asked for;
the tables' column `target` names the scored quantity.
"""

import datetime as dt
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation.metrics import (
    CAPPED_MAE,
    RELATIVE_RANK_IC,
    Array,
    calibration,
    capped_mae,
    correlation_summary,
    direction_metrics,
    directions,
    error_metrics,
    mae,
    metrics_by_quarter,
    rank_ic_by_quarter,
    relative_metrics,
    rows_by_quarter,
    skill,
    summarize_rankings,
)
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.forecasts.predictions import FAULT_SEPARATOR
from workflow_scripts.holdings.panel.quarters import label_ids, quarter_labels, quarter_starts
from workflow_scripts.holdings.texts.targets import CHANGES
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import json_digest, read_csv

MUSD, LOG = "$ million", "log"


@dataclass(frozen=True)
class Quantity:
    """What forecasts are scored on; `unit` is that of its errors.

    `truth` and `ranked_by` say in words what the truth is, and what windows are ranked by. `label` is the column of the
    truth, and `forecast` gives the forecast of the same from holding_t and the forecast change, arrays of shape (n,) in
    $ million. With the unit LOG the logarithm of both over holding_t is scored.
    """

    name: str
    truth: str
    ranked_by: str
    label: str
    forecast: Callable[[Array, Array], Array]
    unit: str = MUSD


def _position(held: Array, change: Array) -> Array:
    return held + change


def _change(held: Array, change: Array) -> Array:
    return change


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity("level", "holding_t1", "forecast holding_tp1", "label_tp1", _position),
        Quantity("change", "holding_t1 - holding_t", "forecast holding_delta", CHANGES["change"].label, _change),
        Quantity(
            "log_change",
            "log(holding_t1 / holding_t)",
            "log(forecast holding_tp1 / holding_t)",
            "label_tp1",
            _position,
            LOG,
        ),
        Quantity(
            "active_change",
            "the change at the price of t",
            "forecast active_delta",
            CHANGES["active_change"].label,
            _change,
        ),
    )
}
# What the headline scores: what the manager traded. The dollar change is mostly the stock's return.
HEADLINE_TARGET = "active_change"
CAPPED_SKILL = "capped_relative_skill"
# In the headline an unparsed completion counts as "no change", so that all have the same windows; parsed_share says how
# much of a score is silence. Beside it: the windows that every forecaster has answered, and those that this one has.
# The last are the published way to score, but each forecaster then has windows of its own: it can gain by silence.
HEADLINE, BY_ALL, OWN = TREATMENTS = ("unparsed_as_no_change", "answered_by_all", "answered_by_itself")
SIZE_GROUPS = 10
FAULT = "fault"
SHARES = ("parsed_share", "valid_share", "bound_share", "truncated_share")
# What came true of a window, $ million.
TRUTH = ("holding_t", "label_tp1", *(change.label for change in CHANGES.values()))
PERIODS = ("label_before_cutoff", "label_after_cutoff")


def _with_faults(table: pd.DataFrame) -> pd.DataFrame:
    """The table with "" where no sample of a window has a fault, which in a file is an empty cell."""
    faults = table["faults"].astype(object)
    return table.assign(faults=faults.where(faults.notna(), ""))


def join_predictions(test_rows: Iterable[dict], predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Long table: one row per forecaster and test window, joined by window_id, in the order of its hash.

    Columns: forecaster, window_id, mgrno, permno, quarter (label of t), holding_t, label_tp1, label_delta,
    label_active, predicted_delta ($ million), parsed, samples, the SHARES of its samples, and their faults. Every
    forecaster must cover exactly the test windows; InputError otherwise.
    """
    names = ("window_id", "mgrno", "permno", "quarter", *TRUTH)
    truth = pd.DataFrame([{name: row[name] for name in names} for row in test_rows])
    truth["quarter"] = quarter_labels(truth["quarter"])
    # Labels that no window has are null in all rows.
    truth = truth.astype(dict.fromkeys(TRUTH, float))
    # Ties in a ranking fall back on the order of the rows, which must not follow managers or stocks.
    truth = truth.sort_values("window_id", key=lambda ids: ids.map(json_digest), ignore_index=True)
    tables = []
    for forecaster, table in predictions.items():
        ids = pd.Index(table["window_id"])
        place = ids.get_indexer(truth["window_id"]) if ids.is_unique else np.empty(0)
        if not np.array_equal(np.sort(place), np.arange(len(ids))):
            raise InputError(f"{forecaster}: its windows are not the test windows; predict again")
        answers = table[["predicted_delta", "parsed", "samples", *SHARES, "faults"]]
        forecasts = _with_faults(answers.take(place)).reset_index(drop=True)
        joined = pd.concat([truth, forecasts], axis=1)
        joined.insert(0, "forecaster", forecaster)
        tables.append(joined)
    return pd.concat(tables, ignore_index=True)


_MONEY = (*TRUTH, "predicted_delta")


def with_units(joined: pd.DataFrame) -> pd.DataFrame:
    """The long table as it is written: columns in $ million say so."""
    return joined.rename(columns={name: f"{name}_musd" for name in _MONEY})


def read_forecasts(path: str | Path) -> pd.DataFrame:
    """The long table from the file that `with_units` was written to."""
    return _with_faults(read_csv(path).rename(columns={f"{name}_musd": name for name in _MONEY}))


@dataclass(frozen=True)
class Case:
    """Forecast against truth of one forecaster and quantity, arrays (n,), on some rows of the forecaster's table.

    `stay` is what no-change forecasts, `quarter` the id of each window's quarter t, `kept` the numbers of the rows.
    """

    forecaster: str
    quantity: Quantity
    true: Array
    predicted: Array
    stay: Array
    quarter: NDArray[np.int32]
    table: pd.DataFrame
    kept: NDArray[np.intp]

    def column(self, name: str) -> np.ndarray:
        """A column of the table, shape (n,)."""
        return self.table[name].to_numpy()[self.kept]

    @property
    def held(self) -> Array:
        """holding_t, $ million."""
        return self.column("holding_t")

    def take(self, mask: NDArray[np.bool_]) -> "Case":
        """The windows where `mask` holds."""
        names = ("true", "predicted", "stay", "quarter", "kept")
        return replace(self, **{name: getattr(self, name)[mask] for name in names})

    def relative(self) -> "Case":
        """The windows with a position at t, all values over holding_t; none for log changes, which are relative."""
        kept = self.take((self.held > 0) & (self.quantity.unit != LOG))
        # A forecast in proportion to the position ranks nothing: what division leaves in the last digits must not.
        values = {name: np.round(getattr(kept, name) / kept.held, 12) for name in ("true", "predicted", "stay")}
        return replace(kept, **values)


def _case(forecaster: str, table: pd.DataFrame, quarter: NDArray, quantity: Quantity, log_floor: float) -> Case:
    """One forecaster's rows as a case; an unparsed forecast is a change of 0.

    Windows without the label are left out: an active change can be unknown, a log change needs a position at t. In log
    changes truth and forecast are at least log(log_floor), because a full exit would be minus infinity.
    """
    held, delta = table["holding_t"].to_numpy(float), table["predicted_delta"].fillna(0.0).to_numpy(float)
    values = {
        "true": table[quantity.label].to_numpy(float),
        "predicted": quantity.forecast(held, delta),
        "stay": quantity.forecast(held, np.zeros(len(table))),
    }
    if quantity.unit == LOG:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = {name: np.log(np.maximum(value, log_floor * held) / held) for name, value in values.items()}
    case = Case(forecaster, quantity, **values, quarter=quarter, table=table, kept=np.arange(len(table)))
    return case.take(np.isfinite(case.true) & np.isfinite(case.predicted))


def cases(
    joined: pd.DataFrame, settings: EvaluationSettings, quantities: Iterable[str] = tuple(QUANTITIES)
) -> Iterator[Case]:
    """Every forecaster and quantity, in the order of the table, unparsed counted as no change."""
    codes, labels = pd.factorize(joined["quarter"])
    quarter = label_ids(labels)[codes]
    forecasters, names = pd.factorize(joined["forecaster"])
    for number, forecaster in enumerate(names):
        rows = np.flatnonzero(forecasters == number)
        table = joined.take(rows)
        for name in quantities:
            yield _case(forecaster, table, quarter[rows], QUANTITIES[name], settings.log_floor)


def _answered_by_all(joined: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows belong to windows that every forecaster has answered: the same windows for each."""
    window, names = pd.factorize(joined["window_id"])
    silent = np.zeros(len(names), dtype=bool)
    silent[window[~joined["parsed"].to_numpy(bool)]] = True
    return ~silent[window]


def _skill(value: float, error: Callable[[Array, Array], float], one: Case) -> float:
    """The skill of an error whose value the forecaster has; NaN for no windows."""
    return skill(value, error(one.true, one.stay)) if len(one.true) else np.nan


def _errors(one: Case, scaled: Case) -> dict[str, float]:
    """Errors and skills, absolute and, where `scaled` (the case relative to holding_t) has windows, relative."""
    errors, relative = error_metrics(one.true, one.predicted), relative_metrics(scaled.true, scaled.predicted)
    return {
        **errors,
        "skill": _skill(errors["MAE"], mae, one),
        "n_windows_relative": len(scaled.true),
        **relative,
        "relative_skill": _skill(relative["relative_MAE"], mae, scaled),
        CAPPED_SKILL: _skill(relative[CAPPED_MAE], capped_mae, scaled),
    }


def _directions(one: Case, settings: EvaluationSettings) -> dict[str, float]:
    """Direction metrics of a change; NaN for the level, whose direction is the change's, and for the log change."""
    if one.quantity.name not in CHANGES:
        return dict.fromkeys(direction_metrics(np.empty(0), np.empty(0)), np.nan)
    return direction_metrics(*(directions(x, one.held, settings.dead_band) for x in (one.true, one.predicted)))


def _near_zero(change: Array, held: Array, settings: EvaluationSettings) -> float:
    return float(np.mean(directions(change, held, settings.dead_band) == 0)) if len(change) else np.nan


def _quarters_of(one: Case, quarterly: pd.DataFrame) -> pd.DataFrame:
    """The rows of a case in `quarterly_table`."""
    return quarterly[(quarterly["forecaster"] == one.forecaster) & (quarterly["target"] == one.quantity.name)]


def _rank_ic(scaled: Case) -> pd.Series:
    """RankIC by quarter; quarters without a window are missing."""
    names = list(rows_by_quarter(scaled.quarter))
    return pd.Series(rank_ic_by_quarter(scaled.true, scaled.predicted, scaled.quarter), index=names, dtype=float)


def _names(one: Case) -> dict[str, object]:
    return {"forecaster": one.forecaster, "target": one.quantity.name, "unit": one.quantity.unit}


def _metrics(
    one: Case, settings: EvaluationSettings, asked: pd.DataFrame, quarters: pd.DataFrame | None = None
) -> dict[str, object]:
    """Every metric of a case, in the columns that are described in `dictionary.COLUMNS`.

    `asked` are the rows of the table whose completions are counted; `quarters` the case's rows of `quarterly_table`
    where somebody has them already.
    """
    held, forecast = one.held, one.column("predicted_delta")
    answered = ~np.isnan(forecast)
    moved = one.true if one.quantity.name in CHANGES else one.column("label_delta")
    scaled = one.relative()
    ranked = _rank_ic(scaled) if quarters is None else quarters[RELATIVE_RANK_IC]
    return {
        **_errors(one, scaled),
        **correlation_summary(RELATIVE_RANK_IC, ranked.to_numpy(float)),
        **summarize_rankings(one.true, one.predicted, one.quarter, settings.top_k, quarters),
        "ranked_by": one.quantity.ranked_by,
        **_directions(one, settings),
        **calibration(one.true, one.predicted),
        "near_zero_share": _near_zero(forecast[answered], held[answered], settings),
        "near_zero_share_of_truth": _near_zero(moved, held, settings),
        **{name: asked[name].mean() for name in SHARES},
    }


def metrics_table(
    joined: pd.DataFrame, settings: EvaluationSettings, quarterly: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row per forecaster, treatment and quantity; `comparable` is whether all forecasters have its windows.

    `quarterly` is the `quarterly_table` where somebody has it already.
    """
    quarterly = quarterly_table(joined, settings) if quarterly is None else quarterly
    joined = joined.assign(answered_by_all=_answered_by_all(joined))
    rows = []
    for _, group in itertools.groupby(cases(joined, settings), key=lambda one: one.forecaster):
        own = list(group)
        # A forecaster that always answers has the same windows in more than one treatment.
        whole = {one.quantity.name: _metrics(one, settings, one.table, _quarters_of(one, quarterly)) for one in own}
        for treatment in TREATMENTS:
            for one in own:
                asked = one.table
                kept = {
                    HEADLINE: np.ones(len(one.true), bool),
                    BY_ALL: one.column("answered_by_all"),
                    OWN: one.column("parsed"),
                }[treatment].astype(bool)
                found = whole[one.quantity.name]
                if not kept.all():
                    one = one.take(kept)
                    found = _metrics(one, settings, asked)
                rows.append(
                    {
                        **_names(one),
                        "treatment": treatment,
                        "comparable": treatment != OWN,
                        "n_windows": len(one.true),
                        "n_windows_set_aside": len(asked) - len(one.true),
                        **found,
                    }
                )
    return pd.DataFrame(rows)


def quarterly_table(joined: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """`metrics_by_quarter`, skills and the headline's metrics per forecaster, quantity and quarter.

    An unparsed completion counts as no change.
    """
    tables = []
    for one in cases(joined, settings):
        table = metrics_by_quarter(one.true, one.predicted, one.quarter, settings.top_k)
        scaled = one.relative()
        inside, relative = ([part.take(part.quarter == q) for q in table["quarter"]] for part in (one, scaled))
        table["skill"] = [_skill(value, mae, part) for value, part in zip(table["MAE"], inside, strict=True)]
        capped = [capped_mae(part.true, part.predicted) if len(part.true) else np.nan for part in relative]
        table[CAPPED_MAE] = capped
        table[CAPPED_SKILL] = [_skill(value, capped_mae, part) for value, part in zip(capped, relative, strict=True)]
        table[RELATIVE_RANK_IC] = table["quarter"].map(_rank_ic(scaled))
        table["quarter"] = quarter_labels(table["quarter"])
        for name, value in reversed(_names(one).items()):
            table.insert(0, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def size_table(joined: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """Errors by decile of holding_t within the firm type, 1 the smallest; windows of one holding_t share a decile."""
    windows = joined.drop_duplicates("window_id").set_index("window_id")["holding_t"]
    edges = np.quantile(windows, np.arange(1, SIZE_GROUPS) / SIZE_GROUPS)
    rows = []
    for one in cases(joined, settings):
        decile = np.searchsorted(edges, one.held, side="left") + 1
        for number in np.unique(decile):
            group = one.take(decile == number)
            sizes = {"holding_t_min_musd": group.held.min(), "holding_t_max_musd": group.held.max()}
            errors = {"n_windows": len(group.true), **_errors(group, group.relative())}
            rows.append({**_names(one), **errors, "size_decile": number, **sizes})
    return pd.DataFrame(rows)


def _asked(one: Case) -> pd.DataFrame:
    """The rows of the forecaster's table that a case has."""
    return one.table.take(one.kept)


def period_table(joined: pd.DataFrame, settings: EvaluationSettings, cutoff: dt.date | None) -> pd.DataFrame:
    """All metrics of windows whose label lies before and after the base model's knowledge cut-off; no rows without one.

    A label belongs to the first period if its quarter t+1 ends on or before the cut-off: the model may have read it.
    """

    def known(one: Case) -> NDArray[np.bool_]:
        return quarter_starts(one.quarter + 2) <= np.datetime64(cutoff) + np.timedelta64(1, "D")

    def row(one: Case, period: str) -> dict[str, object]:
        return {**_names(one), "period": period, "n_windows": len(one.true), **_metrics(one, settings, _asked(one))}

    rows = []
    for one in cases(joined, settings) if cutoff else ():
        before = known(one)
        rows += [row(one.take(part), period) for period, part in zip(PERIODS, (before, ~before), strict=True)]
    return pd.DataFrame(rows, columns=list(row(next(cases(joined, settings)), "")))


def trimmed_table(joined: pd.DataFrame, settings: EvaluationSettings, percentile: float) -> pd.DataFrame:
    """Debug table: all metrics without the windows whose |error| exceeds the forecaster's percentile.

    Trimming by the error flatters everyone: it shows whether few windows own a metric, no more.
    """
    rows = []
    for one in cases(joined, settings):
        error = np.abs(one.predicted - one.true)
        kept = error <= np.percentile(error, percentile) if len(error) else error > 0
        group = one.take(kept)
        rows.append(
            {
                **_names(one),
                "trimmed_above_percentile": percentile,
                "n_windows_trimmed": int((~kept).sum()),
                "n_windows": len(group.true),
                **_metrics(group, settings, _asked(group)),
            }
        )
    return pd.DataFrame(rows)


def coverage_table(joined: pd.DataFrame) -> pd.DataFrame:
    """The funnel from asked to valid: one row per forecaster and step, the share of samples that come so far.

    Steps: asked, not_truncated, parsed, bound_valid (a number that is not below the bound, whatever the form),
    contract_valid (form and bound). Then a row per kind of fault, the most frequent first, with the step FAULT: the
    share of samples that have it; the shares of contract_valid and of all faults sum to 1.
    """
    rows = []
    for forecaster, table in joined.groupby("forecaster", sort=False):
        means = table[list(SHARES)].mean()
        steps = {
            "asked": 1.0,
            "not_truncated": 1.0 - means["truncated_share"],
            "parsed": means["parsed_share"],
            "bound_valid": means["bound_share"],
            "contract_valid": means["valid_share"],
        }
        faults = table.loc[table["faults"] != "", "faults"].str.split(FAULT_SEPARATOR).explode()
        counts = faults.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        entries = [(step, "", share) for step, share in steps.items()]
        entries += [(FAULT, kind, count / table["samples"].sum()) for kind, count in counts.items()]
        for step, fault, share in entries:
            row = {"forecaster": forecaster, "step": step, "fault": fault, "n_windows": len(table), "share": share}
            rows.append(row)
    return pd.DataFrame(rows)
