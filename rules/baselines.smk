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
    localrule: True
    params:
        code=code_of("workflow_scripts.predict_baselines"),
        settings=settings_of("predict_baselines"),
    shell:
        logged(r"""
            python -m workflow_scripts.predict_baselines \
                --train {input.train:q} \
                --test {input.test:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule audit_leakage:
    input:
        panel=panel_slice,
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
        settings=settings_of("audit_leakage"),
    shell:
        logged(r"""
            python -m workflow_scripts.audit_leakage \
                --panel {input.panel:q} \
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
        settings=settings_of("audit_baselines"),
    shell:
        logged(r"""
            python -m workflow_scripts.audit_baselines \
                --panel {input.panel:q} \
                --samples {input.samples:q} \
                --predictions {input.predictions:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)
