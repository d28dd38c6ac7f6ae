"""Forecasts that need no language model; what is fitted, is fitted on windows of the training quarters alone.

| forecaster | forecast of the change |
|---|---|
| no_change | 0 |
| last_change | the last change again |
| shrunk_last_change | the last change times a factor in [0, 1], by least squares |
| firm_type_mean | the training windows' mean relative change |
| manager_mean | the manager's mean trade of all his positions up to t |
| demand_regression | a share of the gap between the position and what its stock's characteristics explain |
| ridge | ridge regression on the features of the window and of its manager |
| boosted_trees | gradient-boosted trees on the same features, with the absolute error as loss |

The change is that of the target, dollar or active. Positions span six orders of magnitude, so
whatever is fitted works on relative changes, change / scale, the scale being holding_t; least squares sees relative
changes and features between the 1st and 99th percentile of the training windows. No forecast is below the bound
-holding_t, which every prompt states. A manager's trades are changes without the stock's return; as a forecast of the
dollar change they expect no return.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FACTORS
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.holdings.windows.labels import label_arrays
from workflow_scripts.holdings.windows.lags import lagged, sample_lags
from workflow_scripts.holdings.windows.managers import MEANS_OF_DEMAND, TRADE_FACTS, demand_columns
from workflow_scripts.plumbing.errors import InputError

Array = NDArray[np.float64]
# What skills are measured against; it ranks no windows.
NO_CHANGE = "no_change"
# The keys of `baseline_forecasts`, in the order of the tables.
BASELINES = (
    NO_CHANGE,
    "last_change",
    "shrunk_last_change",
    "firm_type_mean",
    "manager_mean",
    "demand_regression",
    "ridge",
    "boosted_trees",
)
WINSOR = (0.01, 0.99)
RIDGE_PENALTIES = np.logspace(-1, 5, 13)
# Chosen on the real panel of the tests by fitting on the SFT and scoring on the GRPO quarters: slow and shallow.
BOOSTING = {
    "loss": "absolute_error",
    "learning_rate": 0.03,
    "max_iter": 100,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "random_state": 0,
}


@dataclass(frozen=True)
class Features:
    """What is known at t about n windows: scale and last change ($ million, (n,)), features (n, p) without a unit.

    The scale is 0 where the position was 0 in all of the window. `past_trade` (n,) is the manager's mean trade, 0 for
    one without any; `demand` (n, 6) is the position's DEMAND less the mean of all of the manager's positions at t.
    """

    scale: Array
    last_change: Array
    values: Array
    past_trade: Array
    demand: Array


def position_scale(sample: pa.Table) -> Array:
    """holding_t, or the window's mean holding where the position is 0, $ million; shape (n,)."""
    held = [sample[lagged("holding_t", lag)].to_numpy() for lag in reversed(sample_lags(sample))]
    return np.where(held[0] > 0, held[0], np.mean(held, axis=0))


def window_features(sample: pa.Table, target: str) -> Features:
    """Features of a sample (as `assembling` gives it), from columns dated t and before; NaN for missing.

    Per quarter of history: the change and the active change over the scale, the log return. At t: logs of position,
    market equity and assets, book-to-market, profit, Gat, beta, outside assets over assets, position over
    assets and over market equity, the quarters for which it has been held, the growth of the manager's assets over the
    last quarter, and TRADE_FACTS. The scale is `position_scale`.
    """
    lags = sample_lags(sample)[::-1]
    held, price = ([sample[lagged(name, lag)].to_numpy() for lag in lags] for name in ("holding_t", "prc"))
    scale = position_scale(sample)
    me, be, aum, outaum = (sample[lagged(name, 0)].to_numpy() for name in ("me", "be", "aum", "outaum"))
    columns = []
    with np.errstate(divide="ignore", invalid="ignore"):
        active = []
        for lag in lags[1:]:
            unsplit = np.isnan(sample[lagged("split_ratio", lag)].to_numpy())
            ratio = np.where(unsplit, price[lag - 1] / price[lag], np.nan)
            active.append(held[lag - 1] / ratio - held[lag])
            columns += [(held[lag - 1] - held[lag]) / scale, active[-1] / scale, np.log(ratio)]
        columns += [np.log(scale), np.log(me), np.log(aum), np.log(be / me), outaum / aum, scale / aum, scale / me]
        columns.append(np.log(aum / sample[lagged("aum", 1)].to_numpy()))
    columns += [sample[lagged(name, 0)].to_numpy() for name in ("profit", "Gat", "beta")]
    columns += [sample[name].to_numpy().astype(float) for name in ("held_quarters", *TRADE_FACTS)]
    values = np.column_stack(columns)
    values[~np.isfinite(values)] = np.nan
    # Without a price the last active change is unknown; repeating it then means no change.
    last = {"change": held[0] - held[1], "active_change": np.nan_to_num(active[0])}
    demand = demand_columns(held[0], [sample[lagged(name, 0)].to_numpy() for name in FACTORS])
    means = [sample[name].to_numpy() for name in MEANS_OF_DEMAND]
    return Features(
        scale=scale,
        last_change=last[TARGETS[target].change.name],
        values=values,
        past_trade=np.nan_to_num(sample["manager_past_mean_trade"].to_numpy()),
        demand=np.column_stack(demand) - np.column_stack(means),
    )


def _clipped(values: Array, limits: Array) -> Array:
    return np.clip(values, *limits)


def _mean(train: Array, relative: Array) -> Callable[[Array], Array]:
    """What is left to fit where no feature differs between training windows."""
    return lambda values: np.full(len(values), relative.mean())


def _ridge(train: Array, relative: Array) -> Callable[[Array], Array]:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    limits = np.nanquantile(train, WINSOR, axis=0)
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), RidgeCV(RIDGE_PENALTIES))
    model.fit(_clipped(train, limits), relative)
    return lambda values: model.predict(_clipped(values, limits))


def _boosted_trees(train: Array, relative: Array) -> Callable[[Array], Array]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(**BOOSTING).fit(train, relative).predict


def _demand_regression(train: Array, relative: Array) -> Callable[[Array], Array]:
    """A relative change that is linear in the gap: log position less what the stock's characteristics explain.

    The demand is Koijen and Yogo's (2019, equation 10), in logarithms and by least squares, with a constant for each
    manager and quarter (both sides are less the means of his positions); they estimate it with zeros and an instrument
    for market equity. Where a characteristic is missing the gap counts as 0.
    """
    known = np.isfinite(train).all(axis=1)
    if not known.any():
        return _mean(train, relative)
    coefficients, *_ = np.linalg.lstsq(train[known, 1:], train[known, 0])

    def gap(demand: Array) -> Array:
        return np.nan_to_num(demand[:, 0] - demand[:, 1:] @ coefficients)

    limits = np.quantile(gap(train), WINSOR)

    def design(demand: Array) -> Array:
        return np.column_stack([np.ones(len(demand)), _clipped(gap(demand), limits)])

    # Where all gaps are the same, the smallest solution spreads the mean over both terms, which add up to it.
    response, *_ = np.linalg.lstsq(design(train), relative)
    return lambda demand: design(demand) @ response


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for linear algebra and trees.

    Several add sums in an order that depends on their number, and wait for each other at many small trees.
    """
    import sklearn.ensemble  # noqa: F401  What is not loaded cannot be limited.
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@_one_thread()
def baseline_forecasts(train: pa.Table, test: pa.Table, target: str) -> dict[str, Array]:
    """Forecast of the change by forecaster, $ million, shape (number of test windows,).

    `train` holds windows of the SFT and GRPO quarters of one firm type, `test` its test sample, of which no label is
    read. What is fitted sees the training windows with a position at t: a change from nothing has no relative size.
    Raises InputError where there is none with a label of the target.
    """
    labels = label_arrays(train)[TARGETS[target].label]
    known = ~np.isnan(labels) & (train["holding_t"].to_numpy() > 0)
    if not known.any():
        raise InputError(f"no training window has a position and the label {target}; widen splits.sft or splits.grpo")
    fitted, asked = window_features(train, target), window_features(test, target)
    relative = labels[known] / fitted.scale[known]
    relative = _clipped(relative, np.quantile(relative, WINSOR))
    last = fitted.last_change[known] / fitted.scale[known]
    last = _clipped(last, np.quantile(last, WINSOR))
    power = float(last @ last)
    shrinkage = min(max(float(last @ relative) / power, 0.0), 1.0) if power > 0 else 0.0
    # What is missing or the same in all training windows teaches nothing.
    values = fitted.values[known]
    spread = np.array([len(np.unique(column[~np.isnan(column)])) > 1 for column in values.T])
    values, questions = values[:, spread], asked.values[:, spread]
    ridge, boosted_trees = (_ridge, _boosted_trees) if spread.any() else (_mean, _mean)
    forecasts = {
        NO_CHANGE: np.zeros(test.num_rows),
        "last_change": asked.last_change,
        "shrunk_last_change": shrinkage * asked.last_change,
        "firm_type_mean": relative.mean() * asked.scale,
        "manager_mean": asked.past_trade * asked.scale,
        "demand_regression": _demand_regression(fitted.demand[known], relative)(asked.demand) * asked.scale,
        "ridge": ridge(values, relative)(questions) * asked.scale,
        "boosted_trees": boosted_trees(values, relative)(questions) * asked.scale,
    }
    held = test[lagged("holding_t", 0)].to_numpy()
    return {name: np.maximum(forecast, -held) for name, forecast in forecasts.items()}
