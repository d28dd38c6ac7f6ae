# Forecasters that need no language model, and the search for leaks, which stops the run where it finds one.
# Required inputs: samples/*.parquet, datasets/*.jsonl. Outputs: predictions/{baseline}.csv, audit/{split,baselines}.csv
# Steps: audit_leakage (before training); predict_baselines -> audit_baselines (before evaluation)


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
        sample="<results>/{firm_type}/samples/{split}.parquet",
        dataset="<results>/{firm_type}/datasets/{split}.jsonl",
        samples=other_splits("<results>/{{firm_type}}/samples/{split}.parquet"),
        datasets=other_splits("<results>/{{firm_type}}/datasets/{split}.jsonl"),
    output:
        "<results>/{firm_type}/audit/{split}.csv",
    log:
        "<results>/logs/audit_leakage/{firm_type}.{split}.log",
    benchmark:
        "<results>/benchmarks/audit_leakage/{firm_type}.{split}.tsv"
    params:
        code=code_of("workflow_scripts.audit_leakage"),
        tickers="--tickers" if config["prompts"]["ticker_mapping"] else "",
        settings=as_json(prompt_settings()),
        style=audited_style,
        days=lambda wildcards: to_json([config["splits"][wildcards.split][side] for side in ("start", "end")]),
        next_start=lambda wildcards: following_start(wildcards.split),
        embargo_quarters=config["splits"]["embargo_quarters"],
        seed=config["seed"],
    shell:
        "python -m workflow_scripts.audit_leakage --panel {input.panel:q} --sample {input.sample:q} --dataset {input.dataset:q} "
        "--samples {input.samples:q} --datasets {input.datasets:q} "
        "{params.tickers} {input.tickers:q} --firm-type {wildcards.firm_type} --split {wildcards.split} "
        "--settings {params.settings:q} --style {params.style:q} --days {params.days:q} --next-start {params.next_start} "
        "--embargo-quarters {params.embargo_quarters} --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"


rule audit_baselines:
    input:
        panel=panel_slice,
        samples=expand("<results>/{{firm_type}}/samples/{split}.parquet", split=SPLITS),
        predictions=expand("<results>/{{firm_type}}/predictions/{forecaster}.csv", forecaster=BASELINES),
    output:
        "<results>/{firm_type}/audit/baselines.csv",
    log:
        "<results>/logs/audit_baselines/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/audit_baselines/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.audit_baselines"),
        target=config["prompts"]["target"],
        history_quarters=config["windows"]["history_quarters"],
        seed=config["seed"],
    shell:
        "python -m workflow_scripts.audit_baselines --panel {input.panel:q} --samples {input.samples:q} "
        "--predictions {input.predictions:q} --firm-type {wildcards.firm_type} --target {params.target} "
        "--history-quarters {params.history_quarters} --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"
