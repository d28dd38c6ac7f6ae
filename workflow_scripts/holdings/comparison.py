"""Paired comparison of forecasters on identical windows, by a bootstrap clustered by quarter."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation import true_and_predicted

MIN_QUARTERS = 10


def bootstrap_mean(
    values: NDArray[np.float64], clusters: NDArray, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """`draws` bootstrap means of values (n,), drawing whole clusters with replacement.

    Positions of one quarter share its returns, so single windows are not independent draws
    (Cameron, Gelbach and Miller 2008). Vectorised: a draw is a multinomial count per cluster.
    """
    _, index = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(index, values), np.bincount(index)
    counts = rng.multinomial(len(sizes), np.full(len(sizes), 1.0 / len(sizes)), size=draws)
    return (counts @ sums) / (counts @ sizes)


def compare_forecasts(
    joined: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    draws: int,
    confidence: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row per (baseline, candidate): the change of MAE from baseline to candidate.

    `mae_difference` = MAE(candidate) - MAE(baseline) in $ million: negative means the candidate is
    better; unparsed completions count as no change. The absolute error of the level is that of the
    change, so one comparison serves both. The interval is the percentile interval of the bootstrap,
    `p_value` twice the smaller share of draws on one side of 0 (at least 1/draws). `few_quarters`
    flags fewer than 10 clusters, where the interval is too narrow; with one quarter there is none.
    """
    rows = []
    tables = {name: table.set_index("window_id") for name, table in joined.groupby("forecaster", sort=False)}
    for baseline, candidate in pairs:
        base, other = tables[baseline], tables[candidate].loc[tables[baseline].index]
        quarter = base["quarter"].to_numpy()
        errors = [np.abs(np.subtract(*true_and_predicted(table, "change"))) for table in (base, other)]
        difference = errors[1] - errors[0]
        quarters = len(np.unique(quarter))
        low = high = p_value = float("nan")
        if quarters > 1:
            means = bootstrap_mean(difference, quarter, draws, rng)
            tail = (1.0 - confidence) / 2.0
            low, high = np.quantile(means, [tail, 1.0 - tail])
            one_sided = min((means <= 0).mean(), (means >= 0).mean())
            p_value = min(1.0, max(2.0 * one_sided, 1.0 / draws))
        rows.append(
            {
                "baseline": baseline,
                "candidate": candidate,
                "n": len(difference),
                "quarters": quarters,
                "mae_baseline": errors[0].mean(),
                "mae_candidate": errors[1].mean(),
                "mae_difference": difference.mean(),
                "interval_low": low,
                "interval_high": high,
                "p_value": p_value,
                "few_quarters": quarters < MIN_QUARTERS,
            }
        )
    return pd.DataFrame(rows)
