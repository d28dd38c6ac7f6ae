# The run as a whole: its resolved configuration, training curves, the summary over firm types, and the store.
# Required inputs: evaluation tables of all firm types, training logs. Outputs: <results>/config.yaml, <results>/summary/*
# Steps: write_config; summarize_training -> summarize_run; list_store, clean_store (on demand)


rule write_config:
    output:
        "<results>/config.yaml",
    log:
        "<results>/logs/write_config.log",
    benchmark:
        "<results>/benchmarks/write_config.tsv"
    params:
        code=code_of("workflow_scripts.write_config"),
        config=literal(json.dumps(config)),
    shell:
        "python -m workflow_scripts.write_config --config {params.config:q} --out {output:q} 2>&1 | tee {log:q}"


rule summarize_training:
    input:
        "<results>/{firm_type}/adapters/{stage}/training_log.jsonl",
    output:
        multiext("<results>/{firm_type}/training/{stage}", ".csv", ".json"),
        report("<results>/{firm_type}/training/{stage}.png", caption="report/training.rst", category="training"),
    log:
        "<results>/logs/summarize_training/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/summarize_training/{firm_type}.{stage}.tsv"
    params:
        code=code_of("workflow_scripts.summarize_training"),
        out=subpath(output[0], parent=True),
    shell:
        "python -m workflow_scripts.summarize_training --firm-type {wildcards.firm_type} --stage {wildcards.stage} "
        "--log {input:q} --out {params.out:q} 2>&1 | tee {log:q}"


rule summarize_run:
    input:
        preflight=expand("<results>/{firm_type}/preflight.csv", firm_type=FIRM_TYPES),
        training=expand("<results>/{firm_type}/training/{stage}.json", firm_type=FIRM_TYPES, stage=STAGES[1:]),
        metrics=expand("<results>/{firm_type}/evaluation/metrics.csv", firm_type=FIRM_TYPES),
        comparisons=expand("<results>/{firm_type}/evaluation/comparisons.csv", firm_type=FIRM_TYPES),
        rewards=expand("<results>/{firm_type}/evaluation/rewards_{stage}.csv", firm_type=FIRM_TYPES, stage=STAGES),
        samples=expand("<results>/{firm_type}/samples/{split}.json", firm_type=FIRM_TYPES, split=SPLITS),
        figures=expand(
            "<results>/{firm_type}/evaluation/{figure}.png",
            firm_type=FIRM_TYPES,
            figure=["residuals", "ic_by_quarter"],
        ),
    output:
        multiext("<results>/summary/", "metrics.csv", "comparisons.csv", "rewards.csv", "samples.csv", "preflight.csv"),
        report("<results>/summary/skill.png", caption="report/skill.rst", category="summary"),
        report("<results>/summary/report.html", caption="report/report.rst", category="summary"),
    log:
        "<results>/logs/summarize_run.log",
    benchmark:
        "<results>/benchmarks/summarize_run.tsv"
    params:
        code=code_of("workflow_scripts.summarize_run"),
        run=config["run"],
        out=subpath(output[0], parent=True),
    shell:
        "python -m workflow_scripts.summarize_run --run {params.run} --metrics {input.metrics:q} --comparisons {input.comparisons:q} "
        "--rewards {input.rewards:q} --preflight {input.preflight:q} --training {input.training:q} --samples {input.samples:q} --figures {input.figures:q} --out {params.out:q} "
        "2>&1 | tee {log:q}"


# On demand and always: what the store holds, and what of it no published adapter needs.
rule list_store:
    log:
        "<results>/logs/list_store.log",
    benchmark:
        "<results>/benchmarks/list_store.tsv"
    params:
        code=code_of("workflow_scripts.list_store"),
        run_folder=RESULTS,
    shell:
        "python -m workflow_scripts.list_store --run-folder {params.run_folder:q} 2>&1 | tee {log:q}"


rule clean_store:
    log:
        "<results>/logs/clean_store.log",
    benchmark:
        "<results>/benchmarks/clean_store.tsv"
    params:
        code=code_of("workflow_scripts.clean_store"),
        run_folder=RESULTS,
    shell:
        "python -m workflow_scripts.clean_store --run-folder {params.run_folder:q} 2>&1 | tee {log:q}"
