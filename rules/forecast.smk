# The forecast of the quarter after the panel's newest one, and its record. Nothing else needs this.
# Required inputs: the checked slice and its tables, the models, adapters/{stage}/, training_windows/, evaluation/metrics.csv
# Outputs: {firm_type}/forecast/*
# Steps: sample_forecast_windows -> build_forecast_prompts -> generate_forecasts (on a GPU), parse_forecasts (per stage);
#   predict_forecast_baselines -> write_forecasts; ledger.smk publishes and scores


include: "ledger.smk"


rule sample_forecast_windows:
    input:
        panel=panel_slice,
        tables=WINDOW_TABLES,
    output:
        sample="<results>/{firm_type}/forecast/sample.parquet",
        report="<results>/{firm_type}/forecast/sample.json",
    log:
        "<results>/logs/sample_forecast_windows/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/sample_forecast_windows/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.sample_forecast_windows"),
        content=content_of(panel_slice),
        settings=settings_of("sample_forecast_windows"),
    shell:
        logged(r"""
            python -m workflow_scripts.sample_forecast_windows \
                --panel {input.panel:q} \
                --tables {input.tables:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output.sample:q} \
                --report {output.report:q}
            """)


rule build_forecast_prompts:
    input:
        sample="<results>/{firm_type}/forecast/sample.parquet",
        tickers=tickers,
    output:
        "<results>/{firm_type}/forecast/prompts.jsonl",
    log:
        "<results>/logs/build_forecast_prompts/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_forecast_prompts/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.build_forecast_prompts"),
        content=content_of(tickers),
        settings=settings_of("build_forecast_prompts"),
    shell:
        logged(r"""
            python -m workflow_scripts.build_forecast_prompts \
                --sample {input.sample:q} \
                --tickers {input.tickers:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


# By the modules, with the settings and from the store of the test windows.
use rule generate_completions as generate_forecasts with:
    input:
        stage_inputs,
        dataset="<results>/{firm_type}/forecast/prompts.jsonl",
    output:
        completions="<results>/{firm_type}/forecast/completions/{stage}.jsonl",
        conditions="<results>/{firm_type}/forecast/completions/{stage}.json",
    log:
        "<results>/logs/generate_forecasts/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/generate_forecasts/{firm_type}.{stage}.tsv"


use rule parse_predictions as parse_forecasts with:
    input:
        completions="<results>/{firm_type}/forecast/completions/{stage}.jsonl",
        dataset="<results>/{firm_type}/forecast/prompts.jsonl",
    output:
        predictions="<results>/{firm_type}/forecast/predictions/{stage}.csv",
        faults="<results>/{firm_type}/forecast/faults/{stage}.csv",
    log:
        "<results>/logs/parse_forecasts/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/parse_forecasts/{firm_type}.{stage}.tsv"


# The oracle knows the law of a simulated panel: it is no forecaster.
use rule predict_baselines as predict_forecast_baselines with:
    input:
        train=TRAINING_WINDOWS,
        later=f"<results>/{{firm_type}}/samples/{SPLITS[-2]}.parquet",
        test="<results>/{firm_type}/forecast/sample.parquet",
    output:
        expand("<results>/{{firm_type}}/forecast/predictions/{forecaster}.csv", forecaster=BASELINES),
    log:
        "<results>/logs/predict_forecast_baselines/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/predict_forecast_baselines/{firm_type}.tsv"


rule write_forecasts:
    input:
        sample="<results>/{firm_type}/forecast/sample.parquet",
        report="<results>/{firm_type}/forecast/sample.json",
        predictions=expand(
            "<results>/{{firm_type}}/forecast/predictions/{forecaster}.csv", forecaster=[*BASELINES, *MODELS]
        ),
        conditions=expand("<results>/{{firm_type}}/forecast/completions/{stage}.json", stage=MODELS),
        metrics="<results>/{firm_type}/evaluation/metrics.csv",
        tickers=tickers,
    output:
        forecasts="<results>/{firm_type}/forecast/forecasts.csv",
        accuracy="<results>/{firm_type}/forecast/accuracy.csv",
        entry="<results>/{firm_type}/forecast/entry.json",
        dictionary="<results>/{firm_type}/forecast/data_dictionary.csv",
    log:
        "<results>/logs/write_forecasts/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/write_forecasts/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.write_forecasts"),
        content=content_of(tickers),
    shell:
        logged(r"""
            python -m workflow_scripts.write_forecasts \
                --sample {input.sample:q} \
                --report {input.report:q} \
                --predictions {input.predictions:q} \
                --conditions {input.conditions:q} \
                --metrics {input.metrics:q} \
                --tickers {input.tickers:q} \
                --out {output:q}
            """)
