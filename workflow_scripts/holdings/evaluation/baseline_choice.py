"""Which baseline the models are held against: the one that was best before the test quarters began.

The best on the test quarters would have been chosen by the very numbers that it is then compared by.
"""

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, capped_mae
from workflow_scripts.holdings.evaluation.tables import HEADLINE_TARGET
from workflow_scripts.holdings.forecasts.baselines import NO_CHANGE, baseline_forecasts
from workflow_scripts.holdings.texts.targets import CHANGES
from workflow_scripts.holdings.windows.labels import label_arrays

CHOSEN = "chosen"


def baseline_scores(earlier: pa.Table, later: pa.Table, target: str) -> pd.DataFrame:
    """One row per baseline, fitted on the `earlier` sample (SFT) and scored on the `later` one (GRPO).

    Columns: forecaster, n_windows, capped_relative_MAE of the headline's target, chosen: whether it is the least, that
    of no-change apart, which every model is compared with in any case. None is chosen without a window to score on.
    """
    label, held = CHANGES[HEADLINE_TARGET].label, later["holding_t"].to_numpy()
    truth = label_arrays(later)[label]
    known = ~np.isnan(truth) & (held > 0)
    forecasts = baseline_forecasts(earlier, later, target)
    scores = {
        name: capped_mae(truth[known] / held[known], forecast[known] / held[known]) if known.any() else np.nan
        for name, forecast in forecasts.items()
    }
    table = pd.DataFrame({"forecaster": list(scores), "n_windows": int(known.sum()), CAPPED_MAE: list(scores.values())})
    rivals = table.loc[table["forecaster"] != NO_CHANGE, CAPPED_MAE]
    return table.assign(**{CHOSEN: table.index == (rivals.idxmin() if rivals.notna().any() else -1)})


def chosen_baseline(scores: pd.DataFrame) -> str:
    """The forecaster that `baseline_scores` has chosen; an empty text where there is none."""
    return next(iter(scores.loc[scores[CHOSEN], "forecaster"]), "")
