# The demo's base model and the adapters: the rules that want a GPU, and what is checked before they are queued.
# Required inputs: datasets/{sft,grpo}.jsonl, audit/{sft,grpo}.csv, the base model. Outputs: adapters/{sft,grpo}/, merged/sft/, preflight.csv
# Steps: check_arguments -> train_sft -> merge_adapter -> preflight_rewards -> train_grpo; write_model_card
#
# Checkpoints and finished results live in <results>/store, which no rule declares: Snakemake deletes the
# declared outputs of a failed job.

# A hub token reaches the jobs by the environment alone: it is no setting, and stands in no command and no log.
if "HF_TOKEN" in os.environ:

    envvars:
        "HF_TOKEN",


if IS_DEMO_MODEL:

    rule build_demo_model:
        output:
            directory("<results>/demo_model"),
        log:
            "<results>/logs/build_demo_model.log",
        benchmark:
            "<results>/benchmarks/build_demo_model.tsv"
        threads: 2
        params:
            code=code_of("workflow_scripts.build_demo_model"),
            settings=settings_of("build_demo_model"),
        shell:
            logged(r"""
                python -m workflow_scripts.build_demo_model \
                    --settings {params.settings:q} \
                    --threads {threads} \
                    --out {output:q}
                """)


rule check_arguments:
    output:
        "<results>/arguments/{stage}.json",
    log:
        "<results>/logs/check_arguments/{stage}.log",
    benchmark:
        "<results>/benchmarks/check_arguments/{stage}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.check_arguments"),
        settings=settings_of("check_arguments"),
    shell:
        logged(r"""
            python -m workflow_scripts.check_arguments \
                --stage {wildcards.stage} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule train_sft:
    input:
        base_model_input,
        arguments_checked("sft"),
        # A gate. Not ancient(): Snakemake then overlooks changed settings of all that follows in a run in which the gate
        # runs again. Its reasons to run again are reasons to train again, too.
        "<results>/{firm_type}/audit/sft.csv",
        dataset="<results>/{firm_type}/datasets/sft.jsonl",
    output:
        expand("<results>/{{firm_type}}/adapters/sft/{name}", name=PUBLISHED_FILES),
    log:
        "<results>/logs/train_sft/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/train_sft/{firm_type}.tsv"
    resources:
        gpu=CONFIG.sft.num_gpus,
    params:
        code=code_of("workflow_scripts.train_sft"),
        settings=settings_of("train_sft"),
        store=f"{RESULTS}/store/{{firm_type}}/sft",
        out=subpath(output[0], parent=True),
    shell:
        saved(r"""
            python -m workflow_scripts.train_sft \
                --firm-type {wildcards.firm_type} \
                --dataset {input.dataset:q} \
                --settings {params.settings:q} \
                --store {params.store:q} \
                --out {params.out:q}
            """)


rule merge_adapter:
    input:
        base_model_input,
        adapter="<results>/{firm_type}/adapters/sft/adapter_model.safetensors",
        adapter_config="<results>/{firm_type}/adapters/sft/adapter_config.json",
    output:
        directory("<results>/{firm_type}/merged/sft"),
    log:
        "<results>/logs/merge_adapter/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/merge_adapter/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.merge_adapter"),
        settings=settings_of("merge_adapter"),
        adapter=subpath(input.adapter, parent=True),
        export_log=f"{RESULTS}/logs/merge_adapter/{{firm_type}}.swift.log",
    shell:
        logged(r"""
            python -m workflow_scripts.merge_adapter \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --adapter {params.adapter:q} \
                --export-log {params.export_log:q} \
                --out {output:q}
            """)


rule preflight_rewards:
    input:
        dataset="<results>/{firm_type}/datasets/grpo.jsonl",
    output:
        "<results>/{firm_type}/preflight.csv",
    log:
        "<results>/logs/preflight_rewards/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/preflight_rewards/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.preflight_rewards", *map(module_of, CONFIG.grpo.rewards)),
        settings=settings_of("preflight_rewards"),
    shell:
        logged(r"""
            python -m workflow_scripts.preflight_rewards \
                --dataset {input.dataset:q} \
                --firm-type {wildcards.firm_type} \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule train_grpo:
    input:
        start_model_input,
        arguments_checked("grpo"),
        # Gates again.
        "<results>/{firm_type}/audit/grpo.csv",
        "<results>/{firm_type}/preflight.csv",
        dataset="<results>/{firm_type}/datasets/grpo.jsonl",
    output:
        expand("<results>/{{firm_type}}/adapters/grpo/{name}", name=PUBLISHED_FILES),
    log:
        "<results>/logs/train_grpo/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/train_grpo/{firm_type}.tsv"
    resources:
        gpu=CONFIG.grpo.num_gpus,
    params:
        code=code_of("workflow_scripts.train_grpo", REWARDS_PLUGIN, *map(module_of, CONFIG.grpo.rewards)),
        settings=settings_of("train_grpo"),
        store=f"{RESULTS}/store/{{firm_type}}/grpo",
        out=subpath(output[0], parent=True),
    shell:
        saved(r"""
            python -m workflow_scripts.train_grpo \
                --firm-type {wildcards.firm_type} \
                --dataset {input.dataset:q} \
                --settings {params.settings:q} \
                --store {params.store:q} \
                --out {params.out:q}
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
    shell:
        logged(r"""
            python -m workflow_scripts.write_model_card \
                --manifest {input:q} \
                --out {output:q}
            """)
