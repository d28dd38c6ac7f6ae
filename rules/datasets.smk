# Prompts and the three datasets of a firm type.
# Required inputs: samples/{split}.parquet. Outputs: <results>/{firm_type}/datasets/{sft,grpo,test}.jsonl
# Steps: build_prompts (per split) -> build_sft_dataset, build_grpo_dataset, build_test_dataset


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
        content=content_of(tickers),
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
