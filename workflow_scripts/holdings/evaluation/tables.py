"""Evaluation tables of one firm type: forecasters × scored quantities × treatment of unparsed completions.

A forecaster gives one number per window, its forecast of the change; nobody forecasts the price, so that the same
number is the forecast of the active change. What is scored does not depend on the target that a model was asked for;
the tables' column `target` names the scored quantity.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.holdings.evaluation.metrics import (
    Array,
    calibration,
    correlation_summary,
    direction_metrics,
    directions,
    error_metrics,
    mae,
    metrics_by_quarter,
    rank_ic_by_quarter,
    relative_metrics,
    skill,
    summarize_rankings,
)
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
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
# In the headline an unparsed completion counts as "no change", so that all have the same windows; parsed_share says how
# much of a score is silence. Beside it: the windows that every forecaster has answered.
TREATMENTS = ("unparsed_as_no_change", "answered_by_all")
SIZE_GROUPS = 10
SHARES = ("parsed_share", "valid_share", "bound_share", "truncated_share")
# What came true of a window, $ million.
_TRUTH = ("holding_t", "label_tp1", *(change.label for change in CHANGES.values()))
PERIODS = ("label_before_cutoff", "label_after_cutoff")


def join_predictions(test_rows: Sequence[dict], predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Long table: one row per forecaster and test window, joined by window_id, in the order of its hash.

    Columns: forecaster, window_id, mgrno, permno, quarter (label of t), holding_t, label_tp1, label_delta,
    label_active, predicted_delta ($ million), parsed, and the SHARES of its samples. Every forecaster must cover
    exactly the test windows; InputError otherwise.
    """
    names = ("window_id", "mgrno", "permno", "quarter", *_TRUTH)
    truth = pd.DataFrame([{name: row[name] for name in names} for row in test_rows])
    truth["quarter"] = quarter_labels(truth["quarter"])
    # Labels that no window has are null in all rows.
    truth = truth.astype(dict.fromkeys(_TRUTH, float))
    # Ties in a ranking fall back on the order of the rows, which must not follow managers or stocks.
    truth = truth.sort_values("window_id", key=lambda ids: ids.map(json_digest), ignore_index=True)
    tables = []
    for forecaster, table in predictions.items():
        if table["window_id"].duplicated().any() or set(table["window_id"]) != set(truth["window_id"]):
            raise InputError(f"{forecaster}: its windows are not the test windows; predict again")
        joined = truth.merge(
            table[["window_id", "predicted_delta", "parsed", *SHARES]], on="window_id", validate="one_to_one"
        )
        joined.insert(0, "forecaster", forecaster)
        tables.append(joined)
    return pd.concat(tables, ignore_index=True)


_MONEY = (*_TRUTH, "predicted_delta")


def with_units(joined: pd.DataFrame) -> pd.DataFrame:
    """The long table as it is written: columns in $ million say so."""
    return joined.rename(columns={name: f"{name}_musd" for name in _MONEY})


def read_forecasts(path: str | Path) -> pd.DataFrame:
    """The long table from the file that `with_units` was written to."""
    return read_csv(path).rename(columns={f"{name}_musd": name for name in _MONEY})


@dataclass(frozen=True)
class Case:
    """Forecast against truth of one forecaster and quantity, arrays (n,); `stay` is what no-change forecasts."""

    forecaster: str
    quantity: Quantity
    true: Array
    predicted: Array
    stay: Array
    rows: pd.DataFrame

    @property
    def held(self) -> Array:
        """holding_t, $ million."""
        return self.rows["holding_t"].to_numpy(float)

    @property
    def quarter(self) -> np.ndarray:
        """Label of each window's quarter t."""
        return self.rows["quarter"].to_numpy()

    def take(self, mask: np.ndarray) -> "Case":
        """The windows where `mask` holds."""
        arrays = (self.true[mask], self.predicted[mask], self.stay[mask])
        return Case(self.forecaster, self.quantity, *arrays, self.rows[mask])


def case_of(
    forecaster: str, rows: pd.DataFrame, quantity: Quantity, log_floor: float = EvaluationSettings.log_floor
) -> Case:
    """One forecaster's rows as a case; an unparsed forecast is a change of 0.

    Windows without the label are left out: an active change can be unknown, a log change needs a position at t. In log
    changes truth and forecast are at least log(log_floor), because a full exit would be minus infinity.
    """
    held, delta = rows["holding_t"].to_numpy(float), rows["predicted_delta"].fillna(0.0).to_numpy(float)
    values = [
        rows[quantity.label].to_numpy(float),
        quantity.forecast(held, delta),
        quantity.forecast(held, np.zeros(len(rows))),
    ]
    if quantity.unit == LOG:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = [np.log(np.maximum(value, log_floor * held) / held) for value in values]
    true, predicted, stay = values
    return Case(forecaster, quantity, true, predicted, stay, rows).take(np.isfinite(true) & np.isfinite(predicted))


def cases(
    joined: pd.DataFrame, settings: EvaluationSettings, quantities: Sequence[str] = tuple(QUANTITIES)
) -> Iterator[Case]:
    """Every forecaster and quantity, in the order of the table, unparsed counted as no change."""
    for forecaster, rows in joined.groupby("forecaster", sort=False):
        for name in quantities:
            yield case_of(forecaster, rows, QUANTITIES[name], settings.log_floor)


def answered_by_all(joined: pd.DataFrame) -> pd.DataFrame:
    """The rows of windows that every forecaster has answered: the same windows for each."""
    answered = joined.groupby("window_id")["parsed"].transform("all")
    return joined[answered]


def _errors(one: Case) -> dict[str, float]:
    """Errors and skills, absolute and (but for log changes) relative to holding_t."""
    errors = error_metrics(one.true, one.predicted)
    relative, reference = (relative_metrics(one.true, p, one.held) for p in (one.predicted, one.stay))
    if one.quantity.unit == LOG:
        relative = dict.fromkeys(relative, np.nan)
    stay = mae(one.true, one.stay) if len(one.true) else np.nan
    return {
        **errors,
        "skill": skill(errors["MAE"], stay),
        **relative,
        "relative_skill": skill(relative["relative_MAE"], reference["relative_MAE"]),
    }


def _directions(one: Case, settings: EvaluationSettings) -> dict[str, float]:
    """Direction metrics of a change; NaN for the level, whose direction is the change's, and for the log change."""
    if one.quantity.name not in CHANGES:
        return dict.fromkeys(direction_metrics(np.empty(0), np.empty(0)), np.nan)
    return direction_metrics(*(directions(x, one.held, settings.dead_band) for x in (one.true, one.predicted)))


def _near_zero(change: Array, held: Array, settings: EvaluationSettings) -> float:
    return float(np.mean(directions(change, held, settings.dead_band) == 0)) if len(change) else np.nan


def metrics_table(joined: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """One row per forecaster, quantity and treatment; the columns are described in `dictionary.COLUMNS`."""
    rows = []
    for treatment, table in zip(TREATMENTS, (joined, answered_by_all(joined)), strict=True):
        for one in cases(table, settings):
            asked = joined[joined["forecaster"] == one.forecaster]
            answered = one.rows["predicted_delta"].notna().to_numpy()
            forecast = one.rows["predicted_delta"].to_numpy(float)[answered]
            moved = one.true if one.quantity.name in CHANGES else one.rows["label_delta"].to_numpy(float)
            rows.append(
                {
                    "forecaster": one.forecaster,
                    "target": one.quantity.name,
                    "unit": one.quantity.unit,
                    "treatment": treatment,
                    "n_windows": len(one.true),
                    "n_windows_set_aside": len(asked) - len(one.true),
                    **_errors(one),
                    **summarize_rankings(one.true, one.predicted, one.quarter, settings.top_k),
                    "ranked_by": one.quantity.ranked_by,
                    **_directions(one, settings),
                    **calibration(one.true, one.predicted),
                    "near_zero_share": _near_zero(forecast, one.held[answered], settings),
                    "near_zero_share_of_truth": _near_zero(moved, one.held, settings),
                    **{name: asked[name].mean() for name in SHARES},
                }
            )
    table = pd.DataFrame(rows)
    order = {name: i for i, name in enumerate(joined["forecaster"].unique())}
    return table.sort_values("forecaster", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def quarterly_table(joined: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """`metrics_by_quarter` and the skill per forecaster, quantity and quarter, unparsed counted as no change."""
    tables = []
    for one in cases(joined, settings):
        table = metrics_by_quarter(one.true, one.predicted, one.quarter, settings.top_k)
        stay = [mae(one.true[one.quarter == q], one.stay[one.quarter == q]) for q in table["quarter"]]
        table["skill"] = [skill(*pair) for pair in zip(table["MAE"], stay, strict=True)]
        for name, value in (("unit", one.quantity.unit), ("target", one.quantity.name), ("forecaster", one.forecaster)):
            table.insert(0, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _group_row(one: Case) -> dict[str, object]:
    return {
        "forecaster": one.forecaster,
        "target": one.quantity.name,
        "unit": one.quantity.unit,
        "n_windows": len(one.true),
        **_errors(one),
    }


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
            rows.append({**_group_row(group), "size_decile": number, **sizes})
    return pd.DataFrame(rows)


def period_table(joined: pd.DataFrame, settings: EvaluationSettings, cutoff: dt.date | None) -> pd.DataFrame:
    """Errors of windows whose label lies before and after the base model's knowledge cut-off; no rows without one.

    A label belongs to the first period if its quarter t+1 ends on or before the cut-off: the model may have read it.
    """
    rows = []
    for one in cases(joined, settings) if cutoff else ():
        after_label = quarter_starts(label_ids(one.rows["quarter"]) + 2)
        known = after_label <= np.datetime64(cutoff) + np.timedelta64(1, "D")
        for period, mask in zip(PERIODS, (known, ~known), strict=True):
            group = one.take(mask)
            rank_ic = rank_ic_by_quarter(group.true, group.predicted, group.quarter)
            rows.append({**_group_row(group), "period": period, **correlation_summary("RankIC", rank_ic)})
    columns = [*_group_row(next(cases(joined, settings))), "period", *correlation_summary("RankIC", np.empty(0))]
    return pd.DataFrame(rows, columns=columns)


def trimmed_table(joined: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """Debug table: metrics without the windows whose |error| exceeds the forecaster's percentile.

    Trimming by the error flatters everyone: it shows whether few windows own a metric, no more.
    """
    rows = []
    for one in cases(joined, settings):
        error = np.abs(one.predicted - one.true)
        kept = error <= np.percentile(error, settings.trim_percentile) if len(error) else error > 0
        group = one.take(kept)
        trimmed = {"trimmed_above_percentile": settings.trim_percentile, "n_windows_trimmed": int((~kept).sum())}
        rows.append({**_group_row(group), **trimmed})
    return pd.DataFrame(rows)


def coverage_table(joined: pd.DataFrame) -> pd.DataFrame:
    """The funnel from asked to valid: one row per forecaster and step, the share of samples that come so far.

    Steps: asked, not_truncated, parsed, bound_valid (a number that is not below the bound, whatever the form),
    contract_valid (form and bound).
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
        for step, share in steps.items():
            rows.append({"forecaster": forecaster, "step": step, "n_windows": len(table), "share": share})
    return pd.DataFrame(rows)
