"""Metrics of forecasts; the only place where one is computed.

Arrays have shape (n,), one entry per window, in the unit of the target: $ million, or none for the log change.
`quarter` holds the quarter of each window. A metric that is undefined is NaN, never 0.
"""

from collections.abc import Callable, Hashable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
CORRELATIONS = ("IC", "RankIC")
# The headline, of changes relative to holding_t. An error counts at most CAP: a full exit that nobody forecast is 1,
# and a position that has grown tenfold, which only a small one does, counts no more.
CAPPED_MAE, RELATIVE_RANK_IC = "capped_relative_MAE", "relative_RankIC"
CAPPED_SHARE = "capped_share"
CAP = 1.0
AT_K = ("Recall", "Precision", "NDCG")
# Why a quarter is not among those that are ranked.
TOO_FEW, NONE_POSITIVE, CONSTANT = "at most k windows", "no positive truth", "constant forecast"
# Fewer quarters than that carry no inference over quarters.
MIN_QUARTERS = 10


def mae(true: Array, predicted: Array) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(predicted - true)))


def rmse(true: Array, predicted: Array) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((predicted - true) ** 2)))


def r_squared(true: Array, predicted: Array) -> float:
    """1 - sum of squared errors / sum of squares around the mean; NaN where the truth is constant."""
    if not np.ptp(true):
        return float("nan")
    return 1.0 - float(np.sum((predicted - true) ** 2)) / float(np.sum((true - true.mean()) ** 2))


def smape(true: Array, predicted: Array) -> float:
    """Mean of 2|e| / (|true| + |predicted|), in [0, 2]; a pair of zeros counts as 0."""
    size = np.abs(true) + np.abs(predicted)
    return float(np.mean(np.where(size > 0, 2 * np.abs(predicted - true) / np.where(size > 0, size, 1.0), 0.0)))


def median_absolute_error(true: Array, predicted: Array) -> float:
    """Median absolute error: what a typical window is missed by, however large the giants are."""
    return float(np.median(np.abs(predicted - true)))


ERROR_METRICS: dict[str, Callable[[Array, Array], float]] = {
    "MAE": mae,
    "RMSE": rmse,
    "R2": r_squared,
    "sMAPE": smape,
    "MedAE": median_absolute_error,
}
# sMAPE is the same relative to holding_t.
RELATIVE_METRICS = ("MAE", "RMSE", "R2", "MedAE")


def error_metrics(true: Array, predicted: Array) -> dict[str, float]:
    """All of ERROR_METRICS; NaN for no windows."""
    return {name: metric(true, predicted) if len(true) else np.nan for name, metric in ERROR_METRICS.items()}


def capped(changes: Array) -> Array:
    """Changes relative to holding_t, none beyond CAP in either direction; of any shape."""
    return np.clip(changes, -CAP, CAP)


def capped_errors(true: Array, predicted: Array, cap: float = CAP) -> Array:
    """Absolute errors, each counted as at most `cap`, shape (n,)."""
    return np.minimum(np.abs(predicted - true), cap)


def capped_mae(true: Array, predicted: Array) -> float:
    """Mean of the absolute errors, each counted as at most CAP; for changes relative to holding_t."""
    return float(np.mean(capped_errors(true, predicted)))


def capped_share(true: Array, predicted: Array) -> float:
    """Share of the errors that are above CAP: those of small positions that grew, as a rule."""
    return float(np.mean(np.abs(predicted - true) > CAP))


def relative_metrics(true: Array, predicted: Array) -> dict[str, float]:
    """`relative_{name}` of RELATIVE_METRICS and the capped ones, of changes over holding_t; NaN for no windows."""
    metrics = {f"relative_{name}": ERROR_METRICS[name] for name in RELATIVE_METRICS}
    metrics |= {CAPPED_MAE: capped_mae, CAPPED_SHARE: capped_share}
    return {name: metric(true, predicted) if len(true) else np.nan for name, metric in metrics.items()}


def skill(error: float, reference: float) -> float:
    """1 - error / reference, the reference being no-change's error on the same windows; NaN where that is 0."""
    return 1.0 - error / reference if reference > 0 else float("nan")


def pearson(true: Array, predicted: Array) -> float:
    """Pearson correlation; NaN for fewer than two windows or where either side is constant.

    Constant is tested before, not after, subtracting the mean, which leaves rounding dust behind.
    """
    if len(true) < 2 or np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    a, b = true - true.mean(), predicted - predicted.mean()
    # Each side is scaled first: the sum of squares of tiny or huge numbers would leave float range.
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.sum(a * b) / np.sqrt(np.sum(a**2) * np.sum(b**2)))


def average_ranks(values: Array) -> Array:
    """Ranks from 1, the mean of their places for equal values, shape (n,); none of them may be NaN.

    The same as `scipy.stats.rankdata`, whose stable sort takes five times as long: equal values share a rank, so
    that their order among each other does not matter.
    """
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(values) else order
    sizes = np.diff(starts, append=len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    return ranks


def spearman(true: Array, predicted: Array) -> float:
    """Spearman correlation: Pearson of the average ranks."""
    return pearson(average_ranks(true), average_ranks(predicted))


def k_of(top_k: float, n: int) -> int:
    """k among n windows: `top_k` itself from 1 on, below 1 that share of the windows, rounded and at least 1.

    >>> k_of(50, 37), k_of(0.1, 37)
    (50, 4)
    """
    return int(top_k) if top_k >= 1 else max(1, int(top_k * n + 0.5))


def at_k(name: str, top_k: float) -> str:
    """The name of a metric at k.

    >>> at_k("Recall", 50), at_k("Recall", 0.1)
    ('Recall@50', 'Recall@10%')
    """
    return f"{name}@{int(top_k)}" if top_k >= 1 else f"{name}@{100 * top_k:g}%"


def rankings(top_k: float) -> tuple[str, ...]:
    """The names of the metrics of a ranking."""
    return (*CORRELATIONS, *(at_k(name, top_k) for name in AT_K))


def why_not_ranked(true: Array, predicted: Array, k: int) -> str:
    """Why Recall, Precision and NDCG at k say nothing about the windows given; empty where they do."""
    if len(true) <= k:
        return TOO_FEW
    if not (true > 0).any():
        return NONE_POSITIVE
    return "" if np.ptp(predicted) else CONSTANT


def top_k(values: Array, k: int) -> NDArray[np.intp]:
    """Positions of the k largest values, ties by position: a fixed rule gives the same table twice. None may be NaN."""
    near = np.arange(len(values))
    if len(values) > k:
        # Only what is not below the k-th largest is sorted.
        near = np.flatnonzero(values >= np.partition(values, -k)[-k])
    return near[np.argsort(-values[near], kind="stable")[:k]]


def recall_precision_ndcg(true: Array, predicted: Array, k: int) -> tuple[float, float, float]:
    """Recall@k, Precision@k and NDCG@k of ranking windows by the forecast.

    Relevant are the (at most k) largest truths that are positive. Recall = hits / relevant,
    Precision = hits / ranked (k, or all windows where there are fewer). NDCG has gain max(true, 0) and
    discount 1 / log2(rank + 1) (Järvelin and Kekäläinen 2002). NaN where nothing is relevant, and for a
    constant forecast, which ranks nothing: its score would be that of the rows' order.
    """
    best = top_k(true, k)
    relevant = best[true[best] > 0]
    if not len(relevant) or (np.ptp(predicted) == 0 and len(predicted) > 1):
        return float("nan"), float("nan"), float("nan")
    ranked = top_k(predicted, k)
    hits = len(np.intersect1d(ranked, relevant))
    discount = 1.0 / np.log2(np.arange(2, len(ranked) + 2))
    gain = np.maximum(true, 0.0)
    ndcg = float(np.sum(gain[ranked] * discount) / np.sum(gain[best] * discount))
    return hits / len(relevant), hits / len(ranked), ndcg


def ranking_metrics(true: Array, predicted: Array, top_k: float) -> dict[str, float]:
    """IC (Pearson), RankIC (Spearman), Recall, Precision and NDCG at `top_k` over the windows given, by `rankings`."""
    found = recall_precision_ndcg(true, predicted, k_of(top_k, len(true)))
    values = (pearson(true, predicted), spearman(true, predicted), *found)
    return dict(zip(rankings(top_k), values, strict=True))


def rows_by_quarter(quarter: ArrayLike) -> dict[Hashable, NDArray[np.intp]]:
    """Row numbers of each quarter, ascending, by quarter in its order."""
    codes, names = pd.factorize(quarter, sort=True)
    # Small integers are sorted stably in one pass.
    order = np.argsort(codes.astype(np.min_scalar_type(len(names))), kind="stable")
    sizes = np.bincount(codes, minlength=len(names))
    return {name: order[end - size : end] for name, size, end in zip(names, sizes, np.cumsum(sizes), strict=True)}


def metrics_by_quarter(true: Array, predicted: Array, quarter: NDArray, top_k: float) -> pd.DataFrame:
    """One row per quarter: quarter, n_windows, ERROR_METRICS, `rankings`, k, not_ranked.

    `k` is that of the quarter; `not_ranked` is the reason why the quarter is not in the means of the metrics at k,
    empty where it is. With at most k windows every ranking finds everything.
    """
    rows = []
    for q, inside in rows_by_quarter(quarter).items():
        t, p = true[inside], predicted[inside]
        k = k_of(top_k, len(t))
        rows.append(
            {
                "quarter": q,
                "n_windows": len(t),
                **error_metrics(t, p),
                **ranking_metrics(t, p, top_k),
                "k": k,
                "not_ranked": why_not_ranked(t, p, k),
            }
        )
    numbers = (*ERROR_METRICS, *rankings(top_k))
    table = pd.DataFrame(rows, columns=["quarter", "n_windows", *numbers, "k", "not_ranked"])
    # Without a quarter pandas would not know the types.
    return table.astype({"n_windows": int, **dict.fromkeys(numbers, float), "k": int, "not_ranked": object})


def rank_ic_by_quarter(true: Array, predicted: Array, quarter: NDArray) -> Array:
    """RankIC of each quarter in its order, shape (quarters,); NaN where it is undefined."""
    return np.array([spearman(true[inside], predicted[inside]) for inside in rows_by_quarter(quarter).values()])


def newey_west_se(values: Array) -> float:
    """Standard error of the mean of a series (n,) in time order, robust to autocorrelation.

    Bartlett weights (Newey and West 1987), lags = floor(4 (n / 100)^(2/9)), times sqrt(n / (n - 1)) because the mean is
    estimated; NaN for fewer than 2 values.
    """
    n = len(values)
    if n < 2:
        return float("nan")
    lags = int(4 * (n / 100) ** (2 / 9))
    centred = values - values.mean()
    variance = np.sum(centred**2)
    for lag in range(1, min(lags, n - 1) + 1):
        variance += 2 * (1 - lag / (lags + 1)) * np.sum(centred[lag:] * centred[:-lag])
    return float(np.sqrt(variance / (n * (n - 1))))


def correlation_summary(name: str, by_quarter: Array) -> dict[str, float]:
    """Mean of the quarters' correlations, that over their standard deviation (IR), and its Newey-West t.

    No t below MIN_QUARTERS, where it is far too often large. Quarters where the correlation is undefined are left out
    here and counted by `summarize_rankings`.
    """
    known = by_quarter[~np.isnan(by_quarter)]
    mean = known.mean() if len(known) else np.nan
    spread = known.std(ddof=1) if len(known) > 1 else np.nan
    error = newey_west_se(known) if len(known) >= MIN_QUARTERS else np.nan
    return {name: mean, f"{name}_IR": _ratio(mean, spread), f"{name}_t": _ratio(mean, error)}


def _ratio(value: float, spread: float) -> float:
    return float(value / spread) if spread > 0 else float("nan")


def summarize_rankings(
    true: Array, predicted: Array, quarter: NDArray, top_k: float, quarterly: pd.DataFrame | None = None
) -> dict[str, float | str]:
    """Rankings within the quarters, then averaged; `pooled_` ones over all windows at once.

    `quarterly` is the table of `metrics_by_quarter` where somebody has it already.

    Quarters where a correlation is undefined (a constant forecast or truth) are left out of the mean
    and counted in `n_quarters_without_IC`. Recall, Precision and NDCG are means over `n_quarters_ranked`, and
    `not_ranked` says for how many others which reason holds; `_by_chance` is the Recall of a random order of the same
    quarters. All NaN for no windows.
    """
    quarterly = metrics_by_quarter(true, predicted, quarter, top_k) if quarterly is None else quarterly
    ranked = quarterly[quarterly["not_ranked"] == ""]
    reasons = [
        (reason, int((quarterly["not_ranked"] == reason).sum())) for reason in (TOO_FEW, NONE_POSITIVE, CONSTANT)
    ]
    correlations: dict[str, float] = {}
    for name in CORRELATIONS:
        correlations |= correlation_summary(name, quarterly[name].to_numpy(float))
    pooled = ranking_metrics(true, predicted, top_k) if len(true) else dict.fromkeys(rankings(top_k), np.nan)
    return {
        **correlations,
        "n_quarters": len(quarterly),
        "n_quarters_without_IC": int(quarterly["IC"].isna().sum()),
        **{at_k(name, top_k): ranked[at_k(name, top_k)].mean() for name in AT_K},
        f"{at_k('Recall', top_k)}_by_chance": (ranked["k"] / ranked["n_windows"]).mean(),
        "n_quarters_ranked": len(ranked),
        "not_ranked": "; ".join(f"{reason}: {count}" for reason, count in reasons if count),
        **{f"pooled_{name}": value for name, value in pooled.items()},
    }


def directions(change: Array, held: Array, dead_band: float) -> NDArray[np.int8]:
    """-1 (down), 0 (flat) or 1 (up): flat is a change of at most dead_band * held; shape (n,)."""
    return (np.sign(change) * (np.abs(change) > dead_band * held)).astype(np.int8)


def direction_metrics(true: NDArray, predicted: NDArray) -> dict[str, float]:
    """accuracy, majority_accuracy, macro_F1 and MCC of classes (n,).

    majority_accuracy is that of always naming the truth's most frequent class. macro_F1 is the mean over the
    classes that occur on either side. MCC is the multi-class Matthews correlation (Gorodkin 2004), 0 where either
    side has one class alone. NaN for no windows.
    """
    names = ("accuracy", "majority_accuracy", "macro_F1", "MCC")
    n = len(true)
    if not n:
        return dict.fromkeys(names, float("nan"))
    classes = np.unique(np.concatenate([true, predicted]))
    confusion = np.array([[np.sum((true == a) & (predicted == b)) for b in classes] for a in classes], float)
    correct, truths, guesses = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    spread = np.sqrt((n**2 - np.sum(guesses**2)) * (n**2 - np.sum(truths**2)))
    mcc = (correct.sum() * n - np.sum(truths * guesses)) / spread if spread > 0 else 0.0
    values = (correct.sum() / n, truths.max() / n, np.mean(2 * correct / (truths + guesses)), mcc)
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def calibration(true: Array, predicted: Array) -> dict[str, float]:
    """Slope and intercept of the truth on the forecast (least squares; 1 and 0 are perfect), and both spreads.

    NaN slope and intercept for a constant forecast (Mincer and Zarnowitz 1969).
    """
    if len(true) < 2:
        return dict.fromkeys(("calibration_slope", "calibration_intercept", "forecast_sd", "truth_sd"), float("nan"))
    slope = intercept = float("nan")
    if np.ptp(predicted) > 0:
        centred = predicted - predicted.mean()
        slope = float(np.sum(centred * (true - true.mean())) / np.sum(centred**2))
        intercept = float(true.mean() - slope * predicted.mean())
    return {
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "forecast_sd": float(predicted.std(ddof=1)),
        "truth_sd": float(true.std(ddof=1)),
    }


def holm(p_values: Array) -> Array:
    """Holm's step-down adjusted p-values (Holm 1979), shape (n,); NaN stays NaN and does not count as a test."""
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
