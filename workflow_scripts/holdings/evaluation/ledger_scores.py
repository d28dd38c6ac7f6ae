"""Scores of published forecasts, as they were kept, once the panel has the quarter that they forecast."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, RELATIVE_RANK_IC, capped_mae, mae, skill, spearman
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.evaluation.tables import CAPPED_SKILL, HEADLINE, HEADLINE_TARGET, SHARES, Case, cases
from workflow_scripts.holdings.panel.quarters import label_ids
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters
from workflow_scripts.holdings.windows.labels import active_change

IDS = ["mgrno", "permno"]
# What a line of the ledger gives to its scores.
NAMES = ("line", "firm_type", "quarter", "quarter_forecast", "made_at_utc", "forecast_digest")
PAST = ["firm_type", "forecaster", "n_windows", CAPPED_MAE, CAPPED_SKILL, RELATIVE_RANK_IC, SHARES[0]]
COLUMNS = [
    *NAMES,
    "is_first",
    "made_before_filings",
    "forecaster",
    "target",
    "n_windows_forecast",
    "n_windows",
    "n_windows_relative",
    "n_windows_revised",
    "parsed_share",
    CAPPED_MAE,
    f"{CAPPED_MAE}_no_change",
    CAPPED_SKILL,
    RELATIVE_RANK_IC,
    "MAE",
    "MAE_no_change",
    "skill",
]


def past_accuracy(metrics: pd.DataFrame) -> pd.DataFrame:
    """The headline of each forecaster on the test windows, from a `metrics_table`; columns PAST."""
    rows = (metrics["target"] == HEADLINE_TARGET) & (metrics["treatment"] == HEADLINE)
    return metrics.loc[rows, PAST].reset_index(drop=True)


def with_truth(kept: pd.DataFrame, positions: pa.Table, stocks: StockQuarters) -> pd.DataFrame:
    """Kept forecasts of one quarter with what came true, in the columns of `tables.join_predictions`.

    `positions` are rows of the slice with mgrno, permno, quarter, holding_t and holding_t1 ($ million) of at least the
    forecast pairs. Changes are those from the position that was known when the forecast was made; `revised` is whether
    the slice has another one now. A window that the slice has no label of has no truth: NaN.
    """
    quarter = int(label_ids(kept["quarter"].iloc[:1])[0])
    now = positions.filter(pa.array(positions["quarter"].to_numpy() == quarter))
    rows = pd.DataFrame({name: now[name].to_numpy() for name in (*IDS, "holding_t", "holding_t1")})
    rows = rows.rename(columns={"holding_t": "held_now", "holding_t1": "label_tp1"})
    joined = kept.merge(rows, on=IDS, how="left", validate="many_to_one")
    held, truth, permno = (joined[name].to_numpy() for name in ("holding_t", "label_tp1", "permno"))
    prices = stocks.next_prices(permno, np.full(len(joined), quarter, dtype=np.int32))
    now_held = joined["held_now"].to_numpy()
    return joined.assign(
        label_delta=truth - held,
        label_active=active_change(held, truth, prices["price_ratio"], prices["split_ratio"]),
        revised=~np.isnan(now_held) & ~np.isclose(now_held, held, rtol=1e-9, atol=0),
    )


def line_scores(joined: pd.DataFrame, settings: EvaluationSettings, names: Mapping[str, object]) -> pd.DataFrame:
    """One row per forecaster of one line of the ledger, columns COLUMNS, by the evaluation's own metrics.

    As in its headline, the active change is scored, relative to holding_t, and a forecast that could not be read counts
    as no change. No-change is scored on the same windows. NaN where no window has a truth.
    """
    return pd.DataFrame(
        [{**names, **_scores(one)} for one in cases(joined, settings, [HEADLINE_TARGET])], columns=COLUMNS
    )


def _scores(one: Case) -> dict[str, object]:
    scaled, is_scored = one.relative(), len(one.true) > 0
    nan = float("nan")
    capped, idle = (
        capped_mae(scaled.true, forecast) if len(scaled.true) else nan for forecast in (scaled.predicted, scaled.stay)
    )
    error, still = (mae(one.true, forecast) if is_scored else nan for forecast in (one.predicted, one.stay))
    return {
        "forecaster": one.forecaster,
        "target": one.quantity.name,
        "n_windows_forecast": len(one.table),
        "n_windows": len(one.true),
        "n_windows_relative": len(scaled.true),
        "n_windows_revised": int(one.table["revised"].sum()),
        "parsed_share": one.table["parsed"].mean(),
        CAPPED_MAE: capped,
        f"{CAPPED_MAE}_no_change": idle,
        CAPPED_SKILL: skill(capped, idle),
        RELATIVE_RANK_IC: spearman(scaled.true, scaled.predicted),
        "MAE": error,
        "MAE_no_change": still,
        "skill": skill(error, still),
    }
