# Whether a stage answers the same however it is loaded; nothing else needs this.
# Required inputs: the models, adapters/{stage}/, datasets/test.jsonl. Outputs: answers/{stage}.csv
# Steps: merge_adapter -> check_answers


rule check_answers:
    input:
        stage_inputs,
        merged="<results>/{firm_type}/merged/{stage}",
        dataset="<results>/{firm_type}/datasets/test.jsonl",
    output:
        "<results>/{firm_type}/answers/{stage}.csv",
    log:
        "<results>/logs/check_answers/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/check_answers/{firm_type}.{stage}.tsv"
    wildcard_constraints:
        stage="|".join(TRAINED_STAGES),
    resources:
        **gpu_resources(1),
    params:
        code=code_of("workflow_scripts.check_answers"),
        model=own_content,
        settings=settings_of("check_answers"),
        adapter=stage_adapter,
    shell:
        logged(r"""
            python -m workflow_scripts.check_answers \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --dataset {input.dataset:q} \
                --adapter {params.adapter:q} \
                --merged {input.merged:q} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule answers:
    input:
        expand("<results>/{firm_type}/answers/{stage}.csv", firm_type=FIRM_TYPES, stage=NEEDED_STAGES),
    localrule: True
