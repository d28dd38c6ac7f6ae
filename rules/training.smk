# The demo's base model and the adapters: the rules that want a GPU.
# Required inputs: the dataset of a stage, its audit, the base model. Outputs: adapters/{stage}/, merged/{stage}/
# Steps: train_sft -> merge_adapter -> train_grpo; cards.smk describes them
# A rule per method of training; holdings/forecasts/stages.py says which stages there are, and what each starts from.
#
# Checkpoints and finished results live in <results>/store, which no rule declares: Snakemake deletes the
# declared outputs of a failed job.


# A token or a tracker's key reaches the jobs by the environment alone: it is no setting, and in no command and no log.
envvars:
    *[name for name in ("HF_TOKEN", "WANDB_API_KEY", "SWANLAB_API_KEY") if name in os.environ],


if IS_DEMO_MODEL:

    rule build_demo_model:
        output:
            directory("<results>/demo_model"),
        log:
            "<results>/logs/build_demo_model.log",
        benchmark:
            "<results>/benchmarks/build_demo_model.tsv"
        # A second thread waits more than it computes at this width: it doubles the CPU time and saves a fifth of the wall time.
        threads: 1
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


rule train_sft:
    input:
        start_model_input,
        arguments_checked,
        # A gate. It is not ancient(): in a run in which the gate runs again, Snakemake would overlook changed settings
        # of everything below. Whatever makes the gate run again is a reason to train again, too.
        stage_audit,
        dataset=stage_dataset,
    output:
        expand("<results>/{{firm_type}}/adapters/{{stage}}/{name}", name=PUBLISHED_FILES),
    log:
        "<results>/logs/train_sft/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/train_sft/{firm_type}.{stage}.tsv"
    wildcard_constraints:
        stage="|".join(stages_by("sft")),
    resources:
        **gpu_resources(stage_gpus),
    params:
        code=code_of("workflow_scripts.train_sft"),
        model=own_content,
        settings=settings_of("train_sft"),
        store=f"{RESULTS}/store/{{firm_type}}/{{stage}}",
        out=subpath(output[0], parent=True),
    shell:
        saved(r"""
            python -m workflow_scripts.train_sft \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --dataset {input.dataset:q} \
                --settings {params.settings:q} \
                --store {params.store:q} \
                --out {params.out:q}
            """)


rule merge_adapter:
    input:
        start_model_input,
        adapter="<results>/{firm_type}/adapters/{stage}/adapter_model.safetensors",
        adapter_config="<results>/{firm_type}/adapters/{stage}/adapter_config.json",
    output:
        directory("<results>/{firm_type}/merged/{stage}"),
    log:
        "<results>/logs/merge_adapter/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/merge_adapter/{firm_type}.{stage}.tsv"
    resources:
        **gpu_resources(1),
    params:
        code=code_of("workflow_scripts.merge_adapter"),
        model=own_content,
        settings=settings_of("merge_adapter"),
        adapter=subpath(input.adapter, parent=True),
        export_log=f"{RESULTS}/logs/merge_adapter/{{firm_type}}.{{stage}}.swift.log",
    shell:
        logged(r"""
            python -m workflow_scripts.merge_adapter \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --settings {params.settings:q} \
                --adapter {params.adapter:q} \
                --export-log {params.export_log:q} \
                --out {output:q}
            """)


rule train_grpo:
    input:
        start_model_input,
        start_adapter_input,
        arguments_checked,
        # Gates again.
        stage_audit,
        "<results>/{firm_type}/preflight/{stage}.csv",
        dataset=stage_dataset,
    output:
        expand("<results>/{{firm_type}}/adapters/{{stage}}/{name}", name=PUBLISHED_FILES),
    log:
        "<results>/logs/train_grpo/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/train_grpo/{firm_type}.{stage}.tsv"
    wildcard_constraints:
        stage="|".join(stages_by("grpo")),
    resources:
        **gpu_resources(stage_gpus),
    params:
        code=code_of("workflow_scripts.train_grpo", REWARDS_PLUGIN, further=stage_rewards),
        plugins=content_of(stage_plugins),
        model=own_content,
        settings=settings_of("train_grpo"),
        store=f"{RESULTS}/store/{{firm_type}}/{{stage}}",
        out=subpath(output[0], parent=True),
    shell:
        saved(r"""
            python -m workflow_scripts.train_grpo \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --dataset {input.dataset:q} \
                --settings {params.settings:q} \
                --store {params.store:q} \
                --out {params.out:q}
            """)


include: "cards.smk"
