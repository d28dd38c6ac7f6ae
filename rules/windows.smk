# Windows of a firm type and the stratified sample of them.
# Required inputs: the checked slice. Outputs: {windows,stock_quarters,manager_quarters}.parquet, samples/{split}.parquet, histories/{split}.parquet, training_windows/{split}.parquet
# Steps: build_windows, build_stock_quarters -> build_manager_quarters -> sample_windows, collect_training_windows (per split)


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


rule build_stock_quarters:
    input:
        panel=panel_slice,
        # Keeps an unchecked slice out.
        report="<results>/{firm_type}/panel_report.json",
    output:
        "<results>/{firm_type}/stock_quarters.parquet",
    log:
        "<results>/logs/build_stock_quarters/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_stock_quarters/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.build_stock_quarters"),
        content=content_of(panel_slice),
    shell:
        logged(r"""
            python -m workflow_scripts.build_stock_quarters \
                --panel {input.panel:q} \
                --firm-type {wildcards.firm_type} \
                --out {output:q}
            """)


rule build_manager_quarters:
    input:
        panel=panel_slice,
        stocks="<results>/{firm_type}/stock_quarters.parquet",
    output:
        "<results>/{firm_type}/manager_quarters.parquet",
    log:
        "<results>/logs/build_manager_quarters/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_manager_quarters/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.build_manager_quarters"),
        content=content_of(panel_slice),
    shell:
        logged(r"""
            python -m workflow_scripts.build_manager_quarters \
                --panel {input.panel:q} \
                --stocks {input.stocks:q} \
                --firm-type {wildcards.firm_type} \
                --out {output:q}
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


rule collect_training_windows:
    input:
        panel=panel_slice,
        tables=WINDOW_TABLES,
    output:
        "<results>/{firm_type}/training_windows/{split}.parquet",
    log:
        "<results>/logs/collect_training_windows/{firm_type}.{split}.log",
    benchmark:
        "<results>/benchmarks/collect_training_windows/{firm_type}.{split}.tsv"
    wildcard_constraints:
        split=any_of(SPLITS[:-1]),
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
                --split {wildcards.split} \
                --settings {params.settings:q} \
                --out {output:q}
            """)
