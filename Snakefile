"""Holdings adjustment: panel -> windows -> samples -> prompts -> datasets -> adapters -> evaluation.

Targets: all (default), panel, datasets, adapters, evaluation, answers, probe, forecast, score_forecasts, metrics_trimmed,
metrics_by_period, or a file below results/{run}/. Settings: config/demo.yaml, or --configfile FILE (config/README.md).
"""

from snakemake.utils import min_version

min_version("9.27")


# The demo is what runs where no config file is given. It is not merged into another one: a key that this leaves out
# has its default, also in the jobs of a cluster, which read this file anew.
if not workflow.config_settings.configfiles:

    configfile: "config/demo.yaml"


# The configuration is read and checked first: nothing else may see an unchecked one.
include: "rules/start.smk"
include: "rules/common.smk"
include: "rules/inputs.smk"


pathvars:
    results=RESULTS,


include: "rules/panel.smk"
include: "rules/evaluation.smk"


if ROLLING_RUNS:

    include: "rules/rolling.smk"

else:

    include: "rules/windows.smk"
    include: "rules/datasets.smk"
    include: "rules/baselines.smk"
    include: "rules/audits.smk"
    include: "rules/training.smk"
    include: "rules/generation.smk"
    include: "rules/probes.smk"
    include: "rules/forecast.smk"


include: "rules/breakdowns.smk"
include: "rules/rewards.smk"
include: "rules/answers.smk"
include: "rules/report.smk"
include: "rules/store.smk"


report: "rules/report/workflow.rst"


wildcard_constraints:
    firm_type="|".join(FIRM_TYPES),
    split="|".join(SPLITS),
    stage="|".join(STAGES),


onstart:
    check_machine()
    let_base_run_go()
    watch_cluster()


onerror:
    tell_failures()


rule all:
    default_target: True
    input:
        "<results>/summary/report.html",
        "<results>/summary/panel.txt",
        "<results>/config.yaml",
        expand("<results>/{firm_type}/{folder}/README.md", firm_type=FIRM_TYPES, folder=CARD_FOLDERS),
    localrule: True


rule panel:
    input:
        "<results>/summary/panel.txt",
    localrule: True


rule datasets:
    input:
        expand("<results>/{firm_type}/datasets/{name}", firm_type=FIRM_TYPES, name=DATASET_FILES),
    localrule: True


rule adapters:
    input:
        expand(
            "<results>/{firm_type}/adapters/{stage}/{name}",
            firm_type=FIRM_TYPES,
            stage=NEEDED_STAGES,
            name=["adapter_model.safetensors", "README.md"],
        ),
    localrule: True


rule evaluation:
    input:
        expand(
            "<results>/{firm_type}/evaluation/{table}.csv",
            firm_type=FIRM_TYPES,
            table=["metrics", "comparisons", "distributions"],
        ),
    localrule: True


if workflow.is_main_process:
    check_targets()
    recall_outputs()
