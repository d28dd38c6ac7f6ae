# Does a model know, or remember? Nothing else needs this.
# Required inputs: samples/test.parquet, the models, adapters/{stage}/, predictions/{stage}.csv
# Outputs: {firm_type}/probes/*, probes/{firm_type}.csv, probes/report.html
# Steps: build_probes -> generate_probes, rank_answers (both on a GPU, per stage) -> score_probes -> report_probes


rule build_probes:
    input:
        sample="<results>/{firm_type}/samples/test.parquet",
        tickers=tickers,
    output:
        questions="<results>/{firm_type}/probes/questions.jsonl",
        ranked="<results>/{firm_type}/probes/ranked.jsonl",
    log:
        "<results>/logs/build_probes/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/build_probes/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.build_probes"),
        content=content_of(tickers),
        settings=settings_of("build_probes"),
    shell:
        logged(r"""
            python -m workflow_scripts.build_probes \
                --sample {input.sample:q} \
                --tickers {input.tickers:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --questions {output.questions:q} \
                --ranked {output.ranked:q}
            """)


# Prompts like any others: by the same module, with the same settings, in the same store.
use rule generate_completions as generate_probes with:
    input:
        stage_inputs,
        dataset="<results>/{firm_type}/probes/questions.jsonl",
    output:
        completions="<results>/{firm_type}/probes/completions/{stage}.jsonl",
        conditions="<results>/{firm_type}/probes/completions/{stage}.json",
    log:
        "<results>/logs/generate_probes/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/generate_probes/{firm_type}.{stage}.tsv"


rule rank_answers:
    input:
        stage_inputs,
        ranked="<results>/{firm_type}/probes/ranked.jsonl",
    output:
        "<results>/{firm_type}/probes/log_probabilities/{stage}.jsonl",
    log:
        "<results>/logs/rank_answers/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/rank_answers/{firm_type}.{stage}.tsv"
    wildcard_constraints:
        stage=any_of([*STAGES, *CONFIG.adapters]),
    resources:
        **gpu_resources(1),
    params:
        code=code_of("workflow_scripts.rank_answers"),
        model=own_content,
        settings=settings_of("rank_answers"),
        versions=str(generation_versions("transformers")),
        adapter=stage_adapter,
        store=f"{RESULTS}/store/{{firm_type}}/completions",
    shell:
        logged(r"""
            python -m workflow_scripts.rank_answers \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --ranked {input.ranked:q} \
                --adapter {params.adapter:q} \
                --settings {params.settings:q} \
                --store {params.store:q} \
                --out {output:q}
            """)


rule score_probes:
    input:
        sample="<results>/{firm_type}/samples/test.parquet",
        probes=["<results>/{firm_type}/probes/questions.jsonl", "<results>/{firm_type}/probes/ranked.jsonl"],
        completions=expand("<results>/{{firm_type}}/probes/completions/{stage}.jsonl", stage=MODELS),
        log_probabilities=expand("<results>/{{firm_type}}/probes/log_probabilities/{stage}.jsonl", stage=MODELS),
        predictions=expand("<results>/{{firm_type}}/predictions/{stage}.csv", stage=MODELS),
    output:
        "<results>/probes/{firm_type}.csv",
    log:
        "<results>/logs/score_probes/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/score_probes/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.score_probes"),
        settings=settings_of("score_probes"),
    shell:
        logged(r"""
            python -m workflow_scripts.score_probes \
                --sample {input.sample:q} \
                --probes {input.probes:q} \
                --completions {input.completions:q} \
                --log-probabilities {input.log_probabilities:q} \
                --predictions {input.predictions:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule report_probes:
    input:
        template=expand("workflow_scripts/holdings/report/page.{part}", part=["html.j2", "css"]),
        tables=expand("<results>/probes/{firm_type}.csv", firm_type=FIRM_TYPES),
    output:
        page="<results>/probes/report.html",
        dictionary="<results>/probes/data_dictionary.csv",
    log:
        "<results>/logs/report_probes.log",
    benchmark:
        "<results>/benchmarks/report_probes.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.report_probes"),
        settings=settings_of("report_probes"),
    shell:
        logged(r"""
            python -m workflow_scripts.report_probes \
                --tables {input.tables:q} \
                --settings {params.settings:q} \
                --out {output.page:q} \
                --dictionary {output.dictionary:q}
            """)


rule probe:
    input:
        "<results>/probes/report.html",
    localrule: True
