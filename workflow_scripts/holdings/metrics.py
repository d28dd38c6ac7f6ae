"""Metrics of forecasts; the only place where one is computed.

Arrays have shape (n,), one entry per window, $ million; `quarter` holds the quarter of each window.
Truth and forecast are either the level (holding_tp1) or the change (holding_delta).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

TARGETS = ("level", "change")
Array = NDArray[np.float64]


def mae(true: Array, predicted: Array) -> float:
    """Mean absolute error, $ million."""
    return float(np.mean(np.abs(predicted - true)))


def rmse(true: Array, predicted: Array) -> float:
    """Root of the mean squared error, $ million."""
    return float(np.sqrt(np.mean((predicted - true) ** 2)))


def r_squared(true: Array, predicted: Array) -> float:
    """1 - sum of squared errors / sum of squares around the mean; NaN where the truth is constant."""
    spread = float(np.sum((true - true.mean()) ** 2))
    return 1.0 - float(np.sum((predicted - true) ** 2)) / spread if spread > 0 else float("nan")


def smape(true: Array, predicted: Array) -> float:
    """Mean of 2|e| / (|true| + |predicted|), in [0, 2]; a pair of zeros counts as 0."""
    size = np.abs(true) + np.abs(predicted)
    return float(np.mean(np.where(size > 0, 2 * np.abs(predicted - true) / np.where(size > 0, size, 1.0), 0.0)))


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


def spearman(true: Array, predicted: Array) -> float:
    """Spearman correlation: Pearson of the average ranks."""
    return pearson(rankdata(true), rankdata(predicted))


def top_k(values: Array, k: int) -> NDArray[np.intp]:
    """Positions of the k largest values, ties by position: a fixed rule gives the same table twice."""
    return np.argsort(-values, kind="stable")[:k]


def recall_precision_ndcg(true: Array, predicted: Array, k: int) -> tuple[float, float, float]:
    """Recall@k, Precision@k and NDCG@k of ranking one quarter's windows by the forecast.

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


ERROR_METRICS: dict[str, Callable[[Array, Array], float]] = {
    "MAE": mae,
    "RMSE": rmse,
    "R2": r_squared,
    "sMAPE": smape,
}


def metrics_by_quarter(true: Array, predicted: Array, quarter: NDArray, k: int) -> pd.DataFrame:
    """One row per quarter: n, the error metrics, IC (Pearson), RankIC (Spearman), Recall, Precision, NDCG.

    `trivial_top_k` marks quarters with at most k windows, where every ranking finds everything.
    """
    rows = []
    for q in np.unique(quarter):
        t, p = true[quarter == q], predicted[quarter == q]
        recall, precision, ndcg = recall_precision_ndcg(t, p, k)
        rows.append(
            {
                "quarter": q,
                "n": len(t),
                **{name: metric(t, p) for name, metric in ERROR_METRICS.items()},
                "IC": pearson(t, p),
                "RankIC": spearman(t, p),
                "Recall": recall,
                "Precision": precision,
                "NDCG": ndcg,
                "trivial_top_k": len(t) <= k,
            }
        )
    columns = ["quarter", "n", *ERROR_METRICS, "IC", "RankIC", "Recall", "Precision", "NDCG", "trivial_top_k"]
    return pd.DataFrame(rows, columns=columns)


def summarize(true: Array, predicted: Array, quarter: NDArray, k: int) -> dict[str, float]:
    """Metrics over all windows; IC, RankIC, Recall, Precision and NDCG are means of the quarters' values.

    Quarters where a correlation is undefined (a constant forecast or truth) are left out of the mean
    and counted in `quarters_without_IC`. All NaN for no windows.
    """
    quarterly = metrics_by_quarter(true, predicted, quarter, k)
    ranking = {name: quarterly[name].mean() for name in ("IC", "RankIC", "Recall", "Precision", "NDCG")}
    errors = {name: metric(true, predicted) if len(true) else np.nan for name, metric in ERROR_METRICS.items()}
    return {
        "n": len(true),
        **errors,
        **ranking,
        "quarters": len(quarterly),
        "quarters_without_IC": int(quarterly["IC"].isna().sum()),
        "quarters_trivial_top_k": int(quarterly["trivial_top_k"].sum()),
    }
