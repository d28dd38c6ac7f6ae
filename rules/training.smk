# The demo's base model and the adapters: the rules that want a GPU, and what is checked before they are queued.
# Required inputs: datasets/{sft,grpo}.jsonl, audit/{sft,grpo}.csv, the base model. Outputs: adapters/{sft,grpo}/, merged/sft/, preflight.csv
# Steps: check_arguments -> train_sft -> merge_adapter -> preflight_rewards -> train_grpo
#
# Checkpoints and finished results live in <results>/store, which no rule declares: Snakemake deletes the
# declared outputs of a failed job. The shell waits out the signals that end a job (a cluster kills what is left when it
# goes) and `tee` ignores them, so that the trainer can save a checkpoint and write its last lines.

import os

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
            settings=as_json(config["demo_model"]),
            prompt_settings=as_json({**prompt_settings(), "identity": "permno"}),
            think_template=as_json(config["labels"]["think_template"]),
            decimals=config["labels"]["decimals"],
            seed=config["seed"],
        shell:
            "python -m workflow_scripts.build_demo_model --settings {params.settings:q} "
            "--prompt-settings {params.prompt_settings:q} --think-template {params.think_template:q} "
            "--decimals {params.decimals} --seed {params.seed} --threads {threads} --out {output:q} "
            "2>&1 | tee {log:q}"


rule check_arguments:
    output:
        "<results>/arguments/{stage}.json",
    log:
        "<results>/logs/check_arguments/{stage}.log",
    benchmark:
        "<results>/benchmarks/check_arguments/{stage}.tsv"
    params:
        code=code_of("workflow_scripts.check_arguments"),
        settings=lambda wildcards: to_json(training_settings(wildcards.stage)),
    shell:
        "python -m workflow_scripts.check_arguments --stage {wildcards.stage} --settings {params.settings:q} "
        "--out {output:q} 2>&1 | tee {log:q}"


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
        gpu=config["sft"]["num_gpus"],
    params:
        code=code_of("workflow_scripts.train_sft"),
        model=as_json(model_settings(base_model_path())),
        settings=as_json(training_settings("sft")),
        seed=config["seed"],
        store=f"{RESULTS}/store/{{firm_type}}/sft",
        out=subpath(output[0], parent=True),
    shell:
        "trap : TERM INT; python -m workflow_scripts.train_sft --firm-type {wildcards.firm_type} --dataset {input.dataset:q} "
        "--model {params.model:q} --settings {params.settings:q} --seed {params.seed} "
        "--store {params.store:q} --out {params.out:q} 2>&1 | (trap '' TERM INT; tee {log:q})"


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
        model=as_json(model_settings(base_model_path())),
        adapter=subpath(input.adapter, parent=True),
        export_log=f"{RESULTS}/logs/merge_adapter/{{firm_type}}.swift.log",
    shell:
        "python -m workflow_scripts.merge_adapter --firm-type {wildcards.firm_type} --model {params.model:q} "
        "--adapter {params.adapter:q} --export-log {params.export_log:q} --out {output:q} 2>&1 | tee {log:q}"


rule preflight_rewards:
    input:
        dataset="<results>/{firm_type}/datasets/grpo.jsonl",
    output:
        "<results>/{firm_type}/preflight.csv",
    log:
        "<results>/logs/preflight_rewards/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/preflight_rewards/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.preflight_rewards"),
        rewards=config["grpo"]["rewards"],
        weights=config["grpo"]["reward_weights"],
        reward_settings=as_json(reward_settings(config["grpo"]["rewards"])),
        num_generations=config["grpo"]["num_generations"],
        batch=COMPLETIONS_PER_STEP,
        seed=config["seed"],
    shell:
        "python -m workflow_scripts.preflight_rewards --dataset {input.dataset:q} --firm-type {wildcards.firm_type} "
        "--rewards {params.rewards} --weights {params.weights} --reward-settings {params.reward_settings:q} "
        "--num-generations {params.num_generations} --batch {params.batch} --seed {params.seed} --out {output:q} "
        "2>&1 | tee {log:q}"


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
        gpu=config["grpo"]["num_gpus"],
    params:
        code=code_of("workflow_scripts.train_grpo", "workflow_scripts.training.rewards_plugin"),
        model=lambda wildcards: to_json(model_settings(start_model_path(wildcards))),
        settings=as_json(training_settings("grpo")),
        reward_settings=as_json(reward_settings(config["grpo"]["rewards"])),
        seed=config["seed"],
        store=f"{RESULTS}/store/{{firm_type}}/grpo",
        out=subpath(output[0], parent=True),
    shell:
        "trap : TERM INT; python -m workflow_scripts.train_grpo --firm-type {wildcards.firm_type} --dataset {input.dataset:q} "
        "--model {params.model:q} --settings {params.settings:q} --reward-settings {params.reward_settings:q} "
        "--seed {params.seed} --store {params.store:q} --out {params.out:q} 2>&1 | (trap '' TERM INT; tee {log:q})"
