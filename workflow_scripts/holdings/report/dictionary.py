"""The data dictionary: unit and meaning of every column of the files that the workflow makes.

`COLUMNS` are those of the tables in evaluation/ and summary/, `DATA_COLUMNS` those of the data, completions,
predictions and trainings before them. docs/columns.md shows both; a test holds it to what a run writes.
"""

import re
from collections.abc import Iterable, Mapping

import pandas as pd

from workflow_scripts.holdings.evaluation.tables import QUANTITIES
from workflow_scripts.holdings.texts.answers import LEVELS, quantile_name
from workflow_scripts.plumbing.errors import InputError

MUSD, COUNT, SHARE, NONE, UNIT = "$ million", "count", "share", "", "see column unit"
SHARE_OF_POSITION = "share of holding_t"

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
    "parsed": (NONE, "whether a number could be read from any sample; in faults_*: from this one"),
    "samples": (COUNT, "completions of the window"),
    "faults": (NONE, "what is wrong with the window's completions, one entry per completion that breaks the contract"),
    "fault": (NONE, "the first thing that is wrong with a completion; a number may have been read all the same"),
    "completion": (NONE, "what the model wrote"),
    "target": (NONE, "; ".join(f"{quantity.name}: {quantity.truth}" for quantity in QUANTITIES.values())),
    "unit": (NONE, "unit of the errors of this row"),
    "treatment": (NONE, "unparsed_as_no_change (headline): all windows, an unparsed completion counts as no change; "
                        "answered_by_all: the windows that every forecaster answered; answered_by_itself: those that "
                        "this one answered, as published code scores"),
    "comparable": (NONE, "whether the row has the same windows for every forecaster; not so in answered_by_itself, "
                         "where silence on hard windows makes a forecaster look better"),
    "n_windows": (COUNT, "windows behind the row's numbers"),
    "n_windows_set_aside": (COUNT, "other test windows: without a label of this target, or left out by the treatment"),
    "n_windows_trimmed": (COUNT, "windows whose |error| is above the percentile"),
    "trimmed_above_percentile": ("percentile", "of the forecaster's |error|, above which windows are left out: "
                                               "flatters everyone, for debugging alone"),
    "MAE": (UNIT, "mean absolute error"),
    "RMSE": (UNIT, "root mean squared error"),
    "R2": (NONE, "1 - sum of squared errors / sum of squares around the mean of the truth"),
    "sMAPE": ("0..2", "mean of 2|e| / (|truth| + |forecast|)"),
    "MedAE": (UNIT, "median absolute error"),
    "skill": (NONE, "1 - MAE / MAE of no-change on the same windows; in skill.csv: of the column metric"),
    "capped_relative_MAE": (SHARE_OF_POSITION, "headline: mean of |e| / holding_t, each counted as at most 1, over "
                                                  "windows with a position at t"),
    "capped_share": (SHARE, "share of the errors that are above holding_t, and count as 1 in capped_relative_MAE"),
    "n_windows_relative": (COUNT, "windows with a position at t, whatever its size: those of all relative metrics; "
                                  "none for log_change"),
    "capped_relative_skill": (NONE, "1 - capped_relative_MAE / that of no-change"),
    "relative_MAE": (SHARE_OF_POSITION, "MAE of truth / holding_t and forecast / holding_t"),
    "relative_RMSE": (SHARE_OF_POSITION, "RMSE of the same"),
    "relative_R2": (NONE, "R2 of the same"),
    "relative_MedAE": (SHARE_OF_POSITION, "median absolute error of the same"),
    "relative_skill": (NONE, "1 - relative_MAE / relative_MAE of no-change"),
    "capped_relative_CRPS": (SHARE_OF_POSITION, "mean CRPS of the target's change over holding_t, from quantiles at "
                                                   "seven levels; truths and quantiles beyond +-1 count as +-1. Of a "
                                                   "sure forecast it is the absolute error"),
    "capped_relative_CRPS_skill": (NONE, "1 - capped_relative_CRPS / that of no-change with its residual band"),
    "coverage_80": (SHARE, "truths from the 10 % to the 90 % quantile, both included; .8 is calibrated, more where "
                           "many truths equal an end"),
    "coverage_80_low": (SHARE, "lower end of its interval, clustered by quarter and by manager"),
    "coverage_80_high": (SHARE, "upper end"),
    "width_80": (SHARE_OF_POSITION, "mean distance from the 10 % to the 90 % quantile, which count at most +-1: "
                                       "sharpness"),
    "level": (SHARE, "level of the quantile"),
    "pinball": (SHARE_OF_POSITION, "mean pinball loss of the quantile; capped as the CRPS"),
    "observed_share": (SHARE, "truths at or below the quantile; the level is calibrated. A truth that equals quantiles "
                              "is spread evenly over their levels"),
    "observed_low": (SHARE, "lower end of its interval, clustered by quarter and by manager"),
    "observed_high": (SHARE, "upper end"),
    "level_low": (SHARE, "level of the quantile below the truths counted; 0: none"),
    "level_high": (SHARE, "level of the quantile above them; 1: none"),
    "pit_count": (COUNT, "windows whose truth lies between these quantiles; fractions where it equals some of them"),
    "pit_density": (NONE, "their share / (level_high - level_low); 1 everywhere is calibrated, high at both ends too "
                          "narrow, high in the middle too wide"),
    "IC": ("correlation", "Pearson correlation of forecast and truth within a quarter; in metrics: mean over quarters"),
    "IC_IR": (NONE, "mean of the quarters' IC / their standard deviation"),
    "IC_t": (NONE, "mean of the quarters' IC / its Newey-West standard error; none below 10 quarters"),
    "RankIC": ("correlation", "Spearman correlation of the same"),
    "RankIC_IR": (NONE, "as IC_IR, of RankIC"),
    "RankIC_t": (NONE, "as IC_t, of RankIC"),
    "relative_RankIC": ("correlation", "headline: RankIC of changes over holding_t within a quarter, over windows with "
                                       "a position at t; in metrics: mean over quarters. In dollars a forecast of "
                                       "size alone earns a RankIC"),
    "relative_RankIC_IR": (NONE, "as IC_IR, of relative_RankIC"),
    "relative_RankIC_t": (NONE, "as IC_t, of relative_RankIC"),
    "n_quarters": (COUNT, "quarters with windows; in comparisons: those where both forecasters have the metric"),
    "n_quarters_without_IC": (COUNT, "quarters where truth or forecast is constant: not in the means of IC and RankIC"),
    # The metrics at k have it in their names: Recall@50 or, as a share of the quarter's windows, Recall@10%.
    "Recall": (SHARE, "of the k largest positive truths of a quarter, the share among the k largest forecasts"),
    "Precision": (SHARE, "of the k largest forecasts of a quarter, the share among the k largest positive truths"),
    "NDCG": ("0..1", "NDCG@k of a quarter with gain max(truth, 0); ties keep an order that no value decides"),
    "Recall_by_chance": (SHARE, "Recall of a random order of the same quarters, k / windows"),
    "n_quarters_ranked": (COUNT, "quarters in the means of Recall, Precision and NDCG: more than k windows, a positive "
                                 "truth and a forecast that is not constant"),
    "k": (COUNT, "k of Recall, Precision and NDCG in this quarter"),
    "not_ranked": (NONE, "why this quarter is not in the means of Recall, Precision and NDCG; in metrics: each reason "
                         "with its number of quarters. With at most k windows every ranking finds everything"),
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
    "step": (NONE, "step of the coverage funnel, or fault"),
    "share": (SHARE, "samples that come as far as this step, or that have this fault"),
    "chosen": (NONE, "whether this baseline was the best but no_change, fitted on windows of the SFT quarters and "
                     "scored on those of the GRPO quarters: the one of the primary comparisons"),
    "baseline": (NONE, "forecaster that the candidate is compared with; of several runs the run"),
    "candidate": (NONE, "forecaster that is judged; of several runs the run"),
    "metric": (NONE, "metric that is compared"),
    "run": (NONE, "run, as its config file names it"),
    "setting": (NONE, "what the run's config.yaml says of the setting; in tables of runs a column per setting that "
                      "differs between them, headed by its key; empty where the run has no such setting"),
    "n_managers": (COUNT, "managers among the windows"),
    "baseline_value": (UNIT, "the baseline's metric on the windows or quarters compared"),
    "candidate_value": (UNIT, "the candidate's metric on the same"),
    "difference": (UNIT, "candidate_value - baseline_value; for errors negative is better, for RankIC positive. In "
                         "distributions: of capped_relative_CRPS from no-change's"),
    "weight": (NONE, "of the candidate in the combination with the baseline that has the least squared error: slope of "
                     "the baseline's error on what the candidate says otherwise, relative active changes cut at 1"),
    "p_adds_nothing": (NONE, "two-sided p-value of weight 0: the baseline encompasses the candidate; not corrected"),
    "p_baseline_adds_nothing": (NONE, "two-sided p-value of weight 1: the candidate encompasses the baseline"),
    "average_value": (SHARE, "capped_relative_MAE of the plain average of both forecasts, active change"),
    "average_difference": (SHARE, "average_value - baseline_value; negative: the average is better"),
    "average_low": (SHARE, "lower end of its interval"),
    "average_high": (SHARE, "upper end of its interval"),
    "average_p_value": (NONE, "two-sided p-value of average_difference 0; not corrected"),
    "standard_error": (UNIT, "of the difference (or of skill, of weight), clustered by quarter and by manager: "
                             "delete-one-cluster jackknife, max(Vq + Vm - Vqm, Vq, Vm)"),
    "degrees_of_freedom": (COUNT, "of Student's t: the smaller number of quarters and managers, less 1"),
    "interval_low": (UNIT, "lower end of the interval of the difference (or of skill, of weight)"),
    "interval_high": (UNIT, "upper end"),
    "p_value": (NONE, "two-sided, of difference 0; not corrected for the number of comparisons"),
    "p_holm": (NONE, "p_value after Holm's correction over all rows of the family"),
    "detectable": (UNIT, "true difference that is found with a probability of .8 at the level of Holm's first step"),
    "family": (NONE, "primary: the last stage against no_change, the best baseline (baseline_choice.csv) and the "
                     "trained stage before it, by the headline's metrics; of several runs: their last stage against "
                     "that of one run; secondary: all others. Corrected apart"),
    "verdict": (NONE, "candidate better or worse than baseline after the correction, or not shown, or undefined"),
    "same_base_model": (NONE, "whether both sit on the same base model; empty where one of them is no model"),
    "few_quarters": (NONE, "fewer than 10 quarters: intervals are not to be trusted"),
    "few_managers": (NONE, "fewer than 10 managers: nothing can be said about other managers"),
    "by_seed": (NONE, "value of each seed, as seed: value"),
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
    "self_scaled": (NONE, "whether the reward (in total: one of them) is scaled by the errors that it scores: its mean "
                          "is then no measure between policies, stages or batches"),
    "mean_abs_error": (MUSD, "mean |error| of the policy's answers; empty where they have no number"),
    "dead_groups": (SHARE, "groups in which different errors earn so nearly the same that ms-swift, which divides by "
                           "the standard deviation + 1e-4, leaves less than half of the advantages"),
    "in_order": (SHARE, "pairs of answers to a prompt of which the one with the smaller error earns more"),
    "split": (NONE, "sft, grpo or test"),
    "windows_in_split": (COUNT, "windows whose t lies in the split"),
    "dropped_no_label": (COUNT, "of those, without a label at t+1"),
    "dropped_zero_holding": (COUNT, "of the rest, with holding_t = 0"),
    "dropped_no_active_change": (COUNT, "of the rest, without an active change (only if it is the target)"),
    "candidates": (COUNT, "windows left to sample from"),
    "sampled": (COUNT, "windows sampled"),
    "largest_bucket": (COUNT, "windows sampled from the fullest time bucket: no sample of as many windows has a "
                              "smaller one, given the candidates and sample.max_per_pair"),
    "smallest_bucket": (COUNT, "windows sampled from the emptiest time bucket"),
    "median_quarter_of_candidates": (NONE, "quarter t of the middle one of the candidates"),
    "median_quarter": (NONE, "quarter t of the middle one of the sampled windows"),
    "sampled_split_like": (COUNT, "sampled windows whose stock looks split between t and t+1: no active change"),
    "sampled_without_price": (COUNT, "sampled windows without a price at t or t+1: no active change"),
    "check": (NONE, "what was looked for"),
    "detail": (NONE, "examples, or why a count is allowed"),
    "must_be_zero": (NONE, "whether the run fails unless the count is 0"),
    "probe": (NONE, "digits, others: rank of the true answer by its probability; scale, identity, recall, "
                    "reidentification: what the model is asked (docs/evaluation.md)"),
    "statistic": (NONE, "what is estimated of the probe; the same page has the formulas"),
    "estimate": (NONE, "the statistic of the stage"),
    "lower": (NONE, "lower end of its interval at evaluation.confidence, clustered by quarter and by manager"),
    "upper": (NONE, "upper end"),
    "n_answered": (COUNT, "windows of these with an answer that could be read; the others count as wrong"),
    "reference": (NONE, "the statistic of a model that remembers nothing; empty where it only describes. p_value is "
                        "that of no difference from it, p_holm corrected over the firm type's rows that show memory "
                        "and, apart from them, over the others"),
    "finding": (NONE, "what that says, after the correction"),
    "column": (NONE, "column that is described"),
    "meaning": (NONE, "what it says"),
    "table": (NONE, "file, below evaluation/ of a firm type or summary/"),
}  # fmt: skip


# The same with those of the forecast of the next quarter and of its record; its quantiles are not those of rewards.
FORECAST_COLUMNS: dict[str, tuple[str, str]] = {
    **COLUMNS,
    "ticker": (NONE, "the stock's ticker; empty where the file of tickers has none"),
    "quarter_forecast": (NONE, "quarter t+1, whose end is forecast"),
    "predicted_tp1_musd": (MUSD, "forecast of the position at the end of t+1: holding_t + the forecast change; where "
                                 "the target is the active change, at the price of t"),
    **{quantile_name(level): (MUSD, f"{100 * level:g} % quantile of the forecast of the change; empty where the "
                                    "forecaster has none") for level in LEVELS},
    "line": (NONE, "line of the ledger, from 1"),
    "made_at_utc": (NONE, "when the forecast was published, by the machine's clock"),
    "windows": (COUNT, "windows that were forecast"),
    "rows": (COUNT, "rows of the forecast file: windows times forecasters"),
    "data_digest": ("SHA-256", "of the slice's bytes"),
    "model_digests": ("SHA-256", "per stage or adapter of your own: of base model and adapter"),
    "forecast_digest": ("SHA-256", "of the forecast file, which is kept under this name in forecasts/"),
    "version": (NONE, "version and commit of the workflow; .edited where files that git knows had been changed"),
    "previous": ("SHA-256", "digest of the line before, of the first line that of the header"),
    "digest": ("SHA-256", "of this line's text before this column"),
    "is_first": (NONE, "whether it is the first forecast of this quarter and firm type, the record; later ones may "
                       "have been made after the fact"),
    "made_before_filings": (NONE, "whether it was published before the day on which the filings of t+1 are due, 45 "
                                  "days after its end"),
    "n_windows_forecast": (COUNT, "windows of the forecast; those without a truth (the panel has no label, a price is "
                                  "missing, the stock was split) are set aside"),
    "n_windows_revised": (COUNT, "windows whose holding_t the panel gives differently now; scored on the one that was "
                                 "known then"),
    "capped_relative_MAE_no_change": ("share of holding_t", "that of no-change on the same windows"),
    "MAE_no_change": (MUSD, "that of no-change on the same windows"),
}  # fmt: skip


# Columns of the files before the evaluation: they are named as in the panel and the datasets, without units.
DATA_COLUMNS: dict[str, tuple[str, str]] = {
    "window_id": COLUMNS["window_id"],
    "firm_type": COLUMNS["firm_type"],
    "type": COLUMNS["firm_type"],
    "mgrno": COLUMNS["mgrno"],
    "permno": COLUMNS["permno"],
    "date": (NONE, "the quarter, as one of its days"),
    "quarter": (NONE, "quarter id, 4 * year + quarter - 1: of t; in histories, stock_ and manager_quarters of the row"),
    "holding_t": (MUSD, "position at the end of the row's quarter; of a window, at the end of t"),
    "holding_t1": (MUSD, "the same one quarter later; missing unless the pair's next row is exactly that quarter's"),
    "me": (MUSD, "market equity"),
    "be": (MUSD, "book equity"),
    "profit": (NONE, "profitability"),
    "Gat": (NONE, "log growth of assets over 4 quarters"),
    "beta": (NONE, "60-month market beta"),
    "aum": (MUSD, "the manager's assets; of a window, at the end of t"),
    "outaum": (MUSD, "of these, in outside assets"),
    "prc": ("$", "share price at the end of the quarter, which all rows of the stock agree on"),
    "prc_t1": ("$", "the same one quarter later"),
    "price_ratio": (NONE, "prc_t1 / price at t"),
    "holders": (COUNT, "positions held at both ends whose shares can be compared"),
    "split_ratio": (NONE, "shares after / before, where the stock looks split between t and t+1, else missing"),
    "held_quarters": (COUNT, "quarters in a row, t included, that the panel shows a position of the pair"),
    "manager_trades": (COUNT, "the manager's other positions held at t-1 whose trade until t is known"),
    "manager_mean_trade": (SHARE, "their mean trade: active change over position at t-1, from -1 to 1"),
    "manager_untraded": (SHARE, "those of them that were not traded"),
    "manager_sold": (SHARE, "those of them that were sold"),
    "manager_past_trades": (COUNT, "trades of the manager until t, in all quarters and positions, this one included"),
    "manager_past_mean_trade": (SHARE, "their mean"),
    "trades": (COUNT, "positions of the manager a quarter before whose trade until this quarter is known"),
    "sum_trade": ("1e-9", "sum of these trades: active changes over the position before, from -1 to 1"),
    "untraded": (COUNT, "those of them that were 0"),
    "sold": (COUNT, "those of them that were -1"),
    "past_trades": (COUNT, "trades of this quarter and all before"),
    "past_sum_trade": ("1e-9", "their sum"),
    "positions": (COUNT, "positions of the manager with a known value in each column of the demand regression"),
    "zero_holding": (NONE, "whether holding_t is 0"),
    "delta_sign": (NONE, "sign of holding_t1 - holding_t, missing without holding_t1"),
    "system": (NONE, "the system message: the role of the firm type"),
    "user": (NONE, "the user message: task, stock, history and output contract"),
    "messages": (NONE, "the conversation as ms-swift reads it: role and content of each message"),
    "label_delta": (MUSD, "true change, holding_t1 - holding_t, unrounded"),
    "label_tp1": (MUSD, "true position at the end of t+1, unrounded"),
    "label_active": (MUSD, "true active change: what was traded, at the price of t; null where a price is missing or "
                           "the stock was split"),
    "past_change": (MUSD, "mean |change| of the position from quarter to quarter within the window"),
    "sample": (NONE, "number of the completion among those of its window, from 0"),
    "completion": (NONE, "what the model wrote"),
    "finish_reason": (NONE, "stop, or length where generation.max_tokens cut it"),
    "prompt_tokens": (COUNT, "tokens of the prompt"),
    "completion_tokens": (COUNT, "tokens of the completion; in training, mean over the step's completions"),
    "predicted_delta": (MUSD, "forecast of the target's change: median of the samples that were read, or the q50 read"),
    "predicted_tp1": (MUSD, "holding_t + predicted_delta"),
    "mean_delta": (MUSD, "mean of the samples that were read"),
    "spread_delta": (MUSD, "their standard deviation; missing for fewer than two"),
    "samples": (COUNT, "completions of the window"),
    "parsed": COLUMNS["parsed"],
    "parsed_share": COLUMNS["parsed_share"],
    "valid_share": COLUMNS["valid_share"],
    "bound_share": COLUMNS["bound_share"],
    "truncated_share": COLUMNS["truncated_share"],
    "faults": COLUMNS["faults"],
    "step": (NONE, "optimizer step"),
    "loss": ("nats", "loss of the step; of SFT, per token"),
    "learning_rate": (NONE, "learning rate of the step"),
    "grad_norm": (NONE, "norm of the gradient before it is clipped"),
    "validation_loss": ("nats", "loss per token of the samples that are held out"),
    "validation_reward": (NONE, "weighted sum of the rewards, mean over one completion of each prompt held out"),
    "token_accuracy": (SHARE, "tokens of the completion that the model would have chosen"),
    "token_acc": (SHARE, "the same in ms-swift's words"),
    "reward": (NONE, "weighted sum of the rewards, mean over completions; no measure of the errors where one of the "
                     "rewards is scaled by those that it scores (mse_holdings, external_holdings)"),
    "reward_std": (NONE, "its standard deviation within a prompt's completions, mean over prompts"),
    "zero_spread_groups": (SHARE, "prompts whose completions all earn the same"),
    "frac_reward_zero_std": (SHARE, "the same in ms-swift's words"),
    "kl": ("nats per token", "KL divergence from the start model"),
    "entropy": ("nats per token", "entropy of the policy"),
    "truncated": (SHARE, "completions that were cut at grpo.max_completion_length"),
    "step_time": ("s", "time of the step"),
    "epoch": (NONE, "passes over the data so far"),
    "global_step/max_steps": (NONE, "step, of all steps"),
    "elapsed_time": (NONE, "time since this process began to train"),
    "remaining_time": (NONE, "what ms-swift expects"),
    "train_speed(s/it)": ("s", "mean time of a step"),
    "rows": (COUNT, "rows of the slice"),
    "managers": (COUNT, "managers"),
    "stocks": (COUNT, "stocks"),
    "pairs": (COUNT, "pairs of manager and stock"),
    "first_quarter": (NONE, "first quarter with a row"),
    "last_quarter": (NONE, "last quarter with a row"),
    "sorted": (NONE, "whether the rows are in the order of mgrno, permno, date"),
    "gaps_between_rows_of_a_pair": (COUNT, "rows whose pair's next row is more than one quarter later"),
    "labelled": (COUNT, "rows with holding_t1"),
    "warnings": (NONE, "names of the warnings of the checks (data/README.md)"),
}  # fmt: skip
# Column -> what a person calls it, for the headings of the page; of one that is not here, its own name in words. The
# unit stands below it. Both ends of an interval have the name of the interval.
NAMES: dict[str, str] = {
    "mgrno": "manager", "permno": "stock", "holding_t_musd": "position at t", "samples": "answers",
    "parsed": "number read", "n_windows": "windows", "n_windows_set_aside": "set aside", "MAE": "mean error",
    "RMSE": "root mean squared error", "MedAE": "median error", "capped_relative_MAE": "relative error",
    "capped_share": "errors capped", "n_windows_relative": "windows with a position",
    "capped_relative_skill": "skill", "relative_MAE": "uncapped relative error", "relative_MedAE": "median error",
    "relative_skill": "uncapped skill", "capped_relative_CRPS": "CRPS", "capped_relative_CRPS_skill": "CRPS skill",
    "coverage_80": "80 % band holds", "coverage_80_low": "interval of it", "coverage_80_high": "interval of it",
    "width_80": "width of the band", "IC": "correlation (IC)", "IC_t": "t of IC", "RankIC": "RankIC",
    "RankIC_t": "t of RankIC", "relative_RankIC": "relative RankIC",
    "relative_RankIC_t": "t of relative RankIC",
    "n_quarters": "quarters", "n_quarters_without_IC": "quarters without correlation",
    "n_quarters_ranked": "quarters ranked", "not_ranked": "why not the others",
    "Recall_by_chance": "recall by chance", "Recall": "recall", "Precision": "precision", "NDCG": "NDCG",
    "majority_accuracy": "accuracy of the commonest", "MCC": "Matthews correlation",
    "near_zero_share": "forecasts near 0", "near_zero_share_of_truth": "truths near 0",
    "parsed_share": "numbers read", "valid_share": "contract kept", "bound_share": "within the bound",
    "truncated_share": "cut off", "baseline": "rival", "candidate": "forecaster", "n_managers": "managers",
    "baseline_value": "value of the rival", "candidate_value": "value of the forecaster", "interval_low": "interval",
    "interval_high": "interval", "p_value": "p", "p_holm": "p, corrected", "detectable": "could be found",
    "p_adds_nothing": "p: adds nothing", "p_baseline_adds_nothing": "p: the rival adds nothing",
    "average_value": "of the average", "average_difference": "average - rival", "average_low": "interval of that",
    "average_high": "interval of that", "same_base_model": "same base model", "n_seeds": "seeds",
    "by_seed": "of each seed",
    "sd": "standard deviation", "std": "standard deviation", "zero_share": "exactly 0", "min": "least", "max": "most",
    "self_scaled": "own errors are the scale", "mean_abs_error": "mean error",
    "dead_groups": "groups that teach nothing",
    "in_order": "pairs in order", "windows_in_split": "windows in the split", "dropped_no_label": "without a label",
    "dropped_zero_holding": "without a position", "dropped_no_active_change": "without an active change",
    "candidates": "left to sample from", "largest_bucket": "fullest time bucket",
    "smallest_bucket": "emptiest time bucket", "median_quarter_of_candidates": "median quarter before",
    "median_quarter": "median quarter sampled", "sampled_split_like": "stock looks split",
    "sampled_without_price": "without a price", "must_be_zero": "must be 0", "count": "found",
    "lower": "interval", "upper": "interval", "reference": "by chance", "base_model_identity": "base model's digest",
    "adapter_sha256": "adapter's digest", "gaps_between_rows_of_a_pair": "gaps between rows of a pair",
}  # fmt: skip
# Families of columns: the meaning of a name that a pattern matches, from its parts.
FAMILIES: list[tuple[str, str, str]] = [
    (r"split_ratio_lag(\d+)", NONE, "split_ratio of the quarter that begins at t-{0}"),
    (r"sum_(\w+)", "1e-9", "sum of {0} over these positions; logarithms are of $ million"),
    (r"manager_mean_(\w+)", NONE, "mean of {0} over the manager's positions at t (demand regression)"),
    (r"(\w+)_lag0", NONE, "{0} at t"),
    (r"(\w+)_lag(\d+)", NONE, "{0} at t-{1}"),
    (r"(\w+)_missing", COUNT, "rows without {0}"),
    (
        r"q0?(\d+(?:\.\d+)?)",
        MUSD,
        "{0} % quantile of the forecast of the target's change: as the answer says it, of the samples that were read, "
        "of the baseline's residuals around its forecast, or as in a file of your own",
    ),
    (r"reward_(\w+)", NONE, "the reward {0}, mean over completions"),
    (r"rewards/(\w+)/mean", NONE, "the reward {0}, mean over completions"),
    (r"rewards/(\w+)/std", NONE, "the reward {0}, standard deviation over completions"),
    (r"completions/(\w+)_length", "tokens", "length of the completions: {0}"),
    (r"completions/clipped_ratio", SHARE, "completions that were cut at grpo.max_completion_length"),
    (r"eval_(.+)", NONE, "of the validation, in ms-swift's words: {0}"),
    (r"(adapter|merged|vllm_adapter|vllm)_text", NONE, "greedy completion by the way of loading {0}"),
    (r"(adapter|merged|vllm_adapter|vllm)_delta", MUSD, "forecast of the target's change that is read from it"),
    (r"entropy/(\w+)", "nats per token", "entropy of the policy: {0}"),
    (r"clip_ratio/(\w+?)_(\w+)", SHARE, "tokens whose ratio to the policy of the rollout is clipped: {0}, {1}"),
]


def column_of_data(column: str) -> tuple[str, str]:
    """Unit and meaning of a column of a file before the evaluation; InputError for one that is not described.

    >>> column_of_data("me_lag2")
    ('$ million', 'me at t-2')
    """
    if column in DATA_COLUMNS:
        return DATA_COLUMNS[column]
    for pattern, unit, meaning in FAMILIES:
        if match := re.fullmatch(pattern, column):
            # A lagged column has the unit of what it lags.
            lagged = DATA_COLUMNS[match[1]][0] if "_lag" in column and match[1] in DATA_COLUMNS else unit
            return lagged, meaning.format(*match.groups())
    raise InputError(f"column {column!r} is not in holdings/report/dictionary.py; describe it there")


def without_k(column: str) -> str:
    """The name under which `COLUMNS` has a column; a metric at k is described without its k.

    >>> without_k("Recall@10%_by_chance")
    'Recall_by_chance'
    """
    return re.sub("@[^_]+", "", column)


def name_of(column: str) -> str:
    """What a person calls a column of a table; a setting, whose name has a dot, is called as in a config file.

    >>> name_of("Recall@10%_by_chance"), name_of("macro_F1"), name_of("grpo.learning_rate")
    ('recall by chance', 'macro F1', 'grpo.learning_rate')
    """
    plain = without_k(column)
    return NAMES.get(plain, plain if "." in plain else plain.replace("_", " "))


def data_dictionary(
    tables: Mapping[str, Iterable[str]], meanings: Mapping[str, tuple[str, str]] = COLUMNS
) -> pd.DataFrame:
    """One row per table and column: table, column, unit, meaning. InputError for a column that is not described."""
    rows = []
    for table, columns in tables.items():
        for column in columns:
            described = without_k(column)
            if described not in meanings:
                raise InputError(
                    f"{table}: column {column!r} is not in holdings/report/dictionary.py; describe it there"
                )
            rows.append((table, column, *meanings[described]))
    return pd.DataFrame(rows, columns=["table", "column", "unit", "meaning"])
