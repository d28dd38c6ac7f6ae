"""Paired comparisons on identical windows, and skills, with the two-way inference of `inference.py`.

Four metrics of each change are compared. The headline is the first two on the active change, both relative to
holding_t: in dollars a thousand windows count like a hundred, because a few giants own nearly all of what changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from workflow_scripts.holdings.evaluation.inference import (
    NOTHING,
    Clusters,
    Estimate,
    estimate,
    mean_estimate,
    mean_without,
    rank_ic_without,
    ratio_without,
    two_way_clusters,
)
from workflow_scripts.holdings.evaluation.metrics import (
    CAP,
    CAPPED_MAE,
    MIN_QUARTERS,
    RELATIVE_RANK_IC,
    Array,
    capped_errors,
    rank_ic_by_quarter,
    skill,
)
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.evaluation.tables import HEADLINE_TARGET, Case, cases
from workflow_scripts.holdings.forecasts.baselines import NO_CHANGE
from workflow_scripts.holdings.texts.targets import CHANGES

MIN_MANAGERS = 10
PRIMARY, SECONDARY = "primary", "secondary"


@dataclass(frozen=True)
class Metric:
    """A metric of a comparison: of relative or of dollar changes, an error or a correlation, with its unit."""

    name: str
    relative: bool
    ranking: bool
    unit: str


METRICS = (
    Metric(CAPPED_MAE, relative=True, ranking=False, unit="share of holding_t"),
    Metric(RELATIVE_RANK_IC, relative=True, ranking=True, unit="correlation"),
    Metric("MAE", relative=False, ranking=False, unit="$ million"),
    Metric("RankIC", relative=False, ranking=True, unit="correlation"),
)
ERRORS = tuple(metric.name for metric in METRICS if not metric.ranking)


class ComparedCases:
    """The cases of one quantity by forecaster, in dollars or relative to holding_t, and what several pairs share."""

    def __init__(self, cases: dict[str, Case], relative: bool):
        self.cases = {name: one.relative() if relative else one for name, one in cases.items()}
        self.cap = CAP if relative else np.inf
        first = next(iter(self.cases.values()))
        self.target, self.size = first.quantity.name, len(first.true)
        self.true, self.stay, self.quarter = first.true, first.stay, first.quarter
        self.clusters: Clusters = two_way_clusters(self.quarter, first.column("mgrno"))

    @cached_property
    def errors(self) -> dict[str, Array]:
        """The errors of each forecaster, (windows,)."""
        return {name: capped_errors(self.true, one.predicted, self.cap) for name, one in self.cases.items()}

    @cached_property
    def stay_errors(self) -> Array:
        """Those of no change."""
        return capped_errors(self.true, self.stay, self.cap)

    @cached_property
    def rank_ics(self) -> dict[str, tuple[Array, Array]]:
        """RankIC by quarter, and that of its quarter without each cell, of each forecaster that ranks."""
        return {
            name: (
                rank_ic_by_quarter(self.true, one.predicted, self.quarter),
                rank_ic_without(self.true, one.predicted, self.clusters),
            )
            for name, one in self.cases.items()
            if name != NO_CHANGE
        }

    def compare_errors(self, baseline: str, candidate: str) -> tuple[float, float, Estimate]:
        """Mean error of both, and the candidate's less the baseline's."""
        first, second = self.errors[baseline], self.errors[candidate]
        return first.mean(), second.mean(), mean_estimate(second - first, self.clusters)

    def compare_rankings(self, baseline: str, candidate: str) -> tuple[float, float, Estimate]:
        """Mean RankIC of both over the quarters where both have one, and the candidate's less the baseline's."""
        (first, first_without), (second, second_without) = self.rank_ics[baseline], self.rank_ics[candidate]
        difference = second - first
        known = ~np.isnan(difference)
        means = [ic[known].mean() if known.any() else np.nan for ic in (first, second)]
        without = mean_without(difference, second_without - first_without, self.clusters)
        return means[0], means[1], estimate(means[1] - means[0], without)

    def skill(self, forecaster: str) -> Estimate:
        """1 - mean error / mean error of no change."""
        errors, stay = self.errors[forecaster], self.stay_errors
        without = ratio_without(errors, stay, self.clusters)
        return estimate(skill(errors.mean(), stay.mean()), {name: 1.0 - ratio for name, ratio in without.items()})


def ordered(joined: pd.DataFrame) -> pd.DataFrame:
    """What of the long table is compared, windows in the order of their ids, so that no sum depends on another."""
    window, _ = pd.factorize(joined["window_id"], sort=True)
    labels = (change.label for change in CHANGES.values())
    columns = ["forecaster", "quarter", "mgrno", "holding_t", "predicted_delta", *labels]
    return joined[columns].iloc[np.argsort(window, kind="stable")]


# By change of CHANGES, and then by whether it is relative.
ComparedTables = Sequence[dict[bool, ComparedCases]]


def compared_cases(joined: pd.DataFrame) -> ComparedTables:
    """What the forecasters of a long table are compared on; made once for all that is asked of it."""
    joined = ordered(joined)
    by_change = (cases(joined, EvaluationSettings(), (name,)) for name in CHANGES)
    found = ({one.forecaster: one for one in of_change} for of_change in by_change)
    return [{relative: ComparedCases(one, relative) for relative in (True, False)} for one in found]


def compare_forecasts(
    compared: ComparedTables,
    pairs: Sequence[tuple[str, str]],
    primary: Sequence[tuple[str, str]],
    confidence: float,
) -> pd.DataFrame:
    """One row per change of CHANGES, metric in METRICS and (baseline, candidate) pair; no ranking against no-change.

    `difference` = candidate - baseline, of the mean error (negative: the candidate is better; the absolute error of the
    level is that of the change) or of the mean RankIC over the quarters where both have one (positive: better).
    Unparsed completions count as no change. `family` is PRIMARY for the headline metrics of the pairs in `primary`.
    `p_value` is not corrected for several comparisons: `report/summary.py` does that over all firm types, by family.
    """
    rows = []
    for tables in compared:
        for metric in METRICS:
            table = tables[metric.relative]
            compare = table.compare_rankings if metric.ranking else table.compare_errors
            headline = metric.relative and table.target == HEADLINE_TARGET
            for baseline, candidate in pairs:
                if metric.ranking and baseline == NO_CHANGE:
                    continue
                first, second, found = compare(baseline, candidate) if table.size else (np.nan, np.nan, NOTHING)
                rows.append(
                    {
                        "baseline": baseline,
                        "candidate": candidate,
                        "target": table.target,
                        "metric": metric.name,
                        "unit": metric.unit,
                        "family": PRIMARY if headline and (baseline, candidate) in primary else SECONDARY,
                        "n_windows": table.size,
                        "baseline_value": first,
                        "candidate_value": second,
                        "difference": found.value,
                        **inference_columns(found, confidence),
                        "p_value": found.p_value(),
                    }
                )
    return pd.DataFrame(rows)


def inference_columns(found: Estimate, confidence: float) -> dict[str, object]:
    """Standard error, interval, numbers of clusters, and whether they are too few to be trusted."""
    low, high = found.interval(confidence)
    return {
        "standard_error": found.standard_error,
        "degrees_of_freedom": found.degrees,
        "interval_low": low,
        "interval_high": high,
        "n_quarters": found.n_quarters,
        "n_managers": found.n_managers,
        "few_quarters": found.n_quarters < MIN_QUARTERS,
        "few_managers": found.n_managers < MIN_MANAGERS,
    }


SKILL_COLUMNS = ("forecaster", "target", "metric", "n_windows", "skill", *inference_columns(NOTHING, 0.95))


def skill_intervals(compared: ComparedTables, confidence: float) -> pd.DataFrame:
    """Skill = 1 - error / error of no-change per forecaster, change of CHANGES and metric in ERRORS."""
    rows = []
    for tables in compared:
        for metric in METRICS:
            table = tables[metric.relative]
            for forecaster in table.cases if table.size and not metric.ranking else ():
                if forecaster == NO_CHANGE:
                    continue
                found = table.skill(forecaster)
                row = {
                    "forecaster": forecaster,
                    "target": table.target,
                    "metric": metric.name,
                    "n_windows": table.size,
                    "skill": found.value,
                }
                rows.append({**row, **inference_columns(found, confidence)})
    return pd.DataFrame(rows, columns=SKILL_COLUMNS)
