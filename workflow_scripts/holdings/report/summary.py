"""Tables across firm types: headline, corrected comparisons with their verdicts, and the mean over seeds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.holdings.evaluation.comparison import ERRORS, PRIMARY
from workflow_scripts.holdings.evaluation.inference import detectable
from workflow_scripts.holdings.evaluation.metrics import AT_K, CAPPED_MAE, RELATIVE_RANK_IC, holm
from workflow_scripts.holdings.evaluation.tables import CAPPED_SKILL, HEADLINE
from workflow_scripts.holdings.forecasts.forecasters import own_forecasters
from workflow_scripts.holdings.forecasts.stages import TRAINED_STAGES
from workflow_scripts.holdings.panel.checks import warning_lines
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.flat_settings import flat_settings, is_below

# The words for the targets and for the two changes. They stand here, because the rewards import texts/targets.py:
# another word in a report must not train GRPO again.
TRAINED_ON = {
    "holding_delta": "the dollar change",
    "holding_tp1": "the next position",
    "active_delta": "the active change",
}
CHANGE_TITLES = {
    "change": "Change: holding(t+1) - holding(t). It contains the stock's return",
    "active_change": "Active change: what was traded, at the price of t",
}
HEADLINE_COLUMNS = (
    CAPPED_MAE,
    CAPPED_SKILL,
    RELATIVE_RANK_IC,
    f"{RELATIVE_RANK_IC}_t",
    "MAE",
    "skill",
    "relative_MedAE",
    "RankIC",
    "RankIC_t",
    "n_quarters",
    "n_quarters_without_IC",
    "accuracy",
    "majority_accuracy",
    "MCC",
    "calibration_slope",
    "near_zero_share",
    "near_zero_share_of_truth",
    "parsed_share",
    "valid_share",
)
# How many quarters the metrics at k are means of, and why not of the others.
RANKED = ("n_quarters_ranked", "not_ranked")
# What runs that are averaged over seeds may differ in.
SEED_KEYS = ("run", "base_run", "seed", "seeds", "evaluation.seed_runs")
# Metrics that the table over seeds has.
SEED_METRICS = (
    *(CAPPED_MAE, CAPPED_SKILL, RELATIVE_RANK_IC),
    *("MAE", "skill", "relative_skill", "IC", "RankIC", "accuracy", "MCC", "valid_share"),
)
# What is shown of the comparisons that a run is made for.
PRIMARY_COLUMNS = (
    *("firm_type", "candidate", "baseline", "metric", "baseline_value", "candidate_value", "difference"),
    *("interval_low", "interval_high", "p_holm", "verdict", "detectable", "n_quarters", "n_managers"),
)
# A model that answers like this has collapsed to the baseline, whatever its MAE.
MAX_NEAR_ZERO = 0.9
# Below this, silence that counts as no change makes a good part of a stage's score.
MIN_PARSED = 0.95
FILING_LAG = (
    "Form 13F is due 45 days after the quarter's end: holdings of t become public in the middle of t+1, so that "
    "these forecasts could not have been traded on at t."
)


def headline(metrics: pd.DataFrame, target: str, treatment: str = HEADLINE) -> pd.DataFrame:
    """One target and treatment: one row per firm type and forecaster."""
    kept = metrics[(metrics["target"] == target) & (metrics["treatment"] == treatment)]
    at_k = [name for name in metrics if name.startswith(tuple(f"{one}@" for one in AT_K))]
    return kept[["firm_type", "forecaster", "n_windows", *HEADLINE_COLUMNS, *at_k, *RANKED]].reset_index(drop=True)


def correct_comparisons(comparisons: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """All firm types' comparisons with p_holm, detectable and verdict: what the candidate is after the correction.

    Each family of the table is corrected for itself, over all firm types: the few primary comparisons do not pay for
    the many others. detectable is the true difference that would be found with a probability of .8 at the level that
    the smallest p-value of the family has to reach. verdict is better, worse, or `not shown` where p_holm is not below
    1 - confidence, and `undefined` where there is no test.
    """
    table, level = comparisons.assign(p_holm=np.nan, detectable=np.nan), 1 - confidence
    for _, rows in table.groupby("family"):
        tests = max(int(rows["p_value"].notna().sum()), 1)
        errors, degrees = (rows[name].to_numpy(float) for name in ("standard_error", "degrees_of_freedom"))
        table.loc[rows.index, "p_holm"] = holm(rows["p_value"].to_numpy(float))
        table.loc[rows.index, "detectable"] = detectable(errors, degrees, level / tests)
    # A smaller error is better, and so is a larger correlation.
    gain = np.where(table["metric"].isin(ERRORS), -table["difference"], table["difference"])
    shown = table["p_holm"] < level
    table["verdict"] = np.select(
        [table["p_holm"].isna(), shown & (gain > 0), shown & (gain < 0)], ["undefined", "better", "worse"], "not shown"
    )
    return table


def marked(rows: pd.DataFrame) -> pd.DataFrame:
    """Verdicts with a star for fewer than 10 quarters or managers, and a dagger for another base model."""
    few, other = rows["few_quarters"] | rows["few_managers"], rows["same_base_model"] == "no"
    return rows.assign(verdict=rows["verdict"] + np.where(few, " *", "") + np.where(other, " \N{DAGGER}", ""))


def primary_table(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons that the run is made for, with PRIMARY_COLUMNS and marked verdicts."""
    rows = marked(comparisons[comparisons["family"] == PRIMARY])
    return rows[list(PRIMARY_COLUMNS)].sort_values("firm_type", kind="stable", ignore_index=True)


def verdict_table(comparisons: pd.DataFrame) -> pd.DataFrame:
    """What the models and the user's own forecasters are against the others by CAPPED_MAE, after the correction.

    A column of marked verdicts per firm type.
    """
    rows = marked(comparisons[comparisons["metric"] == CAPPED_MAE])
    keys = ["target", "candidate", "baseline"]
    order = rows[keys].drop_duplicates()
    wide = rows.pivot(index=keys, columns="firm_type", values="verdict")[list(rows["firm_type"].unique())]
    return order.merge(wide.reset_index(), on=keys)


def run_warnings(
    panels: list[dict], trainings: Sequence[Mapping], metrics: pd.DataFrame, origins: pd.DataFrame
) -> list[str]:
    """What the checks of the slices found, and what looks wrong in the run, one line each.

    That is: signs of sick trainings, models that repeat the last holding or are silent, rankings that say nothing, and
    what nobody can check of the user's own forecasters.
    """
    warnings = [f"panel: {line}" for line in warning_lines(panels)]
    warnings += [f"{t['firm_type']} {t['stage']}: {sign}" for t in trainings for sign in t["warnings"]]
    table = headline(metrics, "change")
    models = (*TRAINED_STAGES, *own_forecasters(table["forecaster"]))
    collapsed = table[table["forecaster"].isin(models) & (table["near_zero_share"] > MAX_NEAR_ZERO)]
    silent = table[table["parsed_share"] < MIN_PARSED]
    warnings += [
        f"{row.firm_type} {row.forecaster}: only {row.parsed_share:.1%} of the completions could be parsed; the others "
        "count as no change"
        for row in silent.itertuples()
    ]
    unranked = table[table["forecaster"].isin(models) & (table["n_quarters_ranked"] < table["n_quarters"])]
    warnings += [
        f"{row.firm_type} {row.forecaster}: {row.n_quarters - row.n_quarters_ranked} of {row.n_quarters} quarters are "
        f"left out of Recall, Precision and NDCG ({row.not_ranked})"
        for row in unranked.itertuples()
    ]
    warnings += _foreign(origins)
    return warnings + [
        f"{row.firm_type} {row.forecaster}: {row.near_zero_share:.0%} of the forecasts are no change (dead band)"
        for row in collapsed.itertuples()
    ]


def _foreign(origins: pd.DataFrame) -> Iterator[str]:
    """What to know of the user's own forecasters, whose training is not this run's."""
    own = origins[origins["kind"].isin(["adapter", "forecasts"])]
    if len(own):
        yield (
            f"{', '.join(dict.fromkeys(own['forecaster']))}: made outside this run; whether test windows, or quarters "
            "after t, were known to them cannot be checked here"
        )
    stages = origins[origins["kind"] == "stage"]
    models = set(zip(stages["firm_type"], stages["base_model_identity"], strict=True))
    for row in own[own["kind"] == "adapter"].itertuples() if len(stages) else ():
        if (row.firm_type, row.base_model_identity) not in models:
            yield (
                f"{row.firm_type} {row.forecaster}: its base model ({row.base_model}) is not that of the stages; a "
                "difference from them is one of models, too, and evaluation.knowledge_cutoff is not its own"
            )


def check_same_settings(configs: Mapping[str, Mapping], apart: Sequence[str], setting: str) -> None:
    """Raise InputError unless the resolved configurations are the same, the keys `apart` left out (`a` or `a.b`).

    `configs` are by run; `setting` is the one that names the runs.
    """

    def rest(config: Mapping) -> dict[str, Any]:
        found = flat_settings(config)
        return {key: found[key] for key in found if not is_below(key, apart)}

    (first, expected), *others = ((name, rest(config)) for name, config in configs.items())
    for name, found in others:
        differing = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
        if differing:
            raise InputError(
                f"{setting}: {name} differs from {first} in {', '.join(differing)}; these runs may differ in "
                f"{' and '.join(apart)} alone"
            )


def check_seed_runs(configs: Mapping[str, Mapping]) -> None:
    """Raise InputError unless the runs' resolved configurations differ in SEED_KEYS alone, and their seeds differ."""
    check_same_settings(configs, SEED_KEYS, "evaluation.seed_runs")
    seeds = [config["seed"] for config in configs.values()]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"evaluation.seed_runs: the seeds {', '.join(map(str, seeds))} are not all different")


def over_seeds(metrics: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Mean and standard deviation of SEED_METRICS over the runs' metrics tables by seed, unparsed as no change.

    Columns: firm_type, forecaster, target, metric, n_seeds, mean, sd (missing for one run), by_seed (each seed's
    value, as text). A seed draws the sample, the training and, where the panel is simulated, the panel: sd is the
    spread of all that.
    """
    tables = [table[table["treatment"] == HEADLINE].assign(seed=seed) for seed, table in metrics.items()]
    rows = pd.concat(tables, ignore_index=True)
    keys = ["firm_type", "forecaster", "target"]
    long = rows.melt([*keys, "seed"], list(SEED_METRICS), var_name="metric")
    pairs = zip(long["seed"], long["value"], strict=True)
    long["told"] = [None if np.isnan(value) else f"{seed}: {value:.4g}" for seed, value in pairs]
    grouped = long.groupby([*keys, "metric"], sort=False)
    found = grouped["value"].agg(n_seeds="count", mean="mean", sd="std")
    return found.assign(by_seed=grouped["told"].agg(lambda texts: "; ".join(texts.dropna()))).reset_index()
