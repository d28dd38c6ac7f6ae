"""`make mutants`: break the code in known ways, each alone; the unit tests that are named must notice it.

A mutant that survives is a fault that nobody would see. Each stands for a fault that once did survive, or for one whose
result would be believed. It is made in a copy of the checkout. Ends with 1 where one survives, or where its text is no
longer in the code.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.forks import preload_for_unit_tests, pytest_in_a_fork
from tests.project import Copies, Project, checkout


class Mutant(NamedTuple):
    """A text of a module of `workflow_scripts` (it is there once), what replaces it, and the tests that must fail."""

    fault: str
    module: str
    text: str
    other: str
    tests: str


FINGERPRINTS = "training/test_fingerprints.py"
STORE = "training/test_store.py"
VALIDATION = "training/test_validation.py"
INFERENCE = "holdings/evaluation/test_inference.py"
METRICS = "holdings/evaluation/test_metrics.py"
TABLES = "holdings/evaluation/test_tables.py"
REWARDS = "holdings/rewards/test_rewards.py"
PREFLIGHT = "holdings/rewards/test_preflight.py"
CRPS = "holdings/rewards/test_crps.py"
OWN_ADAPTERS = "training/test_own_adapters.py"
AUDIT = "holdings/evaluation/test_audit.py"
ANSWERS = "holdings/texts/test_completions.py"
QUANTILE_ANSWERS = "holdings/texts/test_quantile_answers.py"
FILES = "plumbing/test_files.py"
QUANTILES = "holdings/forecasts/test_quantiles.py"
DISTRIBUTIONS = "holdings/evaluation/test_distributions.py"
PROBES = "holdings/evaluation/test_probes.py"
PROBE_TEXTS = "holdings/texts/test_probes.py"
READING = "holdings/sec/test_reading.py"
AMENDMENTS = "holdings/sec/test_amendments.py"
UNITS = "holdings/sec/test_units.py"
SEC_PANEL = "holdings/sec/test_panel.py"
STOCK_FACTS = "holdings/sec/test_stock_facts.py"
SENTENCES = "holdings/report/test_answers.py"
REPORT_TABLES = "holdings/report/test_tables.py"
PAGE = "holdings/report/test_page.py"
LEDGER = "holdings/forecasts/test_ledger.py"
NEWEST = "holdings/windows/test_newest.py"
LEDGER_SCORES = "holdings/evaluation/test_ledger_scores.py"
RUN_PAIRS = "holdings/evaluation/test_run_comparison.py"
COMPARED_RUNS = "settings/test_compare_runs.py"
BASE_RUN = "plumbing/test_base_run.py"
NEUTRAL = 'neutral = {"model", "dataset"'

MUTANTS = [
    Mutant("a training on a GPU where the config says cpu", "training/options.py",
           '{"use_cpu": True} if model', '{} if model', STORE),
    Mutant("weights on a GPU where the config says cpu", "training/base_model.py",
           'return "cpu" if model.device == "cpu" else None', 'return None', STORE),
    Mutant("fingerprint without the learning rate", "training/options.py",
           NEUTRAL, 'neutral = {"learning_rate", "model", "dataset"', FINGERPRINTS),
    Mutant("fingerprint without the seed", "training/options.py",
           NEUTRAL, 'neutral = {"seed", "data_seed", "model", "dataset"', FINGERPRINTS),
    Mutant("fingerprint without the chat template", "training/options.py",
           NEUTRAL, 'neutral = {"template", "model", "dataset"', FINGERPRINTS),
    Mutant("fingerprint without the start model", "training/options.py",
           '"model": model_identity(options["model"]),', '"model": "",', FINGERPRINTS),
    Mutant("fingerprint without the data", "training/options.py",
           '"data": file_digest(options["dataset"]),', '"data": "",', FINGERPRINTS),
    Mutant("fingerprint without versions", "training/options.py",
           '"num_gpus": settings.num_gpus,\n        "versions": trainer_versions(*optional_packages(options)),',
           '"num_gpus": settings.num_gpus,', FINGERPRINTS),
    Mutant("fingerprint without optional packages", "training/options.py",
           'return ["deepspeed"] * bool', 'return [] * bool', FINGERPRINTS),
    Mutant("files that options name count by their path", "training/options.py",
           'return {"file": file_digest(value)}', "return value", FINGERPRINTS),
    Mutant("fingerprint without the validation", "training/options.py",
           'identity["validation"] = validation_identity(settings, read_jsonl(options["dataset"]), options["seed"])',
           "pass", FINGERPRINTS),
    Mutant("fingerprint without the adapter that GRPO goes on with", "training/options.py",
           'identity["start_adapter"] = file_digest(Path(options["adapters"]) / ADAPTER_WEIGHTS)', "pass",
           FINGERPRINTS),
    Mutant("the divergence from the bare base model", "training/options.py",
           "names = ADAPTER_OPTIONS if isinstance(settings, GrpoSettings) else ADAPTER_OPTIONS[:1]",
           "names = ADAPTER_OPTIONS[:1]", VALIDATION),
    Mutant("windows of a pair on both sides of a validation", "training/validation.py",
           'keys = [row["window_id"].rsplit("-", 1) for row in rows]',
           'keys = [(row["window_id"], row["window_id"].rsplit("-", 1)[1]) for row in rows]', VALIDATION),
    Mutant("the first quarters are held out", "training/validation.py",
           "[-settings.validation_quarters :]", "[: settings.validation_quarters]", VALIDATION),
    Mutant("the worst reward is the best checkpoint", "training/validation.py",
           '("eval_reward", -1)', '("eval_reward", 1)', VALIDATION),
    Mutant("averages of a validation go on into the training", "training/rewards_plugin.py",
           "self.reward.restore(before)", "pass", "training/test_rewards_plugin.py"),
    Mutant("fingerprint without the rewards' code", "train_grpo.py",
           '{"code": code, "settings": constants |', '{"settings": constants |', FINGERPRINTS),
    Mutant("fingerprint without the rewards' constants", "train_grpo.py",
           '{"code": code, "settings": constants | {"plugins": plugins}}', '{"code": code, "plugins": plugins}',
           FINGERPRINTS),
    Mutant("fingerprint without the content of the user's own rewards", "train_grpo.py",
           "plugins = [file_digest(path) for path in rewards.plugins]", "plugins = rewards.plugins", FINGERPRINTS),
    Mutant("completions of an adapter that is scaled otherwise", "generate_completions.py",
           'identity["adapter_config"] = adapter_recipe(adapter)', "pass", FINGERPRINTS),
    Mutant("adapters on any base model", "training/own_adapters.py",
           "        if _differ(named, base.path):", "        if False:", OWN_ADAPTERS),
    Mutant("matrices without a place in the model", "training/own_adapters.py",
           "            if not any(name in module for name in RENAMED):", "            if False:", OWN_ADAPTERS),
    Mutant("own forecasts joined by order", "holdings/forecasts/own_forecasts.py",
           "values[FORECAST][place]", "values[FORECAST][: len(place)]", "holdings/forecasts/test_own_forecasts.py"),
    Mutant("stages on other base models are compared", "holdings/evaluation/conditions.py",
           "*(OWN if name in own else ())", "*OWN", "holdings/evaluation/test_tables.py"),
    Mutant("unpaid completions count as zero", "training/own_rewards.py",
           'float("nan") if value is None', "0.0 if value is None", "training/test_own_rewards.py"),
    Mutant("a model is the names of its files", "training/base_model.py",
           "str(path.relative_to(folder)): content_digest(path)", "str(path.relative_to(folder)): 0", FINGERPRINTS),
    Mutant("completions whatever the adapter", "generate_completions.py",
           '"adapter": file_digest(weights) if weights else None}', '"adapter": None}', FINGERPRINTS),
    Mutant("completions whatever the model", "generate_completions.py",
           '{"model": model_identity(model.path),', '{"model": "",', FINGERPRINTS),
    Mutant("completions whatever the seed", "generate_completions.py",
           "generation_conditions(model, generation, settings.seed)", "generation_conditions(model, generation, 0)",
           FINGERPRINTS),
    Mutant("a ledger whose lines may be moved or taken out", "holdings/forecasts/ledger.py",
           'if line["previous"] != previous:', "if False:", LEDGER),
    Mutant("a ledger whose last lines may be taken off", "holdings/forecasts/ledger.py",
           "    if unnamed:", "    if False:", LEDGER),
    Mutant("a kept forecast that may be edited", "holdings/forecasts/ledger.py",
           'if file_digest(path) != line["forecast_digest"]:', "if False:", LEDGER),
    Mutant("every forecast of a quarter is the record", "holdings/forecasts/ledger.py",
           '"is_first": key not in seen', '"is_first": True', LEDGER),
    Mutant("a forecast of windows whose answer is known", "holdings/windows/newest.py",
           'inside & part["delta_sign"].is_null().to_numpy()', "inside", NEWEST),
    Mutant("a revised position changes what was forecast", "holdings/evaluation/ledger_scores.py",
           'active_change(held, truth, prices', 'active_change(now_held, truth, prices', LEDGER_SCORES),
    Mutant("the true answer in the middle of those that differ in their last digits", "holdings/texts/probe_answers.py",
           "place = rng.integers(answers, size=len(truth))", "place = np.full(len(truth), answers // 2)", PROBE_TEXTS),
    Mutant("a probe of scale whose history stays in dollars", "holdings/texts/probe_prompts.py",
           "pa.array(sample[name].to_numpy() * factor)", "pa.array(sample[name].to_numpy())", PROBE_TEXTS),
    Mutant("digits of trades that anybody can forecast", "holdings/texts/probe_answers.py",
           "return (low > lowest) & ((low > unmoved) | (high < unmoved))", "return low > -np.inf", PROBE_TEXTS),
    Mutant("a recall that fits everyone", "holdings/evaluation/probes.py",
           "own - (fits.sum(axis=1) - own) / (len(rows) - 1)", "own", PROBES),
    Mutant("silence is no memory", "holdings/evaluation/probes.py",
           "if row.n_windows and not row.n_answered:", "if False:", PROBES),
    Mutant("the hidden stock is the named one", "holdings/evaluation/probes.py",
           "(forecast, renamed) if is_hidden else (renamed, forecast)",
           "(renamed, forecast) if is_hidden else (forecast, renamed)", PROBES),
    Mutant("probabilities whatever the adapter", "rank_answers.py",
           'file_digest(Path(adapter) / ADAPTER_FILES[0]) if adapter else None', "None", "training/test_likelihood.py"),
    Mutant("padding is read as text", "training/likelihood.py",
           "torch.zeros_like(ids)", "torch.ones_like(ids)", "training/test_likelihood.py"),
    Mutant("rows of a batch share a random stream", "training/generation.py",
           '[seed, row["sample"], row["window_id"]]', "[seed]", "training/test_generation.py"),
    Mutant("the manifest first", "training/store.py",
           '(*read_json(result / MANIFEST)["files"], MANIFEST)', '(MANIFEST, *read_json(result / MANIFEST)["files"])',
           STORE),
    Mutant("a damaged result is published", "training/store.py",
           "and file_digest(result / name) == digest for", "for", STORE),
    Mutant("the trainer does not inherit the lock", "training/store.py",
           "os.set_inheritable(file.fileno(), True)", "pass", STORE),
    Mutant("nobody waits for the lock", "training/store.py",
           "flush=True)\n            fcntl.flock(file, fcntl.LOCK_EX)", "flush=True)", STORE),
    Mutant("a damaged checkpoint is resumed", "training/checkpoints.py",
           "return all(file_digest(checkpoint / name) == digest for name, digest in digests.items())", "return True",
           "training/test_checkpoints.py"),
    Mutant("a new name before the bytes are on the disk", "plumbing/files.py",
           "        _sync(temporary)\n", "", FILES),
    Mutant("a folder's new name before its bytes are on the disk", "plumbing/files.py",
           "            _sync(file)\n", "            pass\n", FILES),
    Mutant("completions that a dead node loses", "training/generation.py",
           "            os.fsync(file.fileno())\n", "", "training/test_generation.py"),
    Mutant("half a file under its name", "plumbing/files.py",
           "        yield temporary\n        _sync(temporary)\n        os.replace(temporary, path)",
           "        yield path", FILES),
    Mutant("a new reward for each batch of a replay", "holdings/rewards/rewards.py",
           "        score(\n            reward,", "        score(\n            build(name, settings),", REWARDS),
    Mutant("the sign of the direction's margin", "holdings/rewards/external_holdings.py",
           "np.sign(true) - s.direction_margin", "np.sign(true) + s.direction_margin", REWARDS),
    Mutant("averages forget the wrong share", "holdings/rewards/external_holdings.py",
           "decay * mean + (1.0 - decay) * batch", "(1.0 - decay) * mean + decay * batch", REWARDS),
    Mutant("a row's scale without its floor", "holdings/rewards/row_scale.py",
           "np.fmax(np.fmax(numbers(past_change), floor), MIN_SCALE)", "np.fmax(numbers(past_change), MIN_SCALE)",
           REWARDS),
    Mutant("the absolute error is cut as the square is", "holdings/rewards/scaled_mae_holdings.py",
           "2.0 / (1.0 + x) - 1.0", "2.0 / (1.0 + np.minimum(x, 2.0)) - 1.0", REWARDS),
    Mutant("a reward that is scaled by its batch passes for one with a scale", "holdings/rewards/mse_holdings.py",
           "self_scaled=True", "self_scaled=False", REWARDS),
    Mutant("another division than ms-swift's", "holdings/rewards/preflight.py",
           "ADVANTAGE_EPSILON = 1e-4", "ADVANTAGE_EPSILON = 1e-3", PREFLIGHT),
    Mutant("another standard deviation than torch's", "holdings/rewards/preflight.py",
           "rewards.std(axis=1, ddof=1)", "rewards.std(axis=1)", PREFLIGHT),
    Mutant("groups whose errors are all equal are dead", "holdings/rewards/preflight.py",
           "ddof=1)[counts.any(axis=1)]", "ddof=1)", PREFLIGHT),
    Mutant("equal pay is in order", "holdings/rewards/preflight.py",
           "in_order = np.sign(rewards[:, first] - rewards[:, second]) == -np.sign(gap)",
           "in_order = np.sign(rewards[:, first] - rewards[:, second]) != np.sign(gap)", PREFLIGHT),
    Mutant("the order of rewards that ms-swift cannot tell apart", "holdings/rewards/preflight.py",
           ".astype(np.float32).astype(np.float64)", "", PREFLIGHT),
    Mutant("a dead reward hides in the total", "holdings/rewards/preflight.py",
           "[TOTAL, *(name for name in rewards if name in REWARD_NAMES and reads_label([name]))]", "[TOTAL]",
           PREFLIGHT),
    Mutant("the order of the errors is not asked for", "holdings/rewards/preflight.py",
           "if in_order < limits.min_in_order:", "if False:", PREFLIGHT),
    Mutant("rewards read another label", "holdings/rewards/rewards.py",
           "TARGETS[target].label if column == LABEL", '"label_delta" if column == LABEL', REWARDS),
    Mutant("rewards read their columns in another order", "holdings/rewards/shared.py",
           'LABELLED = ("holding_t", LABEL)', 'LABELLED = (LABEL, "holding_t")', REWARDS),
    Mutant("the plugin hands the position over as the change", "training/rewards_plugin.py",
           "                return score(self.reward, name, completions, columns, SETTINGS.target)",
           '                swapped = columns | {"label_delta": columns["label_tp1"]}\n'
           "                return score(self.reward, name, completions, swapped, SETTINGS.target)",
           "training/test_rewards_plugin.py"),
    Mutant("the plugin of ms-swift swaps the label's column", "training/rewards_plugin.py",
           "            values = score(self.reward, name, completions, columns, SETTINGS.target)",
           '            values = score(self.reward, name, completions, columns, "holding_delta")',
           "training/test_rewards_plugin.py"),
    Mutant("the plugin of ms-swift takes the target of another run", "training/rewards_plugin.py",
           "return score(self.reward, name, completions, columns, SETTINGS.target)",
           'return score(self.reward, name, completions, columns, "holding_delta")', "training/test_rewards_plugin.py"),
    Mutant("a resumed training begins its averages anew", "training/rewards_plugin.py",
           "reward.restore(kept[-1])", "pass", "training/test_rewards_plugin.py"),
    Mutant("averages of after the checkpoint are kept", "training/rewards_plugin.py",
           'if entry["step"] < step]', 'if entry["step"] <= step]', "training/test_rewards_plugin.py"),
    Mutant("below the bound is valid", "holdings/texts/completions.py",
           "bound = min(changes) >= -holding_t - BOUND_TOLERANCE", "bound = True", ANSWERS),
    Mutant("the bound on the wrong side", "holdings/texts/completions.py",
           ">= -holding_t - BOUND_TOLERANCE", ">= holding_t - BOUND_TOLERANCE", ANSWERS),
    Mutant("a copied bound breaks the bound", "holdings/texts/completions.py",
           "bound = min(changes) >= -holding_t - BOUND_TOLERANCE", "bound = min(changes) >= -holding_t", ANSWERS),
    Mutant("the last of several answers counts", "holdings/texts/completions.py",
           "if opened > 1 or closed > 1:", "if False:", ANSWERS),
    Mutant("rewards read the key that was not asked for", "holdings/texts/completions.py",
           "if unlike and not lenient:", "if False:", ANSWERS),
    Mutant("a think block is free where none is asked for", "holdings/texts/completions.py",
           "(0, 0, 1, 1)", "(1, 1, 1, 1)", ANSWERS),
    Mutant("the contract's reward asks for a think block in any case", "holdings/rewards/rewards.py",
           "Contract(self.target, self.think, self.answer)", "Contract(self.target, True, self.answer)", REWARDS),
    Mutant("rewards read one number where quantiles are asked for", "holdings/rewards/rewards.py",
           "Contract(self.target, self.think, self.answer)", "Contract(self.target, self.think)", CRPS),
    Mutant("quantiles that fall obey the contract", "holdings/texts/completions.py",
           'form or ("the quantiles fall" if falls else "")', "form", QUANTILE_ANSWERS),
    Mutant("quantiles that fall are scored as a distribution", "holdings/texts/completions.py",
           "if falls and lenient else changes", "if False else changes", QUANTILE_ANSWERS),
    Mutant("only the median has to keep the bound", "holdings/texts/completions.py",
           "bound = min(changes)", "bound = changes[len(changes) // 2]", QUANTILE_ANSWERS),
    Mutant("a level that is missing is filled in for the contract", "holdings/texts/completions.py",
           '[by_name[MEDIAN]] * sure, "other quantiles than asked for"', '[by_name[MEDIAN]] * sure, ""',
           QUANTILE_ANSWERS),
    Mutant("another quantile passes for the median", "holdings/texts/answers.py",
           "MIDDLE = LEVELS.index(0.5)", "MIDDLE = LEVELS.index(0.75)", QUANTILE_ANSWERS),
    Mutant("the width of a label is that of the window's own truth", "holdings/texts/conversations.py",
           "held[:, None] * width", "np.abs(_answers(sample, asked))[:, None] * width", QUANTILE_ANSWERS),
    Mutant("a label's distribution is not around its truth", "holdings/texts/conversations.py",
           "np.nan_to_num(relative - relative[MIDDLE])", "np.nan_to_num(relative)", QUANTILE_ANSWERS),
    Mutant("a reward that pays for false confidence", "holdings/rewards/crps_holdings.py",
           "finish(1.0 - crps(bent(true, scale), bent(said, scale[:, None])), said[:, 0], true)",
           "finish(2.0 / (1.0 + crps(true, said) / scale) - 1.0, said[:, 0], true)", CRPS),
    Mutant("a reward that pays for an absurd width as for the truth passes", "holdings/rewards/preflight.py",
           "if ABSURD_WIDTH in others and total", "if False and total", CRPS),
    Mutant("a level is a change", "holdings/texts/targets.py",
           "to_change=lambda value, holding_t: value - holding_t", "to_change=lambda value, holding_t: value", ANSWERS),
    Mutant("the leakage audit keeps the labels", "holdings/evaluation/text_audit.py",
           "((FEATURES, dates > quarter), (LABELS, dates >= quarter))", "((FEATURES, dates > quarter),)", AUDIT),
    Mutant("the leakage audit keeps the label of t", "holdings/evaluation/text_audit.py",
           "(LABELS, dates >= quarter)", "(LABELS, dates > quarter)", AUDIT),
    Mutant("the leakage audit keeps later features", "holdings/evaluation/text_audit.py",
           "((FEATURES, dates > quarter),", "((FEATURES, dates > quarter + 1),", AUDIT),
    Mutant("the leakage audit rebuilds from the sample's labels", "holdings/evaluation/text_audit.py",
           "    sample = scramble_labels(sample, rng)\n", "", AUDIT),
    Mutant("the leakage audit believes the sample's splits of the past", "holdings/evaluation/text_audit.py",
           "sample = sample.set_column(sample.column_names.index(name), name, pa.array(values))", "pass", AUDIT),
    Mutant("the leakage audit believes any split of a stock", "holdings/evaluation/text_audit.py",
           "> return_tolerance(ratio)", "> 99 * return_tolerance(ratio)", AUDIT),
    Mutant("the sample's audit overlooks windows that labels have brought in", "holdings/evaluation/sample_audit.py",
           "set(drawn) ^ set(", "set(drawn) - set(", "holdings/evaluation/test_sample_audit.py"),
    Mutant("the sample's audit overlooks windows that labels have kept out", "holdings/evaluation/sample_audit.py",
           "np.setxor1d(expected, there)", "np.setdiff1d(there, expected)",
           "holdings/evaluation/test_sample_audit.py"),
    Mutant("a price of the next quarter is no fault", "holdings/panel/timing.py",
           'shift < 0 or column == "prc"', "shift > 0", "holdings/panel/test_timing.py"),
    Mutant("a manager who skips a quarter has sold all", "holdings/panel/exits.py",
           "gone = (filing >= 0) & (stock >= 0)", "gone = stock >= 0", "holdings/panel/test_exits.py"),
    Mutant("a stock that left the market was sold", "holdings/panel/exits.py",
           "gone = (filing >= 0) & (stock >= 0)", "gone = filing >= 0", "holdings/panel/test_exits.py"),
    Mutant("the baselines' audit keeps the labels", "holdings/evaluation/baseline_audit.py",
           "scramble_labels(test, rng).take(half)", "test.take(half)", AUDIT),
    Mutant("the baselines' audit keeps all windows", "holdings/evaluation/baseline_audit.py",
           "max(test.num_rows // 2, 1)", "test.num_rows", AUDIT),
    Mutant("a split begins a quarter late", "holdings/windows/splits.py",
           "mask &= quarter >= quarter_ids", "mask &= quarter > quarter_ids", "holdings/windows/test_sampling.py"),
    Mutant("the first time buckets use up the caps of the pairs", "holdings/windows/sampling.py",
           "    _even_out(chosen, supply)\n", "", "holdings/windows/test_sampling.py"),
    Mutant("a split ends a quarter early", "holdings/windows/splits.py",
           "mask &= quarter <= quarter_ids", "mask &= quarter < quarter_ids", "holdings/windows/test_sampling.py"),
    Mutant("an embargo that is a quarter short", "holdings/windows/splits.py",
           "mask &= quarter + embargo_quarters < quarter_ids", "mask &= quarter + embargo_quarters <= quarter_ids",
           "holdings/windows/test_sampling.py"),
    Mutant("the active change at the wrong price", "holdings/windows/labels.py",
           "held_next / price_ratio", "held_next * price_ratio",
           "holdings/panel/test_stock_quarters.py"),
    Mutant("the skill's sign", "holdings/evaluation/metrics.py",
           "return 1.0 - error / reference", "return error / reference - 1.0", METRICS),
    Mutant("a quarter where every ranking finds everything is ranked", "holdings/evaluation/metrics.py",
           "if len(true) <= k:", "if False:", METRICS),
    Mutant("a share of the quarter is a number of windows", "holdings/evaluation/metrics.py",
           "return int(top_k) if top_k >= 1 else max(1, int(top_k * n + 0.5))", "return max(1, int(top_k))", METRICS),
    Mutant("the larger of two one-way variances", "holdings/evaluation/inference.py",
           "np.max([by_quarter + by_manager - variances[CELL], by_quarter, by_manager])",
           "np.max([by_quarter, by_manager])", INFERENCE),
    Mutant("a RankIC without a cell keeps it", "holdings/evaluation/inference.py",
           "np.bincount(quarter, cells)[quarter] - cells", "np.bincount(quarter, cells)[quarter]", INFERENCE),
    Mutant("errors of the headline have no cap", "holdings/evaluation/comparison.py",
           "self.cap = CAP if relative else np.inf", "self.cap = np.inf",
           "holdings/evaluation/test_comparison.py"),
    Mutant("the weight of the baseline is the candidate's", "holdings/evaluation/combination.py",
           "says_otherwise * (true - baseline)", "says_otherwise * (true - candidate)",
           "holdings/evaluation/test_combination.py"),
    Mutant("a manager's own position is elsewhere", "holdings/windows/managers.py",
           "_means(total - mine, others,", "_means(total, others,", "holdings/windows/test_managers.py"),
    Mutant("a manager's trades are dated a quarter early", "holdings/windows/managers.py",
           '"quarter": quarter[known] + 1', '"quarter": quarter[known]', "holdings/windows/test_managers.py"),
    Mutant("all comparisons are one family", "holdings/report/summary.py",
           'table.groupby("family")', 'table.groupby(table["family"] == "")', "holdings/report/test_summary.py"),
    Mutant("no-change is the best baseline", "holdings/evaluation/baseline_choice.py",
           'table.loc[table["forecaster"] != NO_CHANGE, CAPPED_MAE]', "table[CAPPED_MAE]",
           "holdings/evaluation/test_comparison.py"),
    Mutant("windows of one's own are comparable", "holdings/evaluation/tables.py",
           '"comparable": treatment != OWN', '"comparable": True', TABLES),
    Mutant("the headline leaves silence out", "holdings/evaluation/tables.py",
           "HEADLINE: np.ones(len(one.true), bool)", 'HEADLINE: one.column("parsed")', TABLES),
    Mutant("the debug table keeps the largest errors", "holdings/evaluation/tables.py",
           "kept = error <= np.percentile", "kept = error >= np.percentile", TABLES),
    Mutant("RankIC divided by one side alone", "holdings/evaluation/metrics.py",
           "np.sqrt(np.sum(a**2) * np.sum(b**2))", "np.sum(a**2)", METRICS),
    Mutant("RankIC without ranks", "holdings/evaluation/metrics.py",
           "return pearson(average_ranks(true), average_ranks(predicted))", "return pearson(true, predicted)", METRICS),
    Mutant("R2 around 0", "holdings/evaluation/metrics.py",
           "np.sum((true - true.mean()) ** 2)", "np.sum(true**2)", METRICS),
    Mutant("Holm's steps in the wrong order", "holdings/evaluation/metrics.py",
           "np.arange(len(order), 0, -1)", "np.arange(1, len(order) + 1)", METRICS),
    Mutant("Holm counts what is no test", "holdings/evaluation/metrics.py",
           "np.arange(len(order), 0, -1)", "np.arange(len(p_values), len(p_values) - len(order), -1)", METRICS),
    Mutant("standard errors without autocorrelation", "holdings/evaluation/metrics.py",
           "lags = int(4 * (n / 100) ** (2 / 9))", "lags = 0", METRICS),
    Mutant("one forecast fewer for a top k", "holdings/evaluation/metrics.py",
           'kind="stable")[:k]', 'kind="stable")[: k - 1]', METRICS),
    Mutant("bands from windows that the forecast was fitted on", "predict_baselines.py",
           "all_forecasts(train[:-1], later, settings)", "all_forecasts(train, later, settings)", QUANTILES),
    Mutant("quantiles that are too narrow for their samples", "holdings/texts/quantile_rule.py",
           "(count + 1) * np.array(LEVELS) - 1", "(count - 1) * np.array(LEVELS)", QUANTILES),
    Mutant("a band below a full exit", "holdings/forecasts/residual_bands.py",
           "np.maximum(forecast[:, None] + scale * residuals[name], -held)",
           "forecast[:, None] + scale * residuals[name]", QUANTILES),
    Mutant("distributions joined by order", "holdings/evaluation/distributions.py",
           "[list(QUANTILES)].loc[ids]", "[list(QUANTILES)].iloc[: len(ids)]", DISTRIBUTIONS),
    Mutant("a cap on the forecast alone", "holdings/evaluation/distributions.py",
           "crps(capped(given.true), capped(values)) for", "crps(given.true, capped(values)) for", DISTRIBUTIONS),
    Mutant("equal weights of unequal levels", "holdings/rewards/crps.py",
           "WEIGHTS = _TRAPEZOIDS / _TRAPEZOIDS.sum()", "WEIGHTS = np.full(len(LEVELS), 1 / len(LEVELS))",
           DISTRIBUTIONS),
    Mutant("a truth at a quantile lies below it", "holdings/evaluation/distributions.py",
           "is_tied = first < last", "is_tied = last < 0", DISTRIBUTIONS),
    Mutant("silence has no distribution", "holdings/evaluation/distributions.py",
           "np.round(np.nan_to_num(values), 12)", "np.round(values, 12)", DISTRIBUTIONS),
    Mutant("a digest without the imported modules", "plumbing/code_digest.py",
           "            waiting.extend(_parsed(module, root)[1])\n", "", "plumbing/test_code_digest.py"),
    Mutant("a digest of code that is remembered by the module's name", "plumbing/code_digest.py",
           "sha256(source)", "sha256(str(path).encode())", "plumbing/test_code_digest.py"),
    Mutant("a digest of code that another version worked out", "plumbing/code_digest.py",
           'memory.get("reader") == READER', '"modules" in memory', "plumbing/test_code_digest.py"),
    Mutant("the rows of an unsorted slice are taken for sorted", "holdings/windows/history.py",
           "if is_ascending(*there) else np.lexsort(there[::-1])", "", "holdings/windows/test_history.py"),
    Mutant("a digest that is remembered by size alone", "plumbing/remembered_digests.py",
           "return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]", "return [status.st_size]",
           "plumbing/test_remembered_digests.py"),
    Mutant("options count as shares", "holdings/sec/reading.py",
           'pc.not_equal(_stripped(batch["PUTCALL"]), "")', 'pc.equal(_stripped(batch["PUTCALL"]), "-")', READING),
    Mutant("principal amounts count as shares", "holdings/sec/reading.py",
           'pc.equal(_upper(batch["SSHPRNAMTTYPE"]), "SH")', 'pc.is_valid(batch["SSHPRNAMTTYPE"])', READING),
    Mutant("new holdings replace the table", "holdings/sec/amendments.py",
           'return filings["amendment"].to_numpy() != NEW_HOLDINGS', 'return filings["amendment"].to_numpy() != "-"',
           AMENDMENTS),
    Mutant("a restatement adds to the table", "holdings/sec/amendments.py",
           'return filings["amendment"].to_numpy() != NEW_HOLDINGS', 'return filings["amendment"].to_numpy() == ""',
           AMENDMENTS),
    Mutant("as_of knows the next day", "holdings/sec/amendments.py",
           'LATER: (filings["filed"] > last_day)', 'LATER: (filings["filed"] > last_day + dt.timedelta(1))',
           AMENDMENTS),
    Mutant("new holdings alone are the whole table", "holdings/sec/positions.py",
           "has_holdings=is_kept & is_original(told)", "has_holdings=is_kept", AMENDMENTS),
    Mutant("dollars from the first of the year", "holdings/sec/units.py",
           "DOLLARS_SINCE = dt.date(2023, 1, 3)", "DOLLARS_SINCE = dt.date(2023, 1, 1)", UNITS),
    Mutant("one price decides a unit", "holdings/sec/positions.py",
           "is_known = found.cusips >= settings.min_priced_cusips", "is_known = found.cusips >= 1", UNITS),
    Mutant("own prices against prices as filed", "holdings/sec/units.py",
           "filing.prices[name] - one.prices[name] - np.log10(one.unit)", "filing.prices[name] - one.prices[name]",
           UNITS),
    Mutant("the unit of the day alone", "holdings/sec/units.py",
           "np.where(log_ratio < BORDER, THOUSAND, 1), by_day)", "by_day, by_day)", UNITS),
    Mutant("a quarter without a filing is an exit", "holdings/sec/assembly.py",
           "& ~told\n", "& ~told | ~told\n", SEC_PANEL),
    Mutant("confidential positions were sold", "holdings/sec/assembly.py",
           "(filed & ~managers.confidential[of_all])", "(filed)", SEC_PANEL),
    Mutant("a new CUSIP is an exit from the old one", "holdings/sec/assembly.py",
           "LEFT * (holders + 1) <= was_held_by", "LEFT * (holders + 1) < 0", SEC_PANEL),
    Mutant("positions in what no stock is are no assets", "holdings/sec/assembly.py",
           "np.add.at(aum, (manager, quarter), holding)", "np.add.at(aum, (manager, quarter), holding * (row >= 0))",
           SEC_PANEL),
    Mutant("the label of another type's row", "holdings/sec/assembly.py",
           " & (kind[manager, following] == types)", "", SEC_PANEL),
    Mutant("households by what comes later", "holdings/sec/assembly.py",
           "np.maximum.accumulate(np.where(filed, aum, 0.0), axis=1) >= limit",
           "np.where(filed, aum, 0.0).max(axis=1, keepdims=True) >= limit + 0 * aum", SEC_PANEL),
    Mutant("all that one manager reports is a price", "holdings/sec/cusip_quarters.py",
           'columns["priced"] >= min_filers', 'columns["priced"] >= 1', SEC_PANEL),
    Mutant("reports count from their period's end", "holdings/sec/fundamentals.py",
           "np.where(filed <= day, ", "np.where(filed <= day + 400, ", STOCK_FACTS),
    Mutant("the last correction of a report counts", "holdings/sec/fundamentals.py",
           "drop_duplicates(keys).reset_index", 'drop_duplicates(keys, keep="last").reset_index', STOCK_FACTS),
    Mutant("limits of the quarter itself", "holdings/sec/characteristics.py",
           "LIMIT_QUARTERS) : quarter]", "LIMIT_QUARTERS) : quarter + 1]", STOCK_FACTS),
    Mutant("betas know the whole panel", "holdings/sec/stocks.py",
           "total = np.cumsum(values, axis=1, dtype=float)\n",
           "total = np.cumsum(values, axis=1, dtype=float)\n        total += values.sum(axis=1, keepdims=True)\n",
           STOCK_FACTS),
    Mutant("a smaller and a larger error change places in the report's sentences", "holdings/report/answers.py",
           'VERDICTS = ("better", "worse",', 'VERDICTS = ("worse", "better",', SENTENCES),
    Mutant("a model that repeats its start is told as not shown to be worse", "holdings/report/answers.py",
           'rows["verdict"].where(~alike, "same")', 'rows["verdict"]', SENTENCES),
    Mutant("what could have been found is told of the forecaster's error", "holdings/report/answers.py",
           'rows["detectable"] / rows["baseline_value"]', 'rows["detectable"]', SENTENCES),
    Mutant("the secondary comparisons answer the question", "holdings/report/answers.py",
           'comparisons[comparisons["family"] == PRIMARY]', "comparisons", SENTENCES),
    Mutant("the oracle takes the bold from the best forecaster", "holdings/report/tables.py",
           "values.where(~excluded)", "values", REPORT_TABLES),
    Mutant("the largest error is bold", "holdings/report/tables.py",
           "known.min() if plain in LEAST", "known.max() if plain in LEAST", REPORT_TABLES),
    Mutant("a sample answer shows the label as part of the question", "holdings/report/samples.py",
           'if one["role"] != "assistant"', "", PAGE),
    Mutant("a gain of dollars is shown as the model's best", "holdings/report/samples.py",
           "/ read[\"holding_t\"]", "", PAGE),
    Mutant("runs are compared whose truth differs", "holdings/evaluation/run_comparison.py",
           "if not same.all():", "if not same.any():", RUN_PAIRS),
    Mutant("runs are compared of which one lacks a window", "holdings/evaluation/run_comparison.py",
           "table.index.difference(other.index)", "table.index[:0]", RUN_PAIRS),
    Mutant("each run is compared with itself", "holdings/evaluation/run_comparison.py",
           "kept.assign(forecaster=run + SEPARATOR", "kept.assign(forecaster='a' + SEPARATOR", RUN_PAIRS),
    Mutant("a silent run is praised without a word", "holdings/report/runs_page.py",
           'rows["parsed_share"] < MIN_PARSED', 'rows["parsed_share"] < 0', COMPARED_RUNS),
    Mutant("the base run's outdated outputs stay under the new run's name", "plumbing/base_run.py",
           "if not _is_same(path, source):", "if True:", BASE_RUN),
    Mutant("a file is taken without its record", "plumbing/base_run.py",
           "memory.record(str(path)).is_file()", "path.exists()", BASE_RUN),
    Mutant("the base run's page stands under the new run's name", "plumbing/base_run.py",
           '    "summary",\n', "", BASE_RUN),
]  # fmt: skip


def fails(folder: Path, tests: list[str]) -> bool | None:
    """Whether one of the tests fails; None where they could not be run."""
    # Python would take the compiled module of the text before, where size and second of the file are the same.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    paths = [f"tests/unit/{name}" for name in tests]
    status = pytest_in_a_fork(folder, environment, ["-x", "-q", "-p", "no:cacheprovider", *paths]).returncode
    return {0: False, 1: True}.get(status)


def outcome(project: Project, mutant: Mutant) -> str:
    """`killed`, or what is wrong; the project's module is left as the mutant."""
    path = project.root / "workflow_scripts" / mutant.module
    code = path.read_text()
    if code.count(mutant.text) != 1:
        return f"NOT APPLIED: the text is {code.count(mutant.text)} times in {mutant.module}"
    path.write_text(code.replace(mutant.text, mutant.other))
    return {True: "killed", False: "SURVIVED", None: "NOT RUN: tests could not be collected"}[
        fails(project.root, [mutant.tests])
    ]


def main(words: str, cores: int) -> int:
    mutants = [mutant for mutant in MUTANTS if words in mutant.fault or words in mutant.module]
    preload_for_unit_tests()
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(cores) as threads:
        copies = Copies([checkout(Path(temporary) / str(number)) for number in range(cores)])
        with copies.lent() as project:
            if fails(project.root, sorted({mutant.tests for mutant in mutants})) is not False:
                print("the tests fail without any mutant; run them first")
                return 1

        def tried(mutant: Mutant) -> str:
            with copies.lent(mutant.module) as project:
                started = time.monotonic()
                found = outcome(project, mutant)
            print(f"{found:9} {mutant.fault:55} {mutant.tests:42} {time.monotonic() - started:5.1f} s", flush=True)
            return found

        found = dict(zip(mutants, threads.map(tried, mutants), strict=True))
    alive = [mutant.fault for mutant, result in found.items() if result != "killed"]
    print(f"{len(mutants) - len(alive)} of {len(mutants)} killed" + (f"; not: {', '.join(alive)}" if alive else ""))
    return 1 if alive else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="?", default="", help="part of a mutant's fault or module; all without it")
    parser.add_argument("--cores", type=int, default=2, help="mutants at a time, each in a copy of its own")
    given = parser.parse_args()
    sys.exit(main(given.words, given.cores))
