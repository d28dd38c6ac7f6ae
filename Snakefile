"""Holdings adjustment: panel -> windows -> samples -> prompts -> datasets -> adapters -> evaluation.

Targets: all (default), panel, datasets, adapters, evaluation, or any file below results/{run}/.
Settings: the embedded config/demo.yaml, or --configfile FILE; every key is in config/config.schema.yaml.
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/demo.yaml"


# Types, schema and cross-checks come first: nothing else may see an unchecked config.
include: "rules/common.smk"


pathvars:
    results=RESULTS,


include: "rules/panel.smk"
include: "rules/datasets.smk"
include: "rules/baselines.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/report.smk"


report: "rules/report/workflow.rst"


wildcard_constraints:
    firm_type="|".join(FIRM_TYPES),
    split="|".join(SPLITS),
    stage="|".join(STAGES),


localrules:
    all,
    panel,
    datasets,
    adapters,
    evaluation,
    # Seconds of work on small files, not worth a place in a queue. What reads a whole slice is a job.
    write_config,
    summarize_panel,
    build_prompts,
    build_sft_dataset,
    build_grpo_dataset,
    build_test_dataset,
    parse_predictions,
    predict_baselines,
    audit_leakage,
    audit_baselines,
    preflight_rewards,
    score_rewards,
    evaluate_forecasts,
    compare_forecasts,
    plot_forecasts,
    summarize_training,
    summarize_run,
    check_arguments,
    list_store,
    clean_store,


rule all:
    default_target: True
    input:
        "<results>/summary/report.html",
        "<results>/summary/panel.txt",
        "<results>/config.yaml",


rule panel:
    input:
        "<results>/summary/panel.txt",


rule datasets:
    input:
        expand("<results>/{firm_type}/datasets/{split}.jsonl", firm_type=FIRM_TYPES, split=SPLITS),


rule adapters:
    input:
        expand(
            "<results>/{firm_type}/adapters/{stage}/adapter_model.safetensors",
            firm_type=FIRM_TYPES,
            stage=["sft", "grpo"],
        ),


rule evaluation:
    input:
        expand(
            "<results>/{firm_type}/evaluation/{table}.csv",
            firm_type=FIRM_TYPES,
            table=["metrics", "comparisons"],
        ),
