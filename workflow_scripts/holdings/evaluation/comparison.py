"""Paired comparisons on identical windows, with bootstraps clustered by quarter and by manager.

Positions of one quarter share its returns, and those of one manager his style: single windows are not independent
draws (Cameron, Gelbach and Miller 2008). Whole clusters are drawn with replacement; the standard error of the draws,
times sqrt(G / (G - 1)), and Student's t with G - 1 degrees of freedom give interval and p-value, because the
percentiles of the draws of few clusters are too narrow. The clustering with the wider interval is reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation.metrics import MIN_QUARTERS, Array, rank_ic_by_quarter, skill
from workflow_scripts.holdings.evaluation.settings import BootstrapSettings
from workflow_scripts.holdings.evaluation.tables import QUANTITIES, Case, Quantity, case_of
from workflow_scripts.holdings.texts.targets import CHANGES

MIN_MANAGERS = 10
CLUSTERINGS = ("quarter", "manager")
SKILL_COLUMNS = (
    "forecaster", "target", "n_windows", "skill", "clustered_by", "interval_low", "interval_high", "n_quarters",
    "n_managers", "few_quarters", "few_managers",
)  # fmt: skip
# Draws at a time: weights of all windows under all draws would be gigabytes.
CHUNK = 500


@dataclass(frozen=True)
class Clusters:
    """Cluster number of each window (n,), number of clusters, and how often each draw takes each: (draws, clusters)."""

    index: NDArray[np.intp]
    number: int
    counts: NDArray[np.int64]


def draw_clusters(labels: NDArray, draws: int, rng: np.random.Generator) -> Clusters:
    """A bootstrap of whole clusters: a draw is a multinomial count per cluster."""
    names, index = np.unique(labels, return_inverse=True)
    number = len(names)
    if not number:
        return Clusters(index, 0, np.zeros((draws, 0), dtype=np.int64))
    return Clusters(index, number, rng.multinomial(number, np.full(number, 1.0 / number), size=draws))


def bootstrap_mean(values: Array, clusters: Clusters) -> Array:
    """Mean of `values` (n,) over the windows of every draw; shape (draws,)."""
    sums, sizes = (np.bincount(clusters.index, weights, minlength=clusters.number) for weights in (values, None))
    return (clusters.counts @ sums) / (clusters.counts @ sizes)


def bootstrap_rank_ic(true: Array, predicted: Array, quarter: NDArray, clusters: Clusters) -> Array:
    """RankIC of every quarter in every draw, shape (draws, quarters); NaN where it is undefined.

    The weighted Pearson correlation of the ranks in the whole quarter: ranks are not computed anew for each draw.
    """
    quarters = np.unique(quarter)
    found = np.full((len(clusters.counts), len(quarters)), np.nan)
    for column, q in enumerate(quarters):
        inside = np.flatnonzero(quarter == q)
        x, y = (scipy.stats.rankdata(values[inside]) for values in (true, predicted))
        x, y = x - x.mean(), y - y.mean()
        moments = np.column_stack([np.ones(len(x)), x, y, x * x, y * y, x * y])
        for start in range(0, len(found), CHUNK):
            weights = clusters.counts[start : start + CHUNK, clusters.index[inside]].astype(float)
            total, sx, sy, sxx, syy, sxy = (weights @ moments).T
            with np.errstate(divide="ignore", invalid="ignore"):
                vx, vy = sxx - sx * sx / total, syy - sy * sy / total
                # Rounding leaves dust of a spread that is 0.
                fine = (vx > 1e-9 * sxx) & (vy > 1e-9 * syy)
                values = (sxy - sx * sy / total) / np.sqrt(vx * vy)
            found[start : start + CHUNK, column] = np.where(fine, values, np.nan)
    return found


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

    p_cluster is the larger one of the clusterings' p-values: far out in the tail that of few clusters, even where the
    other interval is wider. Missing where a clustering has fewer than two clusters: then nobody knows the wider one.
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


def _by_quarter(values: Array, quarter: NDArray) -> Array:
    return np.array([values[quarter == q].mean() for q in np.unique(quarter)])


class _Tables:
    """The cases of one quantity, their clusters, and what several pairs share."""

    def __init__(self, joined: pd.DataFrame, quantity: Quantity, settings: BootstrapSettings, rng: np.random.Generator):
        self.settings = settings
        self.cases: dict[str, Case] = {
            name: case_of(name, rows.sort_values("window_id"), quantity)
            for name, rows in joined.groupby("forecaster", sort=False)
        }
        first = next(iter(self.cases.values()))
        self.quarter, self.size = first.quarter, len(first.true)
        labels = {"quarter": self.quarter, "manager": first.rows["mgrno"].to_numpy()}
        self.clusters = {name: draw_clusters(labels[name], settings.bootstrap_draws, rng) for name in CLUSTERINGS}
        self.numbers = {name: clusters.number for name, clusters in self.clusters.items()}
        self.rank_draws: dict[tuple[str, str], Array] = {}

    def errors(self, forecaster: str) -> Array:
        one = self.cases[forecaster]
        return np.abs(one.predicted - one.true)

    def ics(self, forecaster: str, clustering: str) -> Array:
        """RankICs of the draws, kept for the next pair."""
        key = forecaster, clustering
        if key not in self.rank_draws:
            one = self.cases[forecaster]
            self.rank_draws[key] = bootstrap_rank_ic(one.true, one.predicted, one.quarter, self.clusters[clustering])
        return self.rank_draws[key]


def _compare_mae(tables: _Tables, baseline: str, candidate: str) -> tuple[float, float, Array, dict[str, Array]]:
    errors = tables.errors(baseline), tables.errors(candidate)
    difference = errors[1] - errors[0]
    draws = {name: bootstrap_mean(difference, clusters) for name, clusters in tables.clusters.items()}
    return errors[0].mean(), errors[1].mean(), _by_quarter(difference, tables.quarter), draws


def _compare_rank_ic(tables: _Tables, baseline: str, candidate: str) -> tuple[float, float, Array, dict[str, Array]]:
    cases = (tables.cases[name] for name in (baseline, candidate))
    ics = [rank_ic_by_quarter(one.true, one.predicted, one.quarter) for one in cases]
    difference = ics[1] - ics[0]
    known = ~np.isnan(difference)
    draws = {}
    if known.any():
        # A quarter is drawn whole: its RankIC stays what it is, and only how often it counts changes.
        counts = tables.clusters["quarter"].counts[:, known]
        drawn = counts.sum(axis=1)
        draws["quarter"] = np.where(drawn > 0, counts @ difference[known] / np.maximum(drawn, 1), np.nan)
        draws["manager"] = _mean_over_quarters(tables.ics(candidate, "manager") - tables.ics(baseline, "manager"))
    means = [ic[known].mean() if known.any() else np.nan for ic in ics]
    return means[0], means[1], difference[known], draws


METRICS: dict[str, Callable[..., tuple[float, float, Array, dict[str, Array]]]] = {
    "MAE": _compare_mae,
    "RankIC": _compare_rank_ic,
}


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
    for quantity in (QUANTITIES[name] for name in CHANGES):
        tables = _Tables(joined, quantity, settings, rng)
        for metric, compare in METRICS.items():
            for baseline, candidate in pairs:
                if metric == "RankIC" and baseline == "no_change":
                    continue  # It ranks nothing.
                values = compare(tables, baseline, candidate) if tables.size else (np.nan, np.nan, np.empty(0), {})
                rows.append(
                    {
                        "baseline": baseline,
                        "candidate": candidate,
                        "target": quantity.name,
                        "metric": metric,
                        "unit": quantity.unit if metric == "MAE" else "correlation",
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


def skill_intervals(joined: pd.DataFrame, settings: BootstrapSettings, rng: np.random.Generator) -> pd.DataFrame:
    """Skill = 1 - MAE / MAE(no-change) per forecaster and change of CHANGES, with the wider clustered interval.

    The standard error is that of the linearised ratio, mean((|e| - R |e0|) / MAE0) with R = MAE / MAE0 (Cochran 1977,
    section 6.3): draws of the ratio itself explode where a draw holds hardly any change.
    """
    rows = []
    for quantity in (QUANTITIES[name] for name in CHANGES):
        tables = _Tables(joined, quantity, settings, rng)
        for forecaster, one in tables.cases.items():
            if forecaster == "no_change" or not tables.size:
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
            row = {"forecaster": forecaster, "target": quantity.name, "n_windows": tables.size, "skill": value}
            rows.append({**row, **found, **_few(tables.numbers)})
    return pd.DataFrame(rows, columns=SKILL_COLUMNS)
