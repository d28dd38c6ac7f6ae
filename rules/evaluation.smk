# The forecasts of completions, metrics and paired comparisons of a firm type.
# Required inputs: completions/{stage}.jsonl, datasets/test.jsonl, predictions of the baselines
# Outputs: predictions/{forecaster}.csv, evaluation/*.csv
# Steps: parse_predictions (per stage) -> evaluate_forecasts -> compare_forecasts


rule parse_predictions:
    input:
        completions="<results>/{firm_type}/completions/{stage}.jsonl",
        dataset="<results>/{firm_type}/datasets/test.jsonl",
    output:
        predictions="<results>/{firm_type}/predictions/{stage}.csv",
        faults="<results>/{firm_type}/evaluation/faults_{stage}.csv",
    log:
        "<results>/logs/parse_predictions/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/parse_predictions/{firm_type}.{stage}.tsv"
    wildcard_constraints:
        stage=any_of([*STAGES, *CONFIG.adapters]),
    localrule: True
    params:
        code=code_of("workflow_scripts.parse_predictions"),
        settings=settings_of("parse_predictions"),
    shell:
        logged(r"""
            python -m workflow_scripts.parse_predictions \
                --completions {input.completions:q} \
                --dataset {input.dataset:q} \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --settings {params.settings:q} \
                --out {output.predictions:q} \
                --faults {output.faults:q}
            """)


rule evaluate_forecasts:
    input:
        # Those of a rolling origin have been audited in their own runs.
        expand("<results>/{{firm_type}}/audit/{part}.csv", part=[] if ROLLING_RUNS else ["test", "baselines"]),
        dataset="<results>/{firm_type}/datasets/test.jsonl",
        predictions=expand("<results>/{{firm_type}}/predictions/{forecaster}.csv", forecaster=FORECASTERS),
        conditions=expand("<results>/{{firm_type}}/completions/{stage}.json", stage=MODELS),
    output:
        multiext(
            "<results>/{firm_type}/evaluation/",
            "forecasts.csv",
            "metrics.csv",
            "metrics_by_quarter.csv",
            "metrics_by_size.csv",
            "coverage.csv",
            "origins.csv",
        ),
    log:
        "<results>/logs/evaluate_forecasts/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/evaluate_forecasts/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.evaluate_forecasts"),
        settings=settings_of("evaluate_forecasts"),
        out=subpath(output[0], parent=True),
    shell:
        logged(r"""
            python -m workflow_scripts.evaluate_forecasts \
                --dataset {input.dataset:q} \
                --predictions {input.predictions:q} \
                --conditions {input.conditions:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {params.out:q}
            """)


rule compare_forecasts:
    input:
        forecasts="<results>/{firm_type}/evaluation/forecasts.csv",
        origins="<results>/{firm_type}/evaluation/origins.csv",
        choice="<results>/{firm_type}/evaluation/baseline_choice.csv",
    output:
        comparisons="<results>/{firm_type}/evaluation/comparisons.csv",
        skill="<results>/{firm_type}/evaluation/skill.csv",
        combinations="<results>/{firm_type}/evaluation/combinations.csv",
    log:
        "<results>/logs/compare_forecasts/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/compare_forecasts/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.compare_forecasts"),
        settings=settings_of("compare_forecasts"),
    shell:
        logged(r"""
            python -m workflow_scripts.compare_forecasts \
                --forecasts {input.forecasts:q} \
                --origins {input.origins:q} \
                --choice {input.choice:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)
