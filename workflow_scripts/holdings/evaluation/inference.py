"""Standard errors, intervals and p-values where windows are clustered in two ways, by quarter and by manager.

Positions of one quarter share its returns, those of one manager his style: windows are no independent draws. Each
statistic is computed again without each quarter, without each manager and without each cell (one manager in one
quarter). The spread of the G values without one cluster gives the variance of that clustering, the jackknife

    V = (G - 1) / G * sum over g of (value without g - value)^2        (CV3: MacKinnon, Nielsen and Webb 2023)

and the two clusterings together that of the statistic, V = max(Vq + Vm - Vqm, Vq, Vm), with Student's t of
min(Gq, Gm) - 1 degrees of freedom (Cameron, Gelbach and Miller 2011). The larger of two one-way tests, which is what is
often done, rejects too often where quarters and managers have effects both; `tests/benchmarks/inference.py` shows how
often either rejects what is true.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation.metrics import Array, average_ranks, rows_by_quarter

QUARTER, MANAGER, CELL = CLUSTERINGS = ("quarter", "manager", "cell")
POWER = 0.8


@dataclass(frozen=True)
class Clusters:
    """Cluster number of each window, shape (n,), by clustering, and quarter and manager of each cell, shape (cells,).

    Quarters are numbered in their order.
    """

    of_window: Mapping[str, NDArray[np.intp]]
    of_cell: Mapping[str, NDArray[np.intp]]


def two_way_clusters(quarter: NDArray, manager: NDArray) -> Clusters:
    """The clusters of windows whose labels are given, shape (n,) each."""
    quarters, managers = (np.unique(labels, return_inverse=True)[1] for labels in (quarter, manager))
    width = int(managers.max(initial=0)) + 1
    cells, cell = np.unique(quarters * width + managers, return_inverse=True)
    return Clusters(
        {QUARTER: quarters, MANAGER: managers, CELL: cell}, {QUARTER: cells // width, MANAGER: cells % width}
    )


def ratio_without(numerator: Array, denominator: Array, clusters: Clusters) -> dict[str, Array]:
    """sum(numerator) / sum(denominator) without each cluster, shape (clusters,), by clustering; NaN where that is 0/0.

    A mean is the ratio whose denominators are 1.
    """
    found = {}
    for name in CLUSTERINGS:
        above, below = (
            values.sum() - np.bincount(clusters.of_window[name], values) for values in (numerator, denominator)
        )
        # What remains of a denominator without its only cluster is rounding.
        some = below > 1e-9 * denominator.sum()
        found[name] = np.where(some, above, np.nan) / np.where(some, below, 1.0)
    return found


def rank_ic_without(true: Array, predicted: Array, clusters: Clusters) -> Array:
    """RankIC of a cell's quarter without the cell, shape (cells,); NaN where it is undefined.

    The Pearson correlation, without the cell's windows, of the ranks in the whole quarter: ranks are not computed anew.
    Sums over the cell are taken from those over its quarter; centred ranks are multiples of 1/2, so that the
    sums are exact.
    """
    x, y = np.empty(len(true)), np.empty(len(true))
    for inside in rows_by_quarter(clusters.of_window[QUARTER]).values():
        for ranks, values in ((x, true), (y, predicted)):
            ranks[inside] = average_ranks(values[inside]) - (len(inside) + 1) / 2
    quarter = clusters.of_cell[QUARTER]
    rest = []
    for weights in (np.ones(len(x)), x, y, x * x, y * y, x * y):
        cells = np.bincount(clusters.of_window[CELL], weights, minlength=len(quarter))
        rest.append(np.bincount(quarter, cells)[quarter] - cells)
    n, sx, sy, sxx, syy, sxy = rest
    with np.errstate(divide="ignore", invalid="ignore"):
        vx, vy = sxx - sx * sx / n, syy - sy * sy / n
        # Rounding leaves dust of a spread that is 0.
        return np.where((vx > 1e-9 * sxx) & (vy > 1e-9 * syy), (sxy - sx * sy / n) / np.sqrt(vx * vy), np.nan)


def mean_without(by_quarter: Array, without_cell: Array, clusters: Clusters) -> dict[str, Array]:
    """Mean over quarters of a statistic of the quarters without each cluster, shape (clusters,), by clustering.

    `by_quarter` (quarters,) is the statistic of each quarter, `without_cell` (cells,) that of a cell's quarter without
    the cell. Quarters where the statistic is undefined are left out, with their cells; so is a quarter in a mean
    for which it becomes undefined. NaN for a mean of nothing.
    """
    known = ~np.isnan(by_quarter)
    kept = known[clusters.of_cell[QUARTER]]
    total, count = by_quarter[known].sum(), known.sum()
    whole, rest = by_quarter[clusters.of_cell[QUARTER]][kept], without_cell[kept]
    lost = np.isnan(rest)
    change = np.where(lost, 0.0, rest) - whole
    _, manager = np.unique(clusters.of_cell[MANAGER][kept], return_inverse=True)
    sums = {
        QUARTER: (total - by_quarter[known], np.full(count, count - 1)),
        MANAGER: (total + np.bincount(manager, change), count - np.bincount(manager, lost)),
        CELL: (total + change, count - lost),
    }
    return {name: np.where(n > 0, s, np.nan) / np.maximum(n, 1) for name, (s, n) in sums.items()}


def jackknife_variance(value: float, without: Array) -> float:
    """CV3 variance of a statistic from its values without each cluster, (clusters,); NaN for one cluster."""
    number = len(without)
    if number < 2:
        return float("nan")
    return float((number - 1) / number * np.sum((without - value) ** 2))


@dataclass(frozen=True)
class Estimate:
    """A statistic with its two-way standard error and degrees of freedom; NaN and 0 where there is no inference.

    `n_quarters` and `n_managers` are the numbers of clusters it rests on.
    """

    value: float
    standard_error: float
    degrees: int
    n_quarters: int
    n_managers: int

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper end of the t-interval, NaN without a standard error."""
        if not self.degrees:
            return float("nan"), float("nan")
        half = float(scipy.stats.t.ppf((1 + confidence) / 2, self.degrees)) * self.standard_error
        return self.value - half, self.value + half

    def p_value(self) -> float:
        """Two-sided p-value of value 0, NaN without a standard error."""
        if np.isnan(self.value) or np.isnan(self.standard_error):
            return float("nan")
        if not self.standard_error:
            return float(self.value == 0)
        return float(2 * scipy.stats.t.sf(abs(self.value) / self.standard_error, self.degrees))


def estimate(value: float, without: Mapping[str, Array]) -> Estimate:
    """The statistic with its two-way inference, from its values without each cluster by clustering.

    Without a second quarter or a second manager, or where the statistic is undefined without some cluster, nothing is
    known about its error.
    """
    numbers = {name: len(values) for name, values in without.items()}
    variances = {name: jackknife_variance(value, values) for name, values in without.items()}
    by_quarter, by_manager = variances[QUARTER], variances[MANAGER]
    # numpy's maximum hands on what is not known; Python's would choose by the order.
    variance = np.max([by_quarter + by_manager - variances[CELL], by_quarter, by_manager])
    degrees = max(min(numbers[QUARTER], numbers[MANAGER]) - 1, 0)
    return Estimate(float(value), float(np.sqrt(variance)), degrees, numbers[QUARTER], numbers[MANAGER])


# Where no window can be scored.
NOTHING = Estimate(np.nan, np.nan, 0, 0, 0)


def mean_estimate(values: Array, clusters: Clusters) -> Estimate:
    """The mean over windows, shape (n,), with its two-way inference; NOTHING for no windows."""
    if not len(values):
        return NOTHING
    return estimate(values.mean(), ratio_without(values, np.ones(len(values)), clusters))


def detectable(standard_error: Array, degrees: Array, level: float) -> Array:
    """The smallest true difference that a two-sided t-test at `level` finds with the probability POWER; shape (n,).

    (t(1 - level / 2) + t(POWER)) * standard error (Bloom 1995).
    """
    known = np.where(degrees > 0, degrees, np.nan)
    return (scipy.stats.t.ppf(1 - level / 2, known) + scipy.stats.t.ppf(POWER, known)) * standard_error
