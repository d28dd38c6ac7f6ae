"""Does a forecaster add anything to the baseline that was chosen before the test quarters?

Two answers, both of active changes relative to holding_t, truth and forecasts between -CAP and CAP:

- the encompassing regression (Harvey, Leybourne and Newbold 1998): the error of the baseline on what the candidate says
  otherwise, without a constant. Its coefficient is the candidate's weight in the combination with the least squared
  error. 0: the candidate adds nothing, the baseline encompasses it; 1: the baseline adds nothing to it;
- the plain average of both forecasts, with no weight fitted on the windows that it is scored on (hard to beat:
  Timmermann 2006), held against the baseline by the headline's capped error.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from workflow_scripts.holdings.evaluation.comparison import ComparedTables, inference_columns
from workflow_scripts.holdings.evaluation.inference import (
    NOTHING,
    Clusters,
    Estimate,
    estimate,
    mean_estimate,
    ratio_without,
)
from workflow_scripts.holdings.evaluation.metrics import Array, capped, capped_errors
from workflow_scripts.holdings.evaluation.tables import HEADLINE_TARGET

COLUMNS = (
    *("baseline", "candidate", "n_windows", "weight"),
    *(*inference_columns(NOTHING, 0.95), "p_adds_nothing", "p_baseline_adds_nothing"),
    *("baseline_value", "candidate_value", "average_value", "average_difference"),
    *("average_low", "average_high", "average_p_value"),
)


def encompassing_weight(true: Array, baseline: Array, candidate: Array, clusters: Clusters) -> Estimate:
    """The candidate's weight beside the baseline, arrays (n,): the slope of true - baseline on candidate - baseline."""
    says_otherwise = candidate - baseline
    above, below = says_otherwise * (true - baseline), says_otherwise**2
    if not below.sum() > 0:
        return NOTHING
    return estimate(above.sum() / below.sum(), ratio_without(above, below, clusters))


def combinations(compared: ComparedTables, pairs: Sequence[tuple[str, str]], confidence: float) -> pd.DataFrame:
    """One row per pair (baseline, candidate), of the windows with a position and a known active change.

    weight with its two-way inference, p_adds_nothing (of weight 0) and p_baseline_adds_nothing (of weight 1);
    baseline_value, candidate_value and average_value are mean capped errors, average_difference is average - baseline
    (negative: the average is better). p-values are not corrected for several pairs.
    """
    table = next(tables[True] for tables in compared if tables[True].target == HEADLINE_TARGET)
    found, true, clusters = table.cases, table.true, table.clusters
    rows = []
    for baseline, candidate in pairs:
        row = {"baseline": baseline, "candidate": candidate, "n_windows": len(true)}
        if len(true):
            forecasts = found[baseline].predicted, found[candidate].predicted
            ours, theirs = map(capped, forecasts)
            weight = encompassing_weight(capped(true), ours, theirs, clusters)
            less_one = replace(weight, value=weight.value - 1)
            errors = [capped_errors(true, one) for one in (*forecasts, (ours + theirs) / 2)]
            average = mean_estimate(errors[2] - errors[0], clusters)
            low, high = average.interval(confidence)
            row |= {
                "weight": weight.value,
                **inference_columns(weight, confidence),
                "p_adds_nothing": weight.p_value(),
                "p_baseline_adds_nothing": less_one.p_value(),
                "baseline_value": errors[0].mean(),
                "candidate_value": errors[1].mean(),
                "average_value": errors[2].mean(),
                "average_difference": average.value,
                "average_low": low,
                "average_high": high,
                "average_p_value": average.p_value(),
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))
