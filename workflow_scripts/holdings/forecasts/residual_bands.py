"""Distributions of numeric forecasts, no-change among them: the forecast and what it was wrong by before the test.

The baselines are fitted on the windows of the SFT quarters and forecast the GRPO sample, which is drawn as the test
sample is: among all windows the few managers with the most positions would set the width. The quantiles of
(truth - forecast) / position there are put around the test forecasts, which are fitted on both. Neither the residuals
of a fit on its own windows, which are too small, nor a test label is used.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from workflow_scripts.holdings.forecasts.baselines import position_scale
from workflow_scripts.holdings.forecasts.quantiles import Array
from workflow_scripts.holdings.texts.quantile_rule import row_quantiles
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.holdings.windows.labels import label_arrays
from workflow_scripts.holdings.windows.lags import lagged


def residual_quantiles(later: pa.Table, forecasts: Mapping[str, Array], target: str) -> dict[str, Array]:
    """Quantiles of the relative residuals by forecaster, shape (levels,); NaN where no window has position and label.

    `forecasts` are those of the `later` sample's change, $ million, by what was fitted on earlier windows.
    """
    truth, held = label_arrays(later)[TARGETS[target].label], later[lagged("holding_t", 0)].to_numpy()
    known = ~np.isnan(truth) & (held > 0)
    return {
        name: row_quantiles([(truth[known] - forecast[known]) / held[known]])[0] for name, forecast in forecasts.items()
    }


def residual_bands(test: pa.Table, forecasts: Mapping[str, Array], residuals: Mapping[str, Array]) -> dict[str, Array]:
    """Quantiles of the test windows' change by forecaster, $ million, shape (n, levels).

    forecast + scale * quantile of the residuals, the scale being that of the baselines, `position_scale`. None lies
    below -holding_t, because no position is negative.
    """
    scale, held = (x[:, None] for x in (position_scale(test), test[lagged("holding_t", 0)].to_numpy()))
    return {
        name: np.maximum(forecast[:, None] + scale * residuals[name], -held) for name, forecast in forecasts.items()
    }
