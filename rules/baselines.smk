# Forecasters that need no language model.
# Required inputs: samples/*.parquet. Outputs: predictions/{baseline}.csv
# Steps: predict_baselines


rule predict_baselines:
    input:
        train=expand("<results>/{{firm_type}}/samples/{split}.parquet", split=SPLITS[:-1]),
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
