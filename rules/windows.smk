# Windows of a firm type and the stratified sample of them.
# Required inputs: the checked slice. Outputs: {windows,stock_quarters,manager_quarters}.parquet, samples/{split}.parquet, histories/{split}.parquet, training_windows/{split}.parquet
# Steps: build_windows, build_quarters -> sample_windows (per split), collect_training_windows


# In the order in which they are given.
WINDOW_TABLES = [
    f"<results>/{{firm_type}}/{name}.parquet" for name in ("windows", "stock_quarters", "manager_quarters")
]


rule build_windows:
    input:
        panel=panel_slice,
        # Says whether the slice is sorted, and keeps an unchecked slice out.
        report="<results>/{firm_type}/panel_report.json",
    output:
        "<results>/{firm_type}/windows.parquet",
    log:
        "<results>/logs/build_windows/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_windows/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.build_windows"),
        content=content_of(panel_slice),
        settings=settings_of("build_windows"),
    shell:
        logged(r"""
            python -m workflow_scripts.build_windows \
                --panel {input.panel:q} \
                --report {input.report:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule build_quarters:
    input:
        panel=panel_slice,
        # Keeps an unchecked slice out.
        report="<results>/{firm_type}/panel_report.json",
    output:
        stocks="<results>/{firm_type}/stock_quarters.parquet",
        managers="<results>/{firm_type}/manager_quarters.parquet",
    log:
        "<results>/logs/build_quarters/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_quarters/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.build_quarters"),
        content=content_of(panel_slice),
    shell:
        logged(r"""
            python -m workflow_scripts.build_quarters \
                --panel {input.panel:q} \
                --firm-type {wildcards.firm_type} \
                --stocks {output.stocks:q} \
                --managers {output.managers:q}
            """)


rule sample_windows:
    input:
        panel=panel_slice,
        tables=WINDOW_TABLES,
    output:
        sample="<results>/{firm_type}/samples/{split}.parquet",
        # The panel rows of the sampled pairs: the audits need not read the slice again.
        history="<results>/{firm_type}/histories/{split}.parquet",
        report="<results>/{firm_type}/samples/{split}.json",
    log:
        "<results>/logs/sample_windows/{firm_type}.{split}.log",
    benchmark:
        "<results>/benchmarks/sample_windows/{firm_type}.{split}.tsv"
    params:
        code=code_of("workflow_scripts.sample_windows"),
        content=content_of(panel_slice),
        settings=settings_of("sample_windows"),
    shell:
        logged(r"""
            python -m workflow_scripts.sample_windows \
                --panel {input.panel:q} \
                --tables {input.tables:q} \
                --firm-type {wildcards.firm_type} \
                --split {wildcards.split} \
                --settings {params.settings:q} \
                --out {output.sample:q} {output.history:q} \
                --report {output.report:q}
            """)


# Of all splits that a baseline learns from, in their order: whoever reads one reads all.
TRAINING_WINDOWS = [f"<results>/{{firm_type}}/training_windows/{split}.parquet" for split in SPLITS[:-1]]


rule collect_training_windows:
    input:
        panel=panel_slice,
        tables=WINDOW_TABLES,
    output:
        TRAINING_WINDOWS,
    log:
        "<results>/logs/collect_training_windows/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/collect_training_windows/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.collect_training_windows"),
        content=content_of(panel_slice),
        settings=settings_of("collect_training_windows"),
    shell:
        logged(r"""
            python -m workflow_scripts.collect_training_windows \
                --panel {input.panel:q} \
                --tables {input.tables:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)
