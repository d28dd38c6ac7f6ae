"""The data dictionary: unit and meaning of every column of the tables in evaluation/ and summary/."""

from collections.abc import Iterable, Mapping

import pandas as pd

from workflow_scripts.holdings.evaluation.tables import QUANTITIES
from workflow_scripts.plumbing.errors import InputError

MUSD, COUNT, SHARE, NONE, UNIT = "$ million", "count", "share", "", "see column unit"

# Column -> (unit, meaning). A column means the same in every table that has it.
COLUMNS: dict[str, tuple[str, str]] = {
    "firm_type": (NONE, "firm type of the managers"),
    "forecaster": (NONE, "no_change, a fitted baseline, a stage (base, sft, grpo), an adapter or a file of forecasts "
                          "of your own by its name in the config, or the oracle of a simulated panel"),
    "window_id": (NONE, "{firm_type}-{mgrno}-{permno}-{quarter of t}: the key of every join"),
    "mgrno": (NONE, "manager id"),
    "permno": (NONE, "stock id"),
    "quarter": (NONE, "quarter t of the window, the last one that the forecaster sees"),
    "holding_t_musd": (MUSD, "position at the end of t"),
    "label_tp1_musd": (MUSD, "true position at the end of t+1"),
    "label_delta_musd": (MUSD, "true change, holding_t1 - holding_t"),
    "label_active_musd": (MUSD, "true active change, holding_t1 * prc_t / prc_t1 - holding_t; empty where a price is "
                                "missing or the stock was split"),
    "predicted_delta_musd": (MUSD, "forecast of the change (median of the samples); empty where nothing was parsed"),
    "parsed": (NONE, "whether a number could be read from any sample"),
    "target": (NONE, "; ".join(f"{quantity.name}: {quantity.truth}" for quantity in QUANTITIES.values())),
    "unit": (NONE, "unit of the errors of this row"),
    "treatment": (NONE, "unparsed_as_no_change (headline): all windows, an unparsed completion counts as no change; "
                        "answered_by_all: the windows that every forecaster answered"),
    "n_windows": (COUNT, "windows behind the row's numbers"),
    "n_windows_set_aside": (COUNT, "other test windows: without a label of this target, or not answered by all"),
    "n_windows_trimmed": (COUNT, "windows whose |error| is above the percentile"),
    "trimmed_above_percentile": ("percentile", "of the forecaster's |error|, above which windows are left out: "
                                               "flatters everyone, for debugging alone"),
    "MAE": (UNIT, "mean absolute error"),
    "RMSE": (UNIT, "root mean squared error"),
    "R2": (NONE, "1 - sum of squared errors / sum of squares around the mean of the truth"),
    "sMAPE": ("0..2", "mean of 2|e| / (|truth| + |forecast|)"),
    "MedAE": (UNIT, "median absolute error"),
    "skill": (NONE, "1 - MAE / MAE of no-change on the same windows"),
    "relative_MAE": ("share of holding_t", "MAE of truth / holding_t and forecast / holding_t"),
    "relative_RMSE": ("share of holding_t", "RMSE of the same"),
    "relative_R2": (NONE, "R2 of the same"),
    "relative_MedAE": ("share of holding_t", "median absolute error of the same"),
    "relative_skill": (NONE, "1 - relative_MAE / relative_MAE of no-change"),
    "IC": ("correlation", "Pearson correlation of forecast and truth within a quarter; in metrics: mean over quarters"),
    "IC_IR": (NONE, "mean of the quarters' IC / their standard deviation"),
    "IC_t": (NONE, "mean of the quarters' IC / its Newey-West standard error; none below 10 quarters"),
    "RankIC": ("correlation", "Spearman correlation of the same"),
    "RankIC_IR": (NONE, "as IC_IR, of RankIC"),
    "RankIC_t": (NONE, "as IC_t, of RankIC"),
    "n_quarters": (COUNT, "quarters with windows; in comparisons: those where both forecasters have the metric"),
    "n_quarters_without_IC": (COUNT, "quarters where truth or forecast is constant: not in the means of IC and RankIC"),
    "Recall": (SHARE, "of the k largest positive truths of a quarter, the share among the k largest forecasts"),
    "Precision": (SHARE, "of the k largest forecasts of a quarter, the share among the k largest positive truths"),
    "NDCG": ("0..1", "NDCG@k of a quarter with gain max(truth, 0); ties keep an order that no value decides"),
    "Recall_by_chance": (SHARE, "Recall of a random order of the same quarters, k / windows"),
    "n_quarters_ranked": (COUNT, "quarters in the means of Recall, Precision and NDCG: more than k windows, a positive "
                                 "truth and a forecast that is not constant"),
    "n_quarters_trivial_top_k": (COUNT, "quarters with at most k windows, where every ranking finds everything"),
    "trivial_top_k": (NONE, "whether this quarter has at most k windows"),
    "pooled_IC": ("correlation", "Pearson correlation over all quarters at once: mixes quarters, not comparable to IC"),
    "pooled_RankIC": ("correlation", "Spearman correlation over all quarters at once"),
    "pooled_Recall": (SHARE, "Recall over all quarters at once"),
    "pooled_Precision": (SHARE, "Precision over all quarters at once"),
    "pooled_NDCG": ("0..1", "NDCG over all quarters at once"),
    "ranked_by": (NONE, "what windows are ranked by in RankIC, Recall, Precision and NDCG"),
    "accuracy": (SHARE, "right ones of down, flat (within the dead band of holding_t) and up"),
    "majority_accuracy": (SHARE, "accuracy of always naming the most frequent true class"),
    "macro_F1": (NONE, "mean F1 over the classes that occur"),
    "MCC": (NONE, "Matthews correlation of the three classes; 0 for a constant forecast"),
    "calibration_slope": (NONE, "slope of the truth on the forecast; 1 is perfect, below 1 the forecasts are too bold"),
    "calibration_intercept": (UNIT, "intercept of the same; 0 is perfect"),
    "forecast_sd": (UNIT, "standard deviation of the forecasts"),
    "truth_sd": (UNIT, "standard deviation of the truth"),
    "near_zero_share": (SHARE, "parsed forecasts of the change within the dead band of holding_t: near 1 the model "
                               "repeats the last holding"),
    "near_zero_share_of_truth": (SHARE, "true changes (active ones for the target active_change) within the dead band"),
    "parsed_share": (SHARE, "samples from which a number could be read"),
    "valid_share": (SHARE, "samples that obey the contract exactly, bound included"),
    "bound_share": (SHARE, "samples with a number that is not below the bound, whatever their form"),
    "truncated_share": (SHARE, "samples that were cut at generation.max_tokens"),
    "size_decile": (NONE, "decile of holding_t within the firm type's test windows, 1 the smallest"),
    "holding_t_min_musd": (MUSD, "smallest holding_t of the decile"),
    "holding_t_max_musd": (MUSD, "largest holding_t of the decile"),
    "period": (NONE, "label_before_cutoff: t+1 ended on or before evaluation.knowledge_cutoff, the model may have "
                     "read about it; label_after_cutoff: later"),
    "step": (NONE, "step of the coverage funnel"),
    "share": (SHARE, "samples that come as far as this step"),
    "baseline": (NONE, "forecaster that the candidate is compared with"),
    "candidate": (NONE, "forecaster that is judged"),
    "metric": (NONE, "metric that is compared"),
    "n_managers": (COUNT, "managers among the windows"),
    "baseline_value": (UNIT, "the baseline's metric on the windows or quarters compared"),
    "candidate_value": (UNIT, "the candidate's metric on the same"),
    "difference": (UNIT, "candidate_value - baseline_value; for MAE negative is better, for RankIC positive"),
    "se_quarter": (UNIT, "standard error of the difference, bootstrap clustered by quarter"),
    "se_manager": (UNIT, "the same, clustered by manager"),
    "clustered_by": (NONE, "the clustering with the wider interval, which is the one reported"),
    "interval_low": (UNIT, "lower end of the interval of the difference (of the skill in skill.csv)"),
    "interval_high": (UNIT, "upper end"),
    "p_cluster": (NONE, "p-value of difference 0, Student t with clusters - 1 degrees of freedom: the larger one"),
    "p_sign": (NONE, "sign test over quarters, where there are fewer than 10"),
    "p_value": (NONE, "the larger of the two; not corrected for the number of comparisons"),
    "p_holm": (NONE, "p_value after Holm's correction over all rows of the table"),
    "verdict": (NONE, "candidate better or worse than baseline after the correction, or not shown, or undefined"),
    "same_base_model": (NONE, "whether both sit on the same base model; empty where one of them is no model"),
    "few_quarters": (NONE, "fewer than 10 quarters: intervals are not to be trusted"),
    "few_managers": (NONE, "fewer than 10 managers: nothing can be said about other managers"),
    "n_seeds": (COUNT, "runs behind mean and sd"),
    "mean": (NONE, "mean over seeds (metrics_over_seeds), quarters (ic_by_quarter) or completions (rewards)"),
    "band_low": ("correlation", "mean - t * Newey-West standard error, at evaluation.confidence"),
    "band_high": ("correlation", "mean + t * the same"),
    "panel": (NONE, "panel of the figure: linear (central 98 %) or signed_log (all)"),
    "bin_low": (MUSD, "lower edge of the bin of forecast - truth"),
    "bin_high": (MUSD, "upper edge"),
    "forecast_musd": (MUSD, "forecast of the change; unparsed counts as 0"),
    "truth_musd": (MUSD, "true change"),
    "sd": (NONE, "standard deviation over the seeds: sample, training and, if simulated, panel"),
    "stage": (NONE, "base, sft or grpo, or the name of an adapter of your own"),
    "kind": (NONE, "baseline (the oracle included), stage, adapter or forecasts (a file of your own)"),
    "source": (NONE, "folder or file of a forecaster of your own, as in the config"),
    "base_model": (NONE, "base model of a forecaster that completes prompts, as in the config"),
    "base_model_identity": (NONE, "SHA-256 of the base model's content below any merges, or its name on the hub"),
    "adapter_sha256": (NONE, "SHA-256 of the adapter's weights"),
    "reward": (NONE, "reward function"),
    "count": (COUNT, "completions scored; in audit.csv: windows or baselines found by the check"),
    "std": (NONE, "standard deviation of the rewards"),
    "zero_share": (SHARE, "completions that earn exactly 0"),
    "min": (NONE, "smallest reward"),
    "max": (NONE, "largest reward"),
    **{f"q{q:02d}": (NONE, f"{q}th percentile of the rewards") for q in (5, 25, 50, 75, 95)},
    "value": (NONE, "reward of the completion"),
    "policy": (NONE, "canned policy whose answers are scored"),
    "small_spread": (SHARE, "groups of samples whose rewards would be practically equal"),
    "split": (NONE, "sft, grpo or test"),
    "windows_in_split": (COUNT, "windows whose t lies in the split"),
    "dropped_no_label": (COUNT, "of those, without a label at t+1"),
    "dropped_zero_holding": (COUNT, "of the rest, with holding_t = 0"),
    "dropped_no_active_change": (COUNT, "of the rest, without an active change (only if it is the target)"),
    "candidates": (COUNT, "windows left to sample from"),
    "sampled": (COUNT, "windows sampled"),
    "sampled_split_like": (COUNT, "sampled windows whose stock looks split between t and t+1: no active change"),
    "sampled_without_price": (COUNT, "sampled windows without a price at t or t+1: no active change"),
    "check": (NONE, "what was looked for"),
    "detail": (NONE, "examples, or why a count is allowed"),
    "must_be_zero": (NONE, "whether the run fails unless the count is 0"),
    "column": (NONE, "column that is described"),
    "meaning": (NONE, "what it says"),
    "table": (NONE, "file, below evaluation/ of a firm type or summary/"),
}  # fmt: skip


def data_dictionary(tables: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """One row per table and column: table, column, unit, meaning. InputError for a column that is not described."""
    rows = []
    for table, columns in tables.items():
        for column in columns:
            if column not in COLUMNS:
                raise InputError(
                    f"{table}: column {column!r} is not in holdings/report/dictionary.py; describe it there"
                )
            rows.append((table, column, *COLUMNS[column]))
    return pd.DataFrame(rows, columns=["table", "column", "unit", "meaning"])
