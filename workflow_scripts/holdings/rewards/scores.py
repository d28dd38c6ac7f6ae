"""What rewards pay to completions that are there: their distribution, and completions to look at."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflow_scripts.holdings.rewards.rewards import RewardSettings, is_self_scaled, replay, reward_columns
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.plumbing.errors import InputError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Completions of a kind that are shown per reward.
EXAMPLES = 5


def answered_rows(completions: Sequence[dict], dataset: Sequence[dict]) -> list[dict]:
    """The dataset's row of each completion, by window_id; InputError for a completion without one, or for none."""
    if not completions:
        raise InputError("there is no completion to replay; give a file with some")
    by_id = {row["window_id"]: row for row in dataset}
    strange = [row["window_id"] for row in completions if row["window_id"] not in by_id]
    if strange:
        raise InputError(
            f"{len(strange):,} of {len(completions):,} completions belong to no row of the dataset, such as "
            f"{strange[0]}; give the dataset whose prompts were completed"
        )
    return [by_id[row["window_id"]] for row in completions]


def score_tables(
    texts: Sequence[str], rows: Sequence[dict], settings: RewardSettings, batch: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Distribution of each reward over the completions, those that earn exactly 0, and the worst of the others.

    `rows` are the dataset's rows of the `texts`; batch rewards see `batch` completions together, in the given order. At
    most EXAMPLES of a kind are shown per reward. A reward of the user's own may leave completions out (None): `count`
    counts the others. 0 is what a reward pays for a row without a label, or, with some, for neither good nor bad. Where
    `self_scaled`, the errors that are scored are the reward's own scale: such distributions of different completions
    cannot be compared, those of the other rewards can.
    """
    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    label = TARGETS[settings.target].label
    shown = sorted({name for name in ("holding_t", label) if name in columns}.union(
        reward_columns(settings.names, settings.target)))  # fmt: skip
    summaries: list[dict] = []
    zeros: list[dict] = []
    worst: list[dict] = []
    for name in settings.names:
        rewards = replay(name, settings, texts, columns, batch)
        known = rewards[~np.isnan(rewards)]
        summaries.append({"reward": name, "self_scaled": is_self_scaled([name]), **_distribution(known)})
        order = np.argsort(rewards, kind="stable")[: len(known)]
        is_zero = rewards[order] == 0
        for chosen, table in ((order[is_zero], zeros), (order[~is_zero], worst)):
            for i in chosen[:EXAMPLES]:
                sample = {"reward": name, "value": rewards[i], "window_id": rows[i]["window_id"]}
                table.append({**sample, **{column: columns[column][i] for column in shown}, "completion": texts[i]})
    sample_columns = ["reward", "value", "window_id", *shown, "completion"]
    return pd.DataFrame(summaries), *(pd.DataFrame(table, columns=sample_columns) for table in (zeros, worst))


def _distribution(rewards: NDArray[np.float64]) -> dict[str, float]:
    """count, mean, std, share of zeros, extremes and quantiles; NaN for none."""
    n = len(rewards)
    quantiles = np.quantile(rewards, QUANTILES) if n else np.full(len(QUANTILES), np.nan)
    return {
        "count": n,
        "mean": rewards.mean() if n else np.nan,
        "std": rewards.std(ddof=1) if n > 1 else np.nan,
        "zero_share": np.mean(rewards == 0) if n else np.nan,
        "min": rewards.min() if n else np.nan,
        **{f"q{int(q * 100):02d}": value for q, value in zip(QUANTILES, quantiles, strict=True)},
        "max": rewards.max() if n else np.nan,
    }


def summary_line(summary: pd.DataFrame) -> str:
    """Mean and standard deviation of each reward, as a job tells them.

    >>> row = {"reward": "mine", "self_scaled": True, "mean": 0.5, "std": 1.25, "count": 4, "zero_share": 0.25}
    >>> summary_line(pd.DataFrame([row]))
    'mine +0.50 ± 1.25 (4 completions, 25% zero, scaled by their own errors)'
    """
    shown = summary[["reward", "self_scaled", "mean", "std", "count", "zero_share"]]
    return ", ".join(
        f"{row.reward} {row.mean:+.2f} ± {row.std:.2f} ({row.count:,} completions, {row.zero_share:.0%} zero"
        f"{', scaled by their own errors' if row.self_scaled else ''})"
        for row in shown.itertuples(index=False, name="Row")
    )
