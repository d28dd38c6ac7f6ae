# The test windows of the runs of a rolling origin, put together: everything from the completions on is then the usual.
# Required inputs: what the runs of evaluation.rolling_runs have made
# Outputs: datasets/test.jsonl, completions/{stage}.{jsonl,json}, predictions/{forecaster}.csv, evaluation/baseline_choice.csv
# Steps: pool_runs (instead of all that samples, trains and generates)


rule pool_runs:
    input:
        rolled_files,
        config="<results>/config.yaml",
    output:
        "<results>/{firm_type}/datasets/test.jsonl",
        expand("<results>/{{firm_type}}/completions/{stage}.{kind}", stage=MODELS, kind=["jsonl", "json"]),
        expand("<results>/{{firm_type}}/predictions/{forecaster}.csv", forecaster=NO_MODELS),
        "<results>/{firm_type}/evaluation/baseline_choice.csv",
    log:
        "<results>/logs/pool_runs/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/pool_runs/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.pool_runs"),
        content=content_of(rolled_files),
        settings=settings_of("pool_runs"),
        runs=[f"results/{run}" for run in ROLLING_RUNS],
        out=f"{RESULTS}/{{firm_type}}",
    shell:
        logged(r"""
            python -m workflow_scripts.pool_runs \
                --runs {params.runs:q} \
                --config {input.config:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {params.out:q}
            """)
