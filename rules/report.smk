# The run as a whole: its resolved configuration and the summary over firm types.
# Required inputs: evaluation tables of all firm types. Outputs: <results>/config.yaml, <results>/summary/*
# Steps: write_config; summarize_run


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


rule summarize_run:
    input:
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
        multiext("<results>/summary/", "metrics.csv", "comparisons.csv", "rewards.csv", "samples.csv"),
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
        "--rewards {input.rewards:q} --samples {input.samples:q} --figures {input.figures:q} --out {params.out:q} "
        "2>&1 | tee {log:q}"
