# Panel slices: simulated, imported, made of the SEC's files (sec.smk) or the user's, checked against the panel contract.
# Required inputs: {panel}/{firm_type}.parquet, or config.simulation, or config.import and its source.
# Outputs: <results>/{firm_type}/panel_report.{json,txt}, <results>/summary/panel.{csv,txt}
# Steps: simulate_panel (simulated) or import_panel (imported) -> check_panel -> add_exits (from_filings), summarize_panel

if IS_SIMULATED:

    rule simulate_panel:
        output:
            "<results>/panel/{firm_type}.parquet",
        log:
            "<results>/logs/simulate_panel/{firm_type}.log",
        benchmark:
            "<results>/benchmarks/simulate_panel/{firm_type}.tsv"
        params:
            code=code_of("workflow_scripts.simulate_panel"),
            settings=settings_of("simulate_panel"),
        shell:
            logged(r"""
                python -m workflow_scripts.simulate_panel \
                    --firm-type {wildcards.firm_type} \
                    --settings {params.settings:q} \
                    --out {output:q}
                """)


if IS_IMPORTED:

    # One job for all firm types, because the source is read once; those without rows get an empty slice.
    rule import_panel:
        input:
            import_source,
        output:
            slices=expand("<results>/panel/{firm_type}.parquet", firm_type=ALL_FIRM_TYPES),
            report="<results>/import_report.json",
            text="<results>/import_report.txt",
        log:
            "<results>/logs/import_panel.log",
        benchmark:
            "<results>/benchmarks/import_panel.tsv"
        params:
            code=code_of("workflow_scripts.import_panel"),
            content=content_of(import_source),
            settings=settings_of("import_panel"),
            out=subpath(output.report, parent=True),
        shell:
            logged(r"""
                python -m workflow_scripts.import_panel \
                    --settings {params.settings:q} \
                    --out {params.out:q}/panel \
                    --report {output.report:q} \
                    --text {output.text:q}
                """)


# Slices of the SEC's files.
include: "sec.smk"


rule check_panel:
    input:
        panel=source_slice,
    output:
        report="<results>/{firm_type}/panel_report.json",
        text="<results>/{firm_type}/panel_report.txt",
    log:
        "<results>/logs/check_panel/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/check_panel/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.check_panel"),
        content=content_of(source_slice),
        settings=settings_of("check_panel"),
    shell:
        logged(r"""
            python -m workflow_scripts.check_panel \
                --panel {input.panel:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output.report:q} \
                --text {output.text:q}
            """)


if ADDS_EXITS:

    rule add_exits:
        input:
            panel=source_slice,
            # Says whether the slice is sorted, and keeps an unchecked slice out.
            report="<results>/{firm_type}/panel_report.json",
            slices=sister_slices,
        output:
            "<results>/panel_with_exits/{firm_type}.parquet",
        log:
            "<results>/logs/add_exits/{firm_type}.log",
        benchmark:
            "<results>/benchmarks/add_exits/{firm_type}.tsv"
        params:
            code=code_of("workflow_scripts.add_exits"),
            content=content_of(sister_slices),
        shell:
            logged(r"""
                python -m workflow_scripts.add_exits \
                    --panel {input.panel:q} \
                    --report {input.report:q} \
                    --slices {input.slices:q} \
                    --firm-type {wildcards.firm_type} \
                    --out {output:q}
                """)


rule summarize_panel:
    input:
        expand("<results>/{firm_type}/panel_report.json", firm_type=FIRM_TYPES),
    output:
        multiext("<results>/summary/", "panel.csv", "panel.txt"),
    log:
        "<results>/logs/summarize_panel.log",
    benchmark:
        "<results>/benchmarks/summarize_panel.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.summarize_panel"),
        out=subpath(output[0], parent=True),
    shell:
        logged(r"""
            python -m workflow_scripts.summarize_panel \
                --reports {input:q} \
                --out {params.out:q}
            """)
