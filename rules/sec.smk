# A panel from the SEC's Form 13F data sets (`panel: sec`).
# Required inputs: {config.sec.zips}/*form13f*.zip
# Outputs: <results>/sec/{positions,managers}.parquet, <results>/sec/filings.{csv,txt},
#   <results>/sec/{stocks,tickers,manager_types}.csv, <results>/sec/panel.{json,txt}, <results>/panel/{firm_type}.parquet
# Steps: read_sec_zip (one job per zip) -> build_sec_positions -> build_sec_panel

if IS_SEC:

    rule read_sec_zip:
        input:
            sec_zip,
        output:
            positions="<results>/sec/zips/{zip_name}.positions.parquet",
            filings="<results>/sec/zips/{zip_name}.filings.parquet",
        log:
            "<results>/logs/read_sec_zip/{zip_name}.log",
        benchmark:
            "<results>/benchmarks/read_sec_zip/{zip_name}.tsv"
        wildcard_constraints:
            zip_name=any_of(SEC_ZIPS),
        params:
            code=code_of("workflow_scripts.read_sec_zip"),
            content=content_of(sec_zip),
        shell:
            logged(r"""
                python -m workflow_scripts.read_sec_zip \
                    --zip {input:q} \
                    --positions {output.positions:q} \
                    --filings {output.filings:q}
                """)

    rule build_sec_positions:
        input:
            positions=expand("<results>/sec/zips/{zip_name}.positions.parquet", zip_name=SEC_ZIPS),
            filings=expand("<results>/sec/zips/{zip_name}.filings.parquet", zip_name=SEC_ZIPS),
        output:
            positions="<results>/sec/positions.parquet",
            managers="<results>/sec/managers.parquet",
            filings="<results>/sec/filings.csv",
            text="<results>/sec/filings.txt",
        log:
            "<results>/logs/build_sec_positions.log",
        benchmark:
            "<results>/benchmarks/build_sec_positions.tsv"
        params:
            code=code_of("workflow_scripts.build_sec_positions"),
            settings=settings_of("build_sec_positions"),
            out=subpath(output.positions, parent=True),
        shell:
            logged(r"""
                python -m workflow_scripts.build_sec_positions \
                    --positions {input.positions:q} \
                    --filings {input.filings:q} \
                    --settings {params.settings:q} \
                    --out {params.out:q}
                """)

    # One job for all firm types, because prices are what all managers' positions imply.
    rule build_sec_panel:
        input:
            positions="<results>/sec/positions.parquet",
            managers="<results>/sec/managers.parquet",
            own=sec_files,
        output:
            slices=expand("<results>/panel/{firm_type}.parquet", firm_type=ALL_FIRM_TYPES),
            tables=multiext("<results>/sec/", "stocks.csv", "tickers.csv", "manager_types.csv"),
            report="<results>/sec/panel.json",
            text="<results>/sec/panel.txt",
        log:
            "<results>/logs/build_sec_panel.log",
        benchmark:
            "<results>/benchmarks/build_sec_panel.tsv"
        params:
            code=code_of("workflow_scripts.build_sec_panel"),
            content=content_of(sec_files),
            settings=settings_of("build_sec_panel"),
            slices=subpath(output[0], parent=True),
            out=subpath(output.text, parent=True),
        shell:
            logged(r"""
                python -m workflow_scripts.build_sec_panel \
                    --positions {input.positions:q} \
                    --managers {input.managers:q} \
                    --settings {params.settings:q} \
                    --slices {params.slices:q} \
                    --out {params.out:q}
                """)
