"""Scores of forecasts that are distributions, told by their quantiles at LEVELS; all numbers are shares of holding_t.

Everybody is scored on the same seven quantiles, whether samples, residuals or a user's file are behind them: a score of
the samples themselves would mix how good a distribution is with how it is told.

- The CRPS (`rewards/crps.py`) is capped in the *outcome*: truth and quantiles beyond ±CAP count as ±CAP. That is the
  threshold-weighted CRPS, which is proper (Gneiting and Ranjan 2011; Allen, Ginsbourger and Ziegel 2023); a cap on the
  score itself would pay for another distribution than the one that a forecaster believes in. Of no-change as a sure
  forecast it is the headline's error.
- PIT, coverage and reliability need no cap. A truth that equals a quantile (no trade, a full exit) has a whole stretch
  of levels, over which its window is spread evenly (Czado, Gneiting and Held 2009).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.holdings.evaluation.comparison import inference_columns
from workflow_scripts.holdings.evaluation.inference import NOTHING, Clusters, mean_estimate, two_way_clusters
from workflow_scripts.holdings.evaluation.metrics import Array, capped, skill
from workflow_scripts.holdings.forecasts.baselines import NO_CHANGE
from workflow_scripts.holdings.forecasts.quantiles import BAND, missing_quantiles
from workflow_scripts.holdings.panel.quarters import label_ids
from workflow_scripts.holdings.rewards.crps import EDGES, crps, pinball
from workflow_scripts.holdings.texts.answers import LEVELS, QUANTILES
from workflow_scripts.holdings.texts.targets import Change

_LOW, _HIGH = map(LEVELS.index, BAND)
CRPS, CRPS_SKILL = "capped_relative_CRPS", "capped_relative_CRPS_skill"
UNIT = "share of holding_t"


def pit_masses(true: Array, quantiles: Array) -> Array:
    """How much of each window lies between two of EDGES, shape (n, levels + 1), rows of sum 1.

    A truth between two quantiles lies whole between their levels. One that equals quantiles lies evenly between the
    middle of the stretch below the lowest of them and the middle of that above the highest; a full exit, below which
    nothing is, from level 0.
    """
    first = (quantiles < true[:, None]).sum(axis=1)
    last = (quantiles <= true[:, None]).sum(axis=1)
    middles = (EDGES[:-1] + EDGES[1:]) / 2
    is_tied = first < last
    low = np.where(is_tied, np.where(true <= -1.0, 0.0, middles[first]), EDGES[first])
    high = np.where(is_tied, middles[last], EDGES[last + 1])
    inside = np.minimum(high[:, None], EDGES[1:]) - np.maximum(low[:, None], EDGES[:-1])
    return np.maximum(inside, 0.0) / (high - low)[:, None]


@dataclass(frozen=True)
class Distributions:
    """Truth (n,) and each forecaster's quantiles (n, levels) on the same windows, shares of holding_t; their clusters.

    `set_aside` is how many test windows have no position at t or no label of the change.
    """

    change: Change
    true: Array
    quantiles: Mapping[str, Array]
    clusters: Clusters
    set_aside: int


def has_distribution(predictions: pd.DataFrame) -> bool:
    """Whether a table of predictions has all quantiles wherever it has a forecast."""
    if missing_quantiles(predictions):
        return False
    silent = predictions["predicted_delta"].isna()
    return not predictions.loc[~silent, list(QUANTILES)].isna().any(axis=None)


def distributions_of(windows: pd.DataFrame, predictions: Mapping[str, pd.DataFrame], change: Change) -> Distributions:
    """The distributions among the tables of predictions, on the windows with a position at t and a label of the change.

    `windows` has a row per test window: window_id, quarter, mgrno, holding_t and labels, $ million. No quantile is
    below a full exit. A window without an answer is a sure "no change", as in the headline: all its quantiles are 0.
    """
    held, true = windows["holding_t"].to_numpy(float), windows[change.label].to_numpy(float)
    kept = (held > 0) & np.isfinite(true)
    held, ids = held[kept], windows["window_id"].to_numpy()[kept]

    def relative(table: pd.DataFrame) -> Array:
        values = table.set_index("window_id")[list(QUANTILES)].loc[ids].to_numpy(float) / held[:, None]
        # What division leaves in the last digits would part a truth from the quantile that it equals.
        return np.maximum(np.round(np.nan_to_num(values), 12), -1.0)

    return Distributions(
        change,
        np.round(true[kept] / held, 12),
        {name: relative(table) for name, table in predictions.items() if has_distribution(table)},
        two_way_clusters(label_ids(windows["quarter"])[kept], windows["mgrno"].to_numpy()[kept]),
        int((~kept).sum()),
    )


def distribution_table(given: Distributions, confidence: float) -> pd.DataFrame:
    """One row per forecaster: CRPS, its difference from no-change's with its inference, coverage and width of BAND.

    The difference is negative where the forecaster is better. Coverage counts truths at an end of the band as inside;
    the width is that of the capped quantiles.
    """
    scores = {name: crps(capped(given.true), capped(values)) for name, values in given.quantiles.items()}
    reference = scores.get(NO_CHANGE, np.full(len(given.true), np.nan))
    rows = []
    for name, values in given.quantiles.items():
        low, high = values[:, _LOW], values[:, _HIGH]
        score, difference, stay = (
            mean_estimate(x, given.clusters) for x in (scores[name], scores[name] - reference, reference)
        )
        covered = mean_estimate(((low <= given.true) & (given.true <= high)).astype(float), given.clusters)
        covered_low, covered_high = covered.interval(confidence)
        rows.append(
            {
                "forecaster": name,
                "target": given.change.name,
                "unit": UNIT,
                "n_windows": len(given.true),
                "n_windows_set_aside": given.set_aside,
                CRPS: score.value,
                CRPS_SKILL: skill(score.value, stay.value),
                "difference": difference.value,
                **inference_columns(difference, confidence),
                "p_value": difference.p_value(),
                "coverage_80": covered.value,
                "coverage_80_low": covered_low,
                "coverage_80_high": covered_high,
                "width_80": mean_estimate(capped(high) - capped(low), given.clusters).value,
            }
        )
    inference = inference_columns(NOTHING, confidence)
    columns = ["forecaster", "target", "unit", "n_windows", "n_windows_set_aside", CRPS, CRPS_SKILL, "difference"]
    columns += [*inference, "p_value", "coverage_80", "coverage_80_low", "coverage_80_high", "width_80"]
    return pd.DataFrame(rows, columns=columns)


def reliability_table(given: Distributions, confidence: float) -> pd.DataFrame:
    """One row per forecaster and level: mean pinball loss of the capped change, and the share of truths at or below.

    Of a calibrated forecaster `observed_share` is the level; it is the sum of `pit_masses` up to there.
    """
    rows = []
    for name, values in given.quantiles.items():
        losses = pinball(capped(given.true), capped(values))
        reached = np.cumsum(pit_masses(given.true, values), axis=1)
        for number, level in enumerate(LEVELS):
            share = mean_estimate(reached[:, number], given.clusters)
            low, high = share.interval(confidence)
            rows.append(
                {
                    "forecaster": name,
                    "target": given.change.name,
                    "level": level,
                    "n_windows": len(given.true),
                    "pinball": mean_estimate(losses[:, number], given.clusters).value,
                    "observed_share": share.value,
                    "observed_low": low,
                    "observed_high": high,
                }
            )
    columns = ["forecaster", "target", "level", "n_windows", "pinball", "observed_share", "observed_low"]
    return pd.DataFrame(rows, columns=[*columns, "observed_high"])


def pit_table(given: Distributions) -> pd.DataFrame:
    """The PIT histogram: one row per forecaster and stretch between EDGES, windows there and their density.

    Density = share of the windows / width of the stretch: 1 everywhere where the forecaster is calibrated. Counts are
    fractions where truths equal quantiles.
    """
    tables = []
    for name, values in given.quantiles.items():
        count = pit_masses(given.true, values).sum(axis=0)
        density = count / np.diff(EDGES) / len(given.true) if len(given.true) else np.nan
        stretches = {"level_low": EDGES[:-1], "level_high": EDGES[1:], "pit_count": count, "pit_density": density}
        tables.append(pd.DataFrame({"forecaster": name, "target": given.change.name, **stretches}))
    columns = ["forecaster", "target", "level_low", "level_high", "pit_count", "pit_density"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
