# Checks that stop a run before it wastes a GPU or reports a worthless result: leaks, misspelt arguments, rewards that
# do not prefer the truth.
# Required inputs: windows.parquet, {samples,training_windows}/*.parquet, histories/*.parquet, stock_quarters.parquet, datasets/*.jsonl, predictions of the baselines
# Outputs: audit/{split,sample_{split},baselines}.csv, arguments/{stage}.json, preflight/{stage}.csv
# Steps: audit_sample, audit_leakage, check_arguments, preflight_rewards (before training); audit_baselines (before evaluation)


rule audit_sample:
    input:
        windows="<results>/{firm_type}/windows.parquet",
        stocks="<results>/{firm_type}/stock_quarters.parquet",
        sample="<results>/{firm_type}/samples/{split}.parquet",
        history="<results>/{firm_type}/histories/{split}.parquet",
    output:
        "<results>/{firm_type}/audit/sample_{split}.csv",
    log:
        "<results>/logs/audit_sample/{firm_type}.{split}.log",
    benchmark:
        "<results>/benchmarks/audit_sample/{firm_type}.{split}.tsv"
    params:
        code=code_of("workflow_scripts.audit_sample"),
        settings=settings_of("audit_sample"),
    shell:
        logged(r"""
            python -m workflow_scripts.audit_sample \
                --windows {input.windows:q} \
                --stocks {input.stocks:q} \
                --sample {input.sample:q} {input.history:q} \
                --firm-type {wildcards.firm_type} \
                --split {wildcards.split} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule audit_leakage:
    input:
        # What labels have chosen need not be looked at further.
        "<results>/{firm_type}/audit/sample_{split}.csv",
        history="<results>/{firm_type}/histories/{split}.parquet",
        stocks="<results>/{firm_type}/stock_quarters.parquet",
        tickers=tickers,
        samples=audited_splits("<results>/{{firm_type}}/samples/{split}.parquet"),
        datasets=audited_splits("<results>/{{firm_type}}/datasets/{split}.jsonl"),
    output:
        "<results>/{firm_type}/audit/{split}.csv",
    log:
        "<results>/logs/audit_leakage/{firm_type}.{split}.log",
    benchmark:
        "<results>/benchmarks/audit_leakage/{firm_type}.{split}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.audit_leakage"),
        content=content_of(tickers),
        settings=settings_of("audit_leakage"),
    shell:
        logged(r"""
            python -m workflow_scripts.audit_leakage \
                --data {input.history:q} {input.stocks:q} \
                --samples {input.samples:q} \
                --datasets {input.datasets:q} \
                --tickers {input.tickers:q} \
                --firm-type {wildcards.firm_type} \
                --split {wildcards.split} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule audit_baselines:
    input:
        panel=panel_slice,
        stocks="<results>/{firm_type}/stock_quarters.parquet",
        train=TRAINING_WINDOWS,
        histories=expand("<results>/{{firm_type}}/histories/{split}.parquet", split=SPLITS),
        samples=expand("<results>/{{firm_type}}/samples/{split}.parquet", split=SPLITS),
        predictions=expand("<results>/{{firm_type}}/predictions/{forecaster}.csv", forecaster=BASELINES),
    output:
        "<results>/{firm_type}/audit/baselines.csv",
    log:
        "<results>/logs/audit_baselines/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/audit_baselines/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.audit_baselines"),
        content=content_of(panel_slice),
        settings=settings_of("audit_baselines"),
    shell:
        logged(r"""
            python -m workflow_scripts.audit_baselines \
                --panel {input.panel:q} {input.stocks:q} \
                --train {input.train:q} \
                --histories {input.histories:q} \
                --samples {input.samples:q} \
                --predictions {input.predictions:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule check_arguments:
    output:
        "<results>/arguments/{stage}.json",
    log:
        "<results>/logs/check_arguments/{stage}.log",
    benchmark:
        "<results>/benchmarks/check_arguments/{stage}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.check_arguments"),
        settings=settings_of("check_arguments"),
    shell:
        logged(r"""
            python -m workflow_scripts.check_arguments \
                --stage {wildcards.stage} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule preflight_rewards:
    input:
        dataset=stage_dataset,
    output:
        "<results>/{firm_type}/preflight/{stage}.csv",
    log:
        "<results>/logs/preflight_rewards/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/preflight_rewards/{firm_type}.{stage}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.preflight_rewards", further=stage_rewards),
        plugins=content_of(stage_plugins),
        settings=settings_of("preflight_rewards"),
    shell:
        logged(r"""
            python -m workflow_scripts.preflight_rewards \
                --dataset {input.dataset:q} \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --settings {params.settings:q} \
                --out {output:q}
            """)
