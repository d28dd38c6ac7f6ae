# Tables beside the metrics, each from the forecasts alone, so that another setting makes it anew: the same metrics on
# parts of the test windows, and scores of forecasts that are distributions.
# Required inputs: evaluation/forecasts.csv, predictions/{forecaster}.csv
# Outputs: evaluation/{metrics_trimmed,metrics_by_period,distributions,reliability,pit}.csv
# Steps: trim_metrics, score_periods, evaluate_distributions


DISTRIBUTION_TABLES = ("distributions", "reliability", "pit")


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


rule evaluate_distributions:
    input:
        forecasts="<results>/{firm_type}/evaluation/forecasts.csv",
        predictions=expand("<results>/{{firm_type}}/predictions/{forecaster}.csv", forecaster=FORECASTERS),
    output:
        expand("<results>/{{firm_type}}/evaluation/{table}.csv", table=DISTRIBUTION_TABLES),
    log:
        "<results>/logs/evaluate_distributions/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/evaluate_distributions/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.evaluate_distributions"),
        settings=settings_of("evaluate_distributions"),
        out=subpath(output[0], parent=True),
    shell:
        logged(r"""
            python -m workflow_scripts.evaluate_distributions \
                --forecasts {input.forecasts:q} \
                --predictions {input.predictions:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {params.out:q}
            """)


rule metrics_trimmed:
    input:
        expand("<results>/{firm_type}/evaluation/metrics_trimmed.csv", firm_type=FIRM_TYPES),
    localrule: True


rule metrics_by_period:
    input:
        expand("<results>/{firm_type}/evaluation/metrics_by_period.csv", firm_type=FIRM_TYPES),
    localrule: True
