# Forecasters that need no language model, and the search for leaks: both before anything is trained.
# Required inputs: samples/*.parquet, datasets/*.jsonl. Outputs: predictions/{baseline}.csv, audit.csv
# Steps: predict_baselines -> audit_leakage, which stops the run where it finds one


rule predict_baselines:
    input:
        train=expand("<results>/{{firm_type}}/samples/{split}.parquet", split=["sft", "grpo"]),
        test="<results>/{firm_type}/samples/test.parquet",
    output:
        expand(
            "<results>/{{firm_type}}/predictions/{forecaster}.csv",
            forecaster=[name for name in FORECASTERS if name not in STAGES],
        ),
    log:
        "<results>/logs/predict_baselines/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/predict_baselines/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.predict_baselines"),
        target=config["prompts"]["target"],
        # What the oracle of a simulated panel knows.
        oracle=lambda wildcards: to_json(
            {"drift": config["simulation"]["drift"][wildcards.firm_type], **pick("simulation", "persistence")}
            if IS_SIMULATED
            else {}
        ),
    shell:
        "python -m workflow_scripts.predict_baselines --train {input.train:q} --test {input.test:q} "
        "--firm-type {wildcards.firm_type} --target {params.target} --oracle {params.oracle:q} --out {output:q} 2>&1 | tee {log:q}"


rule audit_leakage:
    input:
        panel=panel_slice,
        tickers=config["prompts"]["ticker_mapping"] or [],
        samples=expand("<results>/{{firm_type}}/samples/{split}.parquet", split=SPLITS),
        datasets=expand("<results>/{{firm_type}}/datasets/{split}.jsonl", split=SPLITS),
        predictions=expand("<results>/{{firm_type}}/predictions/{forecaster}.csv", forecaster=BASELINES),
    output:
        "<results>/{firm_type}/audit.csv",
    log:
        "<results>/logs/audit_leakage/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/audit_leakage/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.audit_leakage"),
        tickers="--tickers" if config["prompts"]["ticker_mapping"] else "",
        settings=as_json(prompt_settings()),
        style=as_json({**pick("labels", "decimals", "think_template"), "exemplar_template": exemplar_template()}),
        splits=as_json({split: [config["splits"][split][side] for side in ("start", "end")] for split in SPLITS}),
        embargo_quarters=config["splits"]["embargo_quarters"],
        seed=config["seed"],
    shell:
        "python -m workflow_scripts.audit_leakage --panel {input.panel:q} --samples {input.samples:q} --datasets {input.datasets:q} "
        "--predictions {input.predictions:q} {params.tickers} {input.tickers:q} --firm-type {wildcards.firm_type} "
        "--settings {params.settings:q} --style {params.style:q} --splits {params.splits:q} "
        "--embargo-quarters {params.embargo_quarters} --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"
