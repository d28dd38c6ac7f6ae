"""What reruns when: for every change of a setting or of code exactly the jobs per rule that follow from it."""

# Jobs per rule of two firm types, from a stage to the end of what follows from it.
SUMMARY = {"summarize_run": 1, "all": 1}
CONFIG = {**SUMMARY, "write_config": 1}
FIGURES = {"plot_forecasts": 2}
INTERVALS = {"compare_forecasts": 2}
TRIMMED, PERIODS = {"trim_metrics": 2}, {"score_periods": 2}
DISTRIBUTIONS = {"evaluate_distributions": 2, **FIGURES}
EVALUATION = {"evaluate_forecasts": 2, **TRIMMED, **PERIODS, **INTERVALS, **DISTRIBUTIONS}
SCORES = {"parse_predictions": 6, "score_rewards": 6}
GRPO = {"train_grpo": 2, "write_model_card": 2, "summarize_training": 2, "generate_completions": 2,
        "parse_predictions": 2, "score_rewards": 2, **EVALUATION}  # fmt: skip
SFT = {**GRPO, "train_sft": 2, "write_model_card": 4, "merge_adapter": 2, "summarize_training": 4,
       "generate_completions": 4, "parse_predictions": 4, "score_rewards": 4}  # fmt: skip
MODELS = {**SFT, "generate_completions": 6, **SCORES}
CARD = {"write_dataset_card": 2}
DATASETS = {"build_sft_dataset": 2, "build_grpo_dataset": 2, "build_test_dataset": 2, "preflight_rewards": 2,
            "audit_leakage": 6, **CARD, **MODELS}  # fmt: skip
PROMPTS = {"build_prompts": 6, **DATASETS}
CHOICE = {"choose_baseline": 2}
BASELINES = {"predict_baselines": 2, "audit_baselines": 2, **CHOICE}
TRAINING_WINDOWS = {"collect_training_windows": 2, **BASELINES}
SAMPLES = {"sample_windows": 6, "audit_sample": 6, **TRAINING_WINDOWS, **PROMPTS}
WINDOWS = {"build_windows": 2, **SAMPLES}
QUARTERS = {"build_quarters": 2, **SAMPLES}
PANEL = {"check_panel": 2, "summarize_panel": 1, **QUARTERS, **WINDOWS}
EVERYTHING = {"simulate_panel": 2, "build_demo_model": 1, **PANEL, **CONFIG}

SETTINGS: list[tuple[dict, dict]] = [
    ({"seed": 2}, EVERYTHING),
    ({"run": "other"}, EVERYTHING),
    ({"simulation": {"noise_sd": 0.3}}, {"simulate_panel": 2, **PANEL, **CONFIG}),
    ({"checks": {"max_share_above": 0.5}}, {**PANEL, **CONFIG}),
    ({"checks": {"timing": "warn"}}, {**PANEL, **CONFIG}),
    ({"panel_exits": "from_filings"}, {"add_exits": 2, **QUARTERS, **WINDOWS, **CONFIG}),
    ({"windows": {"set_aside": ["10001 2016Q4"]}}, {**WINDOWS, **CONFIG}),
    ({"windows": {"history_quarters": 3}}, {"build_demo_model": 1, **WINDOWS, **CONFIG}),
    ({"splits": {"embargo_quarters": 1}}, {**SAMPLES, **CONFIG}),
    (
        {"sample": {"test": {"per_type_limit": 12}}},
        {"sample_windows": 2, "audit_sample": 2, "predict_baselines": 2, "audit_baselines": 2, "build_prompts": 2,
         "build_test_dataset": 2, "audit_leakage": 2, **CARD, "generate_completions": 6, **SCORES, **EVALUATION,
         **CONFIG},
    ),
    ({"baselines": {"max_windows": 50}}, {**TRAINING_WINDOWS, **EVALUATION, **CONFIG}),
    ({"prompts": {"decimals": 2}}, {"build_demo_model": 1, **PROMPTS, **CONFIG}),
    ({"prompts": {"identity": "hidden"}}, {**PROMPTS, **CONFIG}),
    # What baselines say has nothing to do with the form of a model's answer.
    (
        {"prompts": {"answer": "quantiles"}, "generation": {"max_tokens": 128}, "grpo": {"max_completion_length": 128}},
        {"build_demo_model": 1, **PROMPTS, **CONFIG},
    ),
    ({"prompts": {"manager_context": True}}, {"build_demo_model": 1, **PROMPTS, **CONFIG}),
    ({"prompts": {"target": "active_delta"}}, {"build_demo_model": 1, **SAMPLES, **CONFIG}),
    (
        {"labels": {"think_template": "x"}},
        {"build_demo_model": 1, "build_sft_dataset": 2, **CARD, "audit_leakage": 4, **MODELS, **CONFIG},
    ),
    (
        {"labels": {"ratio_decimals": 3}},
        {"build_demo_model": 1, "build_sft_dataset": 2, **CARD, "audit_leakage": 4, **MODELS, **CONFIG},
    ),
    ({"labels": {"think": "none"}}, {"build_demo_model": 1, **PROMPTS, **CONFIG}),
    (
        {"labels": {"grpo_exemplar": True}},
        {"build_grpo_dataset": 2, **CARD, "preflight_rewards": 2, "audit_leakage": 4, **GRPO, **CONFIG},
    ),
    ({"model": {"torch_dtype": "bfloat16"}}, {**MODELS, **CONFIG}),
    ({"demo_model": {"steps": 13}}, {"build_demo_model": 1, **MODELS, **CONFIG}),
    ({"sft": {"learning_rate": 0.001}}, {**SFT, **CONFIG}),
    ({"grpo": {"beta": 0.1}}, {**GRPO, **CONFIG}),
    ({"grpo": {"validation_share": 0.2}}, {**GRPO, **CONFIG}),
    # The merged SFT model is there, and not needed.
    ({"grpo": {"warm_start": "continue", "lora_rank": 8, "lora_alpha": 32}}, {**GRPO, **CONFIG}),
    ({"grpo": {"rewards": ["contract_holdings", "direction_holdings"]}}, {"preflight_rewards": 2, **GRPO, **CONFIG}),
    ({"preflight": {"max_dead_groups": 0.6}}, {"preflight_rewards": 2, **GRPO, **CONFIG}),
    ({"rewards": {"direction_margin": 0.1}}, {"score_rewards": 6, **CONFIG}),
    ({"rewards": {"scale_floor": 0.02}}, {"score_rewards": 6, **CONFIG}),
    # Without an exemplar the GRPO prompts hold no label: the decimals are none of theirs.
    (
        {"labels": {"decimals": 2}},
        {"build_demo_model": 1, "build_sft_dataset": 2, **CARD, "audit_leakage": 4, **MODELS, **CONFIG},
    ),
    ({"rewards": {"dead_band": 0.1}}, {"write_config": 1, "all": 1}),
    ({"probes": {"windows": 10}}, {"write_config": 1, "all": 1}),
    ({"forecast": {"max_windows": 10}}, {"write_config": 1, "all": 1}),
    ({"generation": {"max_tokens": 25}}, {"generate_completions": 6, **SCORES, **EVALUATION, **CONFIG}),
    ({"evaluation": {"top_k": 4}}, {**EVALUATION, **CONFIG}),
    ({"evaluation": {"knowledge_cutoff": "2020-12-31"}}, {**PERIODS, **CONFIG}),
    ({"evaluation": {"trim_percentile": 90}}, {**TRIMMED, **CONFIG}),
    ({"evaluation": {"confidence": 0.9}}, {**INTERVALS, **DISTRIBUTIONS, **CONFIG}),
    ({"evaluation": {"score_rewards": ["contract_holdings"]}}, {"score_rewards": 6, **CONFIG}),
    (
        {"firm_types": ["banks", "mutual_funds", "other"]},
        {rule: -(-count // 2) for rule, count in EVERYTHING.items() if rule != "build_demo_model"},
    ),
    ({"firm_types": ["banks"]}, {"summarize_panel": 1, **CONFIG}),
]  # fmt: skip

# Appended where there is nothing to replace.
SPARE = "\nSPARE = 1\n"
SEC_MODULES = (
    "amendments", "assembly", "characteristics", "cusip_quarters", "cusips", "filing_report", "filing_settings",
    "fundamentals", "identifiers", "manager_types", "own_values", "panel_files", "panel_report", "panel_settings",
    "positions", "reading", "stocks", "units", "zip_names", "zips",
)  # fmt: skip
EDITS: list[tuple[str, str, str, dict]] = [
    ("holdings/panel/simulation.py", "MAX_ZERO_QUARTERS = 11", "MAX_ZERO_QUARTERS = 10",
     {"simulate_panel": 2, "build_demo_model": 1, **PANEL, **CONFIG}),
    ("holdings/panel/checks.py", "", SPARE, {**PANEL, **SUMMARY}),
    ("holdings/panel/timing.py", "", SPARE, {**PANEL, **SUMMARY}),
    ("holdings/panel/manager_checks.py", "", SPARE, {**PANEL, **SUMMARY}),
    ("holdings/panel/spikes.py", "", SPARE, {**PANEL, **SUMMARY}),
    # The tiny panel has its zero rows.
    ("holdings/panel/exits.py", "", SPARE, {}),
    ("holdings/panel/stock_quarters.py", "RETURN_SCALE = 0.25", "RETURN_SCALE = 0.3",
     {"build_demo_model": 1, **QUARTERS, **SUMMARY}),
    # A constant of the sampler simulates no panel again.
    ("holdings/windows/sampling.py", "MIN_BUCKETS, MAX_BUCKETS = 3, 12", "MIN_BUCKETS, MAX_BUCKETS = 4, 12",
     {**SAMPLES, **SUMMARY}),
    ("holdings/windows/splits.py", "", SPARE, {**SAMPLES, **SUMMARY}),
    ("holdings/windows/prices.py", "", SPARE, {**SAMPLES, **SUMMARY}),
    ("holdings/windows/labels.py", "", SPARE, {"build_demo_model": 1, **QUARTERS, **SUMMARY}),
    ("holdings/windows/managers.py", "UNIT, LIMIT = 1e-9, 1e3", "UNIT, LIMIT = 1e-9, 1e2",
     {"build_demo_model": 1, **QUARTERS, **SUMMARY}),
    ("holdings/windows/assembling.py", "", SPARE, {**SAMPLES, **SUMMARY}),
    ("holdings/windows/lags.py", "", SPARE, {"build_demo_model": 1, **QUARTERS, **SUMMARY}),
    ("holdings/texts/prompts.py", "you forecast the next one.", "you predict the next one.",
     {"build_demo_model": 1, "audit_baselines": 2, **PROMPTS, **SUMMARY}),
    ("holdings/texts/tickers.py", "", SPARE, {**PROMPTS, **SUMMARY}),
    ("holdings/texts/answers.py", "", SPARE, {"build_demo_model": 1, **BASELINES, **PROMPTS, **SUMMARY}),
    ("holdings/texts/quantile_rule.py", "", SPARE,
     {"build_demo_model": 1, **BASELINES, **DATASETS, **SUMMARY}),
    ("holdings/texts/label_settings.py", "", SPARE, {}),
    ("holdings/forecasts/baselines.py", '"max_iter": 100', '"max_iter": 90', {**BASELINES, **EVALUATION, **SUMMARY}),
    ("holdings/forecasts/stages.py", "", SPARE, {**INTERVALS, **FIGURES, **SUMMARY}),
    ("holdings/forecasts/forecasters.py", "", SPARE, {**INTERVALS, **FIGURES, **SUMMARY}),
    # Completions are read again, and baselines get other bands.
    ("holdings/forecasts/quantiles.py", "", SPARE,
     {**CARD, **BASELINES, "parse_predictions": 6, **EVALUATION, **SUMMARY}),
    ("holdings/forecasts/residual_bands.py", "", SPARE,
     {"predict_baselines": 2, "audit_baselines": 2, **EVALUATION, **SUMMARY}),
    # Of the user's own files of forecasts there are none here.
    ("holdings/forecasts/own_forecasts.py", "", SPARE, {}),
    ("holdings/evaluation/forecaster_pairs.py", "", SPARE, {**INTERVALS, **SUMMARY}),
    ("holdings/evaluation/baseline_audit.py", "rtol=1e-9", "rtol=1e-8",
     {"audit_baselines": 2, **EVALUATION, **SUMMARY}),
    # The gates: the trainings are queued, and publish what the store has (test_workflow).
    ("holdings/evaluation/text_audit.py", "", SPARE,
     {"audit_leakage": 6, "audit_baselines": 2, **SFT, **SUMMARY}),
    ("holdings/evaluation/audit_checks.py", "EXAMPLES = 3", "EXAMPLES = 4",
     {"audit_sample": 6, "audit_leakage": 6, "audit_baselines": 2, **SFT, **SUMMARY}),
    ("holdings/evaluation/sample_audit.py", "", SPARE, {"audit_sample": 6, "audit_leakage": 6, **SFT, **SUMMARY}),
    ("holdings/evaluation/conditions.py", "", SPARE, {**EVALUATION, **SUMMARY}),
    ("holdings/evaluation/settings.py", "", SPARE, {**CARD, **CHOICE, **EVALUATION, **SUMMARY}),
    ("holdings/evaluation/baseline_choice.py", "", SPARE, {**CHOICE, **INTERVALS, **SUMMARY}),
    ("holdings/evaluation/inference.py", "", SPARE, {**INTERVALS, **DISTRIBUTIONS, **SUMMARY}),
    ("holdings/evaluation/distributions.py", "", SPARE, {**DISTRIBUTIONS, **SUMMARY}),
    ("holdings/rewards/preflight.py", "JITTER = 0.1", "JITTER = 0.2", {"preflight_rewards": 2, **GRPO, **SUMMARY}),
    ("holdings/rewards/rewards.py", "", SPARE, {"preflight_rewards": 2, **GRPO, "score_rewards": 6, **SUMMARY}),
    ("holdings/rewards/shared.py", "MIN_SCALE = 1e-6", "MIN_SCALE = 1e-5",
     {"preflight_rewards": 2, **GRPO, "score_rewards": 6, **SUMMARY}),
    ("holdings/rewards/contract_holdings.py", "", SPARE,
     {"preflight_rewards": 2, **GRPO, "score_rewards": 6, **SUMMARY}),
    ("holdings/rewards/mse_holdings.py", "", SPARE, {"preflight_rewards": 2, **GRPO, "score_rewards": 6, **SUMMARY}),
    # The one CRPS is also the evaluation's; the reward of it is not used.
    ("holdings/rewards/crps.py", "", SPARE, {**DISTRIBUTIONS, **SUMMARY}),
    ("holdings/rewards/crps_holdings.py", "", SPARE, {}),
    # Two rewards that are replayed and not trained with, what one of them imports, and two that are not used.
    ("holdings/rewards/external_holdings.py", "", SPARE, {"score_rewards": 6, **SUMMARY}),
    ("holdings/rewards/scaled_mae_holdings.py", "", SPARE, {"score_rewards": 6, **SUMMARY}),
    ("holdings/rewards/row_scale.py", "", SPARE, {"score_rewards": 6, **SUMMARY}),
    ("holdings/rewards/scaled_mse_holdings.py", "", SPARE, {}),
    ("holdings/rewards/direction_holdings.py", "", SPARE, {}),
    ("training/rewards_plugin.py", "", SPARE, {**GRPO, **SUMMARY}),
    ("training/own_rewards.py", "", SPARE, {"preflight_rewards": 2, **GRPO, "score_rewards": 6, **SUMMARY}),
    ("holdings/rewards/scores.py", "", SPARE, {"score_rewards": 6, **SUMMARY}),
    ("holdings/evaluation/metrics.py", "np.mean(np.abs(predicted - true))", "np.median(np.abs(predicted - true))",
     {**CARD, **CHOICE, **EVALUATION, **SUMMARY}),
    ("holdings/evaluation/combination.py", "", SPARE, {**INTERVALS, **SUMMARY}),
    ("holdings/evaluation/comparison.py", "MIN_MANAGERS = 10", "MIN_MANAGERS = 9",
     {**INTERVALS, **DISTRIBUTIONS, **SUMMARY}),
    ("holdings/report/plots.py", "BINS = 40", "BINS = 30", {**FIGURES, **SUMMARY}),
    ("holdings/report/distribution_plots.py", "", SPARE, {**FIGURES, **SUMMARY}),
    ("holdings/report/figures.py", '"font.size": 10', '"font.size": 11',
     {**FIGURES, "summarize_training": 4, **SUMMARY}),
    ("holdings/report/training_curves.py", "MAX_KL = 1.0", "MAX_KL = 2.0", {"summarize_training": 4, **SUMMARY}),
    ("holdings/report/summary.py", "MAX_NEAR_ZERO = 0.9", "MAX_NEAR_ZERO = 0.8", SUMMARY),
    ("holdings/report/page.py", "", SPARE, SUMMARY),
    ("holdings/report/dataset_card.py", "", SPARE, {**CARD, "all": 1}),
    ("holdings/report/dictionary.py", "", SPARE, {**CARD, **SUMMARY}),
    ("holdings/report/page.html.j2", "Look at this first", "Look here first", SUMMARY),
    ("holdings/report/page.css", "max-width: 68rem", "max-width: 70rem", SUMMARY),
    *((f"holdings/report/{name}.py", "", SPARE, SUMMARY) for name in (
        "answers", "answer_figure", "captions", "chapters", "numbers", "run_facts", "run_inputs",
        "samples", "tables")),
    ("holdings/panel/importing.py", "", SPARE, {}),
    ("holdings/panel/import_settings.py", "", SPARE, {}),
    # The tiny panel is not made of the SEC's files.
    *((f"holdings/sec/{name}.py", "", SPARE, {}) for name in SEC_MODULES),
    ("plumbing/sec_files.py", "", SPARE, {}),
    # The others, each with a statement more at its end.
    ("holdings/texts/completions.py", "", SPARE,
     {**CARD, "preflight_rewards": 2, **GRPO, **BASELINES, **SCORES, **SUMMARY}),
    ("holdings/texts/conversations.py", "", SPARE,
     {"build_demo_model": 1, "audit_baselines": 2, **DATASETS, **SUMMARY}),
    ("holdings/evaluation/tables.py", "", SPARE, {**CARD, **CHOICE, **EVALUATION, **SUMMARY}),
    ("holdings/forecasts/predictions.py", "", SPARE,
     {**CARD, **BASELINES, "parse_predictions": 6, **EVALUATION, **SUMMARY}),
    ("holdings/windows/history.py", "", SPARE, {"build_demo_model": 1, **SAMPLES, **SUMMARY}),
    ("holdings/texts/numbers.py", "", SPARE, {"build_demo_model": 1, "audit_baselines": 2, **PROMPTS, **SUMMARY}),
    ("holdings/panel/contract.py", "", SPARE, {"simulate_panel": 2, "build_demo_model": 1, **PANEL, **SUMMARY}),
    ("holdings/panel/slices.py", "", SPARE, {"build_demo_model": 1, **PANEL, **SUMMARY}),
    ("holdings/panel/pairs.py", "", SPARE, {"build_demo_model": 1, **PANEL, **SUMMARY}),
    ("holdings/panel/quarters.py", "", SPARE, {"simulate_panel": 2, "build_demo_model": 1, **PANEL, **SUMMARY}),
    ("holdings/texts/targets.py", "", SPARE, {"build_demo_model": 1, **BASELINES, **PROMPTS, **SUMMARY}),
    ("holdings/windows/windows.py", "", SPARE, {"build_demo_model": 1, **WINDOWS, **SUMMARY}),
    ("plumbing/cli.py", "", SPARE, EVERYTHING),
    ("plumbing/errors.py", "", SPARE, EVERYTHING),
    ("plumbing/files.py", "", SPARE, EVERYTHING),
    ("plumbing/random_streams.py", "", SPARE, {"simulate_panel": 2, "build_demo_model": 1, **PANEL, **SUMMARY}),
    # What a run is started with reaches the jobs as a whole, settings and code.
    ("plumbing/run_start.py", "", SPARE, {}),
    ("plumbing/lost_jobs.py", "", SPARE, {}),
    *((f"plumbing/{name}.py", "", SPARE, {}) for name in ("param_changes", "progress")),
    ("plumbing/code_digest.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("plumbing/remembered_digests.py", "", SPARE, {**MODELS, **SUMMARY}),
    # How a configuration is read and checked, and what a rule is given of it, is in the settings that it is given.
    ("settings/config.py", "", SPARE, {}),
    ("settings/reading.py", "", SPARE, {}),
    ("settings/checks.py", "", SPARE, {}),
    ("settings/uses.py", "", SPARE, {}),
    ("settings/pages.py", "", SPARE, {}),
    ("settings/roll_origins.py", "", SPARE, {}),
    ("settings/doctor.py", "", SPARE, {}),
    # Runs beside each other are no part of one.
    *((f"settings/{name}.py", "", SPARE, {}) for name in ("compare_runs", "make_grid", "make_seeds", "several_runs")),
    ("settings/config_files.py", "", SPARE, {}),
    ("plumbing/base_run.py", "", SPARE, {}),
    ("plumbing/flat_settings.py", "", SPARE, SUMMARY),
    ("holdings/evaluation/run_comparison.py", "", SPARE, {}),
    ("holdings/report/runs_figure.py", "", SPARE, {}),
    ("holdings/report/runs_page.py", "", SPARE, {}),
    ("training/trainer.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("training/options.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("training/validation.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("training/watchdog.py", "", SPARE, {**MODELS, **SUMMARY}),
    # ms-swift's process alone imports it; what it decides by is in validation.py.
    ("training/early_stopping.py", "", SPARE, {}),
    # Targets of their own.
    ("training/answers.py", "", SPARE, {}),
    ("training/likelihood.py", "", SPARE, {}),
    ("holdings/evaluation/probes.py", "", SPARE, {}),
    ("holdings/texts/probe_answers.py", "", SPARE, {}),
    ("holdings/texts/probe_prompts.py", "", SPARE, {}),
    ("holdings/report/probes_page.py", "", SPARE, {}),
    ("holdings/windows/newest.py", "", SPARE, {}),
    ("holdings/forecasts/next_quarter.py", "", SPARE, {}),
    ("holdings/forecasts/ledger.py", "", SPARE, {}),
    ("holdings/evaluation/ledger_scores.py", "", SPARE, {}),
    ("plumbing/project_version.py", "", SPARE, {}),
    ("training/training_settings.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("training/store.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("training/checkpoints.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("training/base_model.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("training/generation.py", "", SPARE, {"generate_completions": 6, **SCORES, **EVALUATION, **SUMMARY}),
    ("training/own_adapters.py", "", SPARE, {"generate_completions": 6, **SCORES, **EVALUATION, **SUMMARY}),
    ("training/methods.py", "", SPARE, {}),
    ("training/hardware.py", "", SPARE, {**MODELS, **SUMMARY}),
    ("training/prompt_lengths.py", "", SPARE, {**GRPO, **SUMMARY}),
    ("training/arguments.py", "", SPARE, {}),
    ("training/model_card.py", "", SPARE, {"write_model_card": 4, "all": 1}),
    ("training/demo_model.py", "", SPARE, {"build_demo_model": 1, **MODELS, **SUMMARY}),
    ("training/demo_settings.py", "", SPARE, {"build_demo_model": 1, **MODELS, **SUMMARY}),
    ("merge_adapter.py", "", SPARE, {**GRPO, "merge_adapter": 2, **SUMMARY}),
    ("generate_completions.py", "", SPARE, {"generate_completions": 6, **SCORES, **EVALUATION, **SUMMARY}),
]  # fmt: skip
