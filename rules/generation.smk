# Completions of the test prompts, on a GPU.
# Required inputs: the models, adapters/{stage}/, datasets/test.jsonl. Outputs: completions/{stage}.{jsonl,json}
# Steps: generate_completions (per stage)


rule generate_completions:
    input:
        stage_inputs,
        dataset="<results>/{firm_type}/datasets/test.jsonl",
    output:
        completions="<results>/{firm_type}/completions/{stage}.jsonl",
        conditions="<results>/{firm_type}/completions/{stage}.json",
    log:
        "<results>/logs/generate_completions/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/generate_completions/{firm_type}.{stage}.tsv"
    wildcard_constraints:
        stage=any_of([*STAGES, *CONFIG.adapters]),
    resources:
        **gpu_resources(1),
    params:
        code=code_of("workflow_scripts.generate_completions"),
        model=own_content,
        settings=settings_of("generate_completions"),
        # After an update of these packages all stages are completed again, because stages are compared under the same
        # versions only.
        versions=str(generation_versions(CONFIG.generation.backend)),
        adapter=stage_adapter,
        store=f"{RESULTS}/store/{{firm_type}}/completions",
    shell:
        logged(r"""
            python -m workflow_scripts.generate_completions \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --dataset {input.dataset:q} \
                --adapter {params.adapter:q} \
                --settings {params.settings:q} \
                --store {params.store:q} \
                --out {output.completions:q} \
                --conditions {output.conditions:q}
            """)
