# Windows, samples, prompts and the three datasets of a firm type.
# Required inputs: the checked slice. Outputs: <results>/{firm_type}/datasets/{sft,grpo,test}.jsonl
# Steps: build_windows, build_stock_quarters -> sample_windows (per split) -> build_prompts (per split) -> build_*_dataset


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
    shell:
        logged(r"""
            python -m workflow_scripts.build_stock_quarters \
                --panel {input.panel:q} \
                --firm-type {wildcards.firm_type} \
                --out {output:q}
            """)


rule sample_windows:
    input:
        panel=panel_slice,
        windows="<results>/{firm_type}/windows.parquet",
        stocks="<results>/{firm_type}/stock_quarters.parquet",
    output:
        sample="<results>/{firm_type}/samples/{split}.parquet",
        report="<results>/{firm_type}/samples/{split}.json",
    log:
        "<results>/logs/sample_windows/{firm_type}.{split}.log",
    benchmark:
        "<results>/benchmarks/sample_windows/{firm_type}.{split}.tsv"
    params:
        code=code_of("workflow_scripts.sample_windows"),
        settings=settings_of("sample_windows"),
    shell:
        logged(r"""
            python -m workflow_scripts.sample_windows \
                --panel {input.panel:q} \
                --windows {input.windows:q} \
                --stocks {input.stocks:q} \
                --firm-type {wildcards.firm_type} \
                --split {wildcards.split} \
                --settings {params.settings:q} \
                --out {output.sample:q} \
                --report {output.report:q}
            """)


rule build_prompts:
    input:
        sample="<results>/{firm_type}/samples/{split}.parquet",
        tickers=tickers,
    output:
        "<results>/{firm_type}/prompts/{split}.jsonl",
    log:
        "<results>/logs/build_prompts/{firm_type}.{split}.log",
    benchmark:
        "<results>/benchmarks/build_prompts/{firm_type}.{split}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.build_prompts"),
        settings=settings_of("build_prompts"),
    shell:
        logged(r"""
            python -m workflow_scripts.build_prompts \
                --sample {input.sample:q} \
                --tickers {input.tickers:q} \
                --firm-type {wildcards.firm_type} \
                --split {wildcards.split} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule build_sft_dataset:
    input:
        prompts="<results>/{firm_type}/prompts/sft.jsonl",
        sample="<results>/{firm_type}/samples/sft.parquet",
    output:
        dataset="<results>/{firm_type}/datasets/sft.jsonl",
        report="<results>/{firm_type}/datasets/sft.json",
    log:
        "<results>/logs/build_sft_dataset/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_sft_dataset/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.build_sft_dataset"),
        settings=settings_of("build_sft_dataset"),
    shell:
        logged(r"""
            python -m workflow_scripts.build_sft_dataset \
                --prompts {input.prompts:q} \
                --sample {input.sample:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output.dataset:q} \
                --report {output.report:q}
            """)


rule build_grpo_dataset:
    input:
        prompts="<results>/{firm_type}/prompts/grpo.jsonl",
        sample="<results>/{firm_type}/samples/grpo.parquet",
    output:
        "<results>/{firm_type}/datasets/grpo.jsonl",
    log:
        "<results>/logs/build_grpo_dataset/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_grpo_dataset/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.build_grpo_dataset"),
        settings=settings_of("build_grpo_dataset"),
    shell:
        logged(r"""
            python -m workflow_scripts.build_grpo_dataset \
                --prompts {input.prompts:q} \
                --sample {input.sample:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule build_test_dataset:
    input:
        prompts="<results>/{firm_type}/prompts/test.jsonl",
        sample="<results>/{firm_type}/samples/test.parquet",
    output:
        "<results>/{firm_type}/datasets/test.jsonl",
    log:
        "<results>/logs/build_test_dataset/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_test_dataset/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.build_test_dataset"),
    shell:
        logged(r"""
            python -m workflow_scripts.build_test_dataset \
                --prompts {input.prompts:q} \
                --sample {input.sample:q} \
                --firm-type {wildcards.firm_type} \
                --out {output:q}
            """)
