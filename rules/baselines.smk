# Forecasters that need no language model here: baselines, and the user's own files of forecasts.
# Required inputs: training_windows/*.parquet, samples/{grpo,test}.parquet, datasets/test.jsonl
# Outputs: predictions/{baseline}.csv, evaluation/baseline_choice.csv, predictions/{name}.csv
# Steps: predict_baselines; choose_baseline; import_forecasts


rule predict_baselines:
    input:
        train=TRAINING_WINDOWS,
        # Drawn as the test windows are.
        later=f"<results>/{{firm_type}}/samples/{SPLITS[-2]}.parquet",
        test="<results>/{firm_type}/samples/test.parquet",
    output:
        expand(
            "<results>/{{firm_type}}/predictions/{forecaster}.csv",
            forecaster=[*BASELINES, *([ORACLE] if IS_SIMULATED else [])],
        ),
    log:
        "<results>/logs/predict_baselines/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/predict_baselines/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.predict_baselines"),
        settings=settings_of("predict_baselines"),
    shell:
        logged(r"""
            python -m workflow_scripts.predict_baselines \
                --train {input.train:q} \
                --later {input.later:q} \
                --test {input.test:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule choose_baseline:
    input:
        sft="<results>/{firm_type}/training_windows/sft.parquet",
        grpo="<results>/{firm_type}/training_windows/grpo.parquet",
    output:
        "<results>/{firm_type}/evaluation/baseline_choice.csv",
    log:
        "<results>/logs/choose_baseline/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/choose_baseline/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.choose_baseline"),
        settings=settings_of("choose_baseline"),
    shell:
        logged(r"""
            python -m workflow_scripts.choose_baseline \
                --sft {input.sft:q} \
                --grpo {input.grpo:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule import_forecasts:
    input:
        forecasts=own_forecasts,
        dataset="<results>/{firm_type}/datasets/test.jsonl",
    output:
        "<results>/{firm_type}/predictions/{forecaster}.csv",
    log:
        "<results>/logs/import_forecasts/{firm_type}.{forecaster}.log",
    benchmark:
        "<results>/benchmarks/import_forecasts/{firm_type}.{forecaster}.tsv"
    wildcard_constraints:
        forecaster=any_of(CONFIG.forecasts),
    localrule: True
    params:
        code=code_of("workflow_scripts.import_forecasts"),
        content=content_of(own_forecasts),
    shell:
        logged(r"""
            python -m workflow_scripts.import_forecasts \
                --forecasts {input.forecasts:q} \
                --dataset {input.dataset:q} \
                --firm-type {wildcards.firm_type} \
                --forecaster {wildcards.forecaster} \
                --out {output:q}
            """)
