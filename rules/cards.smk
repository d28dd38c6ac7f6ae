# The cards beside datasets and adapters, with which each can be understood, loaded and shared alone.
# Required inputs: datasets/{split}.jsonl; adapters/{stage}/manifest.json. Outputs: README.md beside each
# Steps: write_dataset_card, write_model_card


rule write_dataset_card:
    input:
        expand("<results>/{{firm_type}}/datasets/{split}.jsonl", split=[*LEARNT_SPLITS, SPLITS[-1]]),
    output:
        "<results>/{firm_type}/datasets/README.md",
    log:
        "<results>/logs/write_dataset_card/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/write_dataset_card/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.write_dataset_card"),
        settings=settings_of("write_dataset_card"),
    shell:
        logged(r"""
            python -m workflow_scripts.write_dataset_card \
                --datasets {input:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule write_model_card:
    input:
        "<results>/{firm_type}/adapters/{stage}/manifest.json",
    output:
        "<results>/{firm_type}/adapters/{stage}/README.md",
    log:
        "<results>/logs/write_model_card/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/write_model_card/{firm_type}.{stage}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.write_model_card"),
        settings=settings_of("write_model_card"),
    shell:
        logged(r"""
            python -m workflow_scripts.write_model_card \
                --manifest {input:q} \
                --settings {params.settings:q} \
                --out {output:q}
            """)
