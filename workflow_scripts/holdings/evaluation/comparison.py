"""Paired comparisons on identical windows, with bootstraps clustered by quarter and by manager.

Positions of one quarter share its returns, and those of one manager his style: single windows are not independent
draws (Cameron, Gelbach and Miller 2008). Whole clusters are drawn with replacement; the standard error of the draws,
times sqrt(G / (G - 1)), and Student's t with G - 1 degrees of freedom give interval and p-value, because the
percentiles of the draws of few clusters are too narrow. The clustering with the wider interval is reported.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from workflow_scripts.holdings.evaluation.metrics import (
    MIN_QUARTERS,
    Array,
    average_ranks,
    rank_ic_by_quarter,
    rows_by_quarter,
    skill,
)
from workflow_scripts.holdings.evaluation.settings import BootstrapSettings, EvaluationSettings
from workflow_scripts.holdings.evaluation.tables import Case, cases
from workflow_scripts.holdings.texts.targets import CHANGES

MIN_MANAGERS = 10
CLUSTERINGS = ("quarter", "manager")
SKILL_COLUMNS = (
    "forecaster", "target", "n_windows", "skill", "clustered_by", "interval_low", "interval_high", "n_quarters",
    "n_managers", "few_quarters", "few_managers",
)  # fmt: skip
# Forecasts no change for all windows, and so ranks none of them.
UNRANKED = "no_change"
# The products are small: further threads would only wait for each other.
_one_thread = threadpool_limits.wrap(limits=1, user_api="blas")
# Draws at a time: the moments of all quarters in all draws would be gigabytes. A multiple of 4, the rows that BLAS
# takes at once: a last block of fewer has other last digits.
CHUNK = 500


@dataclass(frozen=True)
class Clusters:
    """Cluster number of each window (n,), number of clusters, and how often each draw takes each: (draws, clusters)."""

    index: NDArray[np.intp]
    number: int
    counts: NDArray[np.integer]

    def chunks(self) -> Iterator[tuple[slice, Array]]:
        """Which draws, and their counts as floats, which numpy multiplies much faster: CHUNK draws at a time."""
        for start in range(0, len(self.counts), CHUNK):
            draws = slice(start, start + CHUNK)
            yield draws, self.counts[draws].astype(float)


def draw_clusters(labels: NDArray, draws: int, rng: np.random.Generator) -> Clusters:
    """A bootstrap of whole clusters: a draw is a multinomial count per cluster."""
    names, index = np.unique(labels, return_inverse=True)
    number = len(names)
    # No cluster is drawn more often than there are clusters.
    counts = np.empty((draws, number), dtype=np.min_scalar_type(number))
    for start in range(0, draws, CHUNK) if number else ():
        part = counts[start : start + CHUNK]
        part[:] = rng.multinomial(number, np.full(number, 1.0 / number), size=len(part))
    return Clusters(index, number, counts)


def bootstrap_mean(values: Array, clusters: Clusters) -> Array:
    """Mean of `values` (n,) over the windows of every draw; shape (draws,)."""
    sums, sizes = (np.bincount(clusters.index, weights, minlength=clusters.number) for weights in (values, None))
    return np.concatenate([(counts @ sums) / (counts @ sizes) for _, counts in clusters.chunks()])


def bootstrap_rank_ic(true: Array, predicted: Array, quarter: NDArray, clusters: Clusters) -> Array:
    """RankIC of every quarter in every draw; NaN where it is undefined.

    `predicted` has shape (n,) or (forecasters, n), the result (draws, quarters) or (forecasters, draws, quarters). The
    weighted Pearson correlation of the ranks in the whole quarter: ranks are not computed anew for each draw. A draw's
    moments are sums over clusters of count x moment, so that windows are gone through once and not once per draw.
    Centred ranks are multiples of 1/2: the sums are exact, in whatever order.
    """
    quarters = rows_by_quarter(quarter)
    values = np.vstack([true, predicted])
    ranks, cells = np.empty(values.shape), clusters.index * len(quarters)
    for column, inside in enumerate(quarters.values()):
        cells[inside] += column
        for row, its_values in zip(ranks, values, strict=True):
            row[inside] = average_ranks(its_values[inside]) - (len(inside) + 1) / 2
    x, y = ranks[0], ranks[1:]
    weights = (None, x, x * x, *y, *(y * y), *(x * y))
    sums = [np.bincount(cells, one, minlength=clusters.number * len(quarters)) for one in weights]
    # A row per cluster, a column per moment and quarter.
    moments = np.hstack([one.reshape(clusters.number, len(quarters)) for one in sums])
    found = np.empty((len(y), len(clusters.counts), len(quarters)))
    for draws, counts in clusters.chunks():
        total, sx, sxx, *others = np.hsplit(counts @ moments, len(weights))
        sy, syy, sxy = np.split(np.array(others), 3)
        with np.errstate(divide="ignore", invalid="ignore"):
            vx, vy = sxx - sx * sx / total, syy - sy * sy / total
            # Rounding leaves dust of a spread that is 0.
            fine = (vx > 1e-9 * sxx) & (vy > 1e-9 * syy)
            correlations = (sxy - sx * sy / total) / np.sqrt(vx * vy)
        found[:, draws] = np.where(fine, correlations, np.nan)
    return found if np.ndim(predicted) > 1 else found[0]


def _mean_over_quarters(values: Array) -> Array:
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    return np.where(counts > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def standard_error(draws: Array, clusters: int) -> float:
    """Standard deviation of the draws, with the correction for few clusters; NaN for one cluster."""
    draws = draws[np.isfinite(draws)]
    if clusters < 2 or len(draws) < 2:
        return float("nan")
    return float(draws.std(ddof=1) * np.sqrt(clusters / (clusters - 1)))


def interval(
    value: float, errors: dict[str, float], clusters: dict[str, int], confidence: float
) -> dict[str, float | str]:
    """The wider of the t-intervals by clustering: clustered_by, interval_low, interval_high, and p_cluster of value 0.

    p_cluster is the larger of the two clusterings' p-values. It need not belong to the wider interval: far out in the
    tail, fewer clusters give the larger p-value. All are missing where a clustering has fewer than two clusters,
    because nobody then knows which interval is the wider one.
    """
    if np.isnan([value, *errors.values()]).any():
        return {"clustered_by": "", "interval_low": np.nan, "interval_high": np.nan, "p_cluster": np.nan}
    widths = {name: scipy.stats.t.ppf((1 + confidence) / 2, clusters[name] - 1) * e for name, e in errors.items()}
    p_values = (
        2 * scipy.stats.t.sf(abs(value) / e, clusters[name] - 1) if e > 0 else float(value == 0)
        for name, e in errors.items()
    )
    name = max(widths, key=lambda key: widths[key])
    return {
        "clustered_by": name,
        "interval_low": value - widths[name],
        "interval_high": value + widths[name],
        "p_cluster": float(max(p_values)),
    }


def sign_test(differences: Array) -> float:
    """Two-sided exact binomial p-value of the signs of the quarters' differences, ties left out; NaN without any."""
    signs = np.sign(differences[~np.isnan(differences)])
    signs = signs[signs != 0]
    return float(scipy.stats.binomtest(int((signs > 0).sum()), len(signs)).pvalue) if len(signs) else float("nan")


class _Tables:
    """The cases of one quantity, their clusters, and what several pairs share."""

    def __init__(self, cases: dict[str, Case], settings: BootstrapSettings, rng: np.random.Generator):
        self.cases = cases
        first = next(iter(cases.values()))
        self.quantity, self.true, self.quarter, self.size = first.quantity, first.true, first.quarter, len(first.true)
        labels = {"quarter": self.quarter, "manager": first.column("mgrno")}
        self.clusters = {name: draw_clusters(labels[name], settings.bootstrap_draws, rng) for name in CLUSTERINGS}
        self.numbers = {name: clusters.number for name, clusters in self.clusters.items()}

    def errors(self, forecaster: str) -> Array:
        return np.abs(self.cases[forecaster].predicted - self.true)

    @cached_property
    def rank_ics(self) -> dict[str, Array]:
        """RankIC by quarter of each forecaster that ranks."""
        return {
            name: rank_ic_by_quarter(self.true, one.predicted, self.quarter)
            for name, one in self.cases.items()
            if name != UNRANKED
        }

    @cached_property
    def rank_ic_draws(self) -> dict[str, Array]:
        """The same in every draw of managers, shape (draws, quarters)."""
        predicted = np.array([self.cases[name].predicted for name in self.rank_ics])
        draws = bootstrap_rank_ic(self.true, predicted, self.quarter, self.clusters["manager"])
        return dict(zip(self.rank_ics, draws, strict=True))


def _tables(joined: pd.DataFrame, settings: BootstrapSettings, rng: np.random.Generator) -> Iterator[_Tables]:
    """By change of CHANGES; windows by id, so that no sum depends on the order of the rows."""
    window, _ = pd.factorize(joined["window_id"], sort=True)
    labels = (change.label for change in CHANGES.values())
    columns = ["forecaster", "quarter", "mgrno", "holding_t", "predicted_delta", *labels]
    joined = joined[columns].iloc[np.argsort(window, kind="stable")]
    for name in CHANGES:
        yield _Tables({one.forecaster: one for one in cases(joined, EvaluationSettings(), (name,))}, settings, rng)


def _compare_mae(tables: _Tables, baseline: str, candidate: str) -> tuple[float, float, Array, dict[str, Array]]:
    errors = tables.errors(baseline), tables.errors(candidate)
    difference = errors[1] - errors[0]
    draws = {name: bootstrap_mean(difference, clusters) for name, clusters in tables.clusters.items()}
    by_quarter = np.array([difference[inside].mean() for inside in rows_by_quarter(tables.quarter).values()])
    return errors[0].mean(), errors[1].mean(), by_quarter, draws


def _compare_rank_ic(tables: _Tables, baseline: str, candidate: str) -> tuple[float, float, Array, dict[str, Array]]:
    ics = [tables.rank_ics[name] for name in (baseline, candidate)]
    difference = ics[1] - ics[0]
    known = ~np.isnan(difference)
    draws = {}
    if known.any():
        # A quarter is drawn whole: its RankIC stays what it is, and only how often it counts changes.
        # In rows, because the layout decides in which order a sum is made, and so its last digit.
        counts = tables.clusters["quarter"].counts[:, known].astype(float, order="C")
        drawn = counts.sum(axis=1)
        draws["quarter"] = np.where(drawn > 0, counts @ difference[known] / np.maximum(drawn, 1), np.nan)
        draws["manager"] = _mean_over_quarters(tables.rank_ic_draws[candidate] - tables.rank_ic_draws[baseline])
    means = [ic[known].mean() if known.any() else np.nan for ic in ics]
    return means[0], means[1], difference[known], draws


METRICS: dict[str, Callable[..., tuple[float, float, Array, dict[str, Array]]]] = {
    "MAE": _compare_mae,
    "RankIC": _compare_rank_ic,
}


@_one_thread
def compare_forecasts(
    joined: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    settings: BootstrapSettings,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row per change of CHANGES, metric in METRICS and (baseline, candidate) pair; no RankIC against no-change.

    `difference` = candidate - baseline, of the MAE (negative: the candidate is better; the absolute error of the level
    is that of the change) or of the mean RankIC over the quarters where both have one (positive: better). Unparsed
    completions count as no change. With fewer than 10 quarters `few_quarters` is set, and `p_value` is the
    larger one of the clustered p-value and the sign test's over quarters. Not corrected for several comparisons:
    `metrics.holm` over all firm types does that.
    """
    rows = []
    for tables in _tables(joined, settings, rng):
        for metric, compare in METRICS.items():
            for baseline, candidate in pairs:
                if metric == "RankIC" and baseline == UNRANKED:
                    continue
                values = compare(tables, baseline, candidate) if tables.size else (np.nan, np.nan, np.empty(0), {})
                rows.append(
                    {
                        "baseline": baseline,
                        "candidate": candidate,
                        "target": tables.quantity.name,
                        "metric": metric,
                        "unit": tables.quantity.unit if metric == "MAE" else "correlation",
                        "n_windows": tables.size,
                        **_inference(*values, tables.numbers, settings.confidence),
                    }
                )
    return pd.DataFrame(rows)


def _inference(
    baseline: float,
    candidate: float,
    by_quarter: Array,
    draws: dict[str, Array],
    clusters: dict[str, int],
    confidence: float,
) -> dict[str, object]:
    """Difference, standard errors, the wider interval and p-values of one comparison."""
    numbers = {"quarter": len(by_quarter), "manager": clusters["manager"]}
    errors = {name: standard_error(draws[name], numbers[name]) if name in draws else np.nan for name in CLUSTERINGS}
    found = interval(candidate - baseline, errors, numbers, confidence)
    flags = _few(numbers)
    p_sign = sign_test(by_quarter) if flags["few_quarters"] else np.nan
    return {
        "baseline_value": baseline,
        "candidate_value": candidate,
        "difference": candidate - baseline,
        "se_quarter": errors["quarter"],
        "se_manager": errors["manager"],
        **found,
        "p_sign": p_sign,
        "p_value": np.fmax(found["p_cluster"], p_sign),
        **flags,
    }


def _few(numbers: dict[str, int]) -> dict[str, object]:
    """Numbers of clusters, and whether they are too few to be trusted."""
    return {
        "n_quarters": numbers["quarter"],
        "n_managers": numbers["manager"],
        "few_quarters": numbers["quarter"] < MIN_QUARTERS,
        "few_managers": numbers["manager"] < MIN_MANAGERS,
    }


@_one_thread
def skill_intervals(joined: pd.DataFrame, settings: BootstrapSettings, rng: np.random.Generator) -> pd.DataFrame:
    """Skill = 1 - MAE / MAE(no-change) per forecaster and change of CHANGES, with the wider clustered interval.

    The standard error is that of the linearised ratio, mean((|e| - R |e0|) / MAE0) with R = MAE / MAE0 (Cochran 1977,
    section 6.3): draws of the ratio itself explode where a draw holds hardly any change.
    """
    rows = []
    for tables in _tables(joined, settings, rng):
        for forecaster, one in tables.cases.items():
            if forecaster == UNRANKED or not tables.size:
                continue
            errors, stay = tables.errors(forecaster), np.abs(one.stay - one.true)
            value = skill(errors.mean(), stay.mean())
            linear = (errors - (1.0 - value) * stay) / stay.mean() if stay.any() else np.full(len(stay), np.nan)
            spreads = {
                name: standard_error(bootstrap_mean(linear, clusters), clusters.number)
                for name, clusters in tables.clusters.items()
            }
            found = interval(value, spreads, tables.numbers, settings.confidence)
            del found["p_cluster"]
            row = {"forecaster": forecaster, "target": tables.quantity.name, "n_windows": tables.size, "skill": value}
            rows.append({**row, **found, **_few(tables.numbers)})
    return pd.DataFrame(rows, columns=SKILL_COLUMNS)
