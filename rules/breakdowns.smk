# The same metrics on parts of the test windows, each table from the forecasts alone: another setting makes it anew.
# Required inputs: evaluation/forecasts.csv. Outputs: evaluation/metrics_trimmed.csv, evaluation/metrics_by_period.csv
# Steps: trim_metrics, score_periods


rule trim_metrics:
    input:
        "<results>/{firm_type}/evaluation/forecasts.csv",
    output:
        "<results>/{firm_type}/evaluation/metrics_trimmed.csv",
    log:
        "<results>/logs/trim_metrics/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/trim_metrics/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.trim_metrics"),
        settings=settings_of("trim_metrics"),
    shell:
        logged(r"""
            python -m workflow_scripts.trim_metrics \
                --forecasts {input:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule score_periods:
    input:
        "<results>/{firm_type}/evaluation/forecasts.csv",
    output:
        "<results>/{firm_type}/evaluation/metrics_by_period.csv",
    log:
        "<results>/logs/score_periods/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/score_periods/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.score_periods"),
        settings=settings_of("score_periods"),
    shell:
        logged(r"""
            python -m workflow_scripts.score_periods \
                --forecasts {input:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule metrics_trimmed:
    input:
        expand("<results>/{firm_type}/evaluation/metrics_trimmed.csv", firm_type=FIRM_TYPES),
    localrule: True


rule metrics_by_period:
    input:
        expand("<results>/{firm_type}/evaluation/metrics_by_period.csv", firm_type=FIRM_TYPES),
    localrule: True
