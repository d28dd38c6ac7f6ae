# Figures, and the run as a whole: its resolved configuration, training curves, the summary over firm types.
# Required inputs: evaluation tables of all firm types, training logs. Outputs: <results>/config.yaml, <results>/summary/*
# Steps: write_config; summarize_training, plot_forecasts -> summarize_run


# The first three have a CSV of their own, the others show an evaluation table of the same name.
FIGURES = ("residuals", "ic_by_quarter", "forecast_truth", "metrics_by_quarter", "metrics_by_size", "coverage")
# Those of a rolling origin have been audited and sampled in their own runs.
AUDITED = [] if ROLLING_RUNS else [*LEARNT_SPLITS, SPLITS[-1], "baselines"]
SAMPLED = [] if ROLLING_RUNS else SPLITS
FIGURE_TABLES = ("forecasts", "metrics", "metrics_by_quarter", "metrics_by_size", "coverage")


rule write_config:
    output:
        "<results>/config.yaml",
    log:
        "<results>/logs/write_config.log",
    benchmark:
        "<results>/benchmarks/write_config.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.write_config"),
        settings=settings_of("write_config"),
    shell:
        logged(r"""
            python -m workflow_scripts.write_config \
                --settings {params.settings:q} \
                --out {output:q}
            """)


rule summarize_training:
    input:
        "<results>/{firm_type}/adapters/{stage}/training_log.jsonl",
    output:
        multiext("<results>/{firm_type}/training/{stage}", ".csv", ".json", ".pdf"),
        report("<results>/{firm_type}/training/{stage}.png", caption="report/training.rst", category="training"),
    log:
        "<results>/logs/summarize_training/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/summarize_training/{firm_type}.{stage}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.summarize_training"),
        out=subpath(output[0], parent=True),
    shell:
        logged(r"""
            python -m workflow_scripts.summarize_training \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --log {input:q} \
                --out {params.out:q}
            """)


rule plot_forecasts:
    input:
        expand("<results>/{{firm_type}}/evaluation/{table}.csv", table=FIGURE_TABLES),
    output:
        expand("<results>/{{firm_type}}/evaluation/{figure}.pdf", figure=FIGURES),
        expand("<results>/{{firm_type}}/evaluation/{figure}.csv", figure=FIGURES[:3]),
        report(
            expand("<results>/{{firm_type}}/evaluation/{figure}.png", figure=FIGURES),
            caption="report/figures.rst",
            category="{firm_type}",
        ),
    log:
        "<results>/logs/plot_forecasts/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/plot_forecasts/{firm_type}.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.plot_forecasts"),
        settings=settings_of("plot_forecasts"),
        folder=subpath(output[0], parent=True),
    shell:
        logged(r"""
            python -m workflow_scripts.plot_forecasts \
                --firm-type {wildcards.firm_type} \
                --evaluation {params.folder:q} \
                --settings {params.settings:q} \
                --out {params.folder:q}
            """)


rule summarize_run:
    input:
        template="workflow_scripts/holdings/report/page.html.j2",
        # The results of the runs with other seeds, and this run's configuration: they may differ in nothing else.
        seeds=seed_files,
        config=["<results>/config.yaml"] if SEED_RUNS else [],
        panels=expand("<results>/{firm_type}/panel_report.json", firm_type=FIRM_TYPES),
        preflight=expand(
            "<results>/{firm_type}/preflight/{stage}.csv",
            firm_type=FIRM_TYPES,
            stage=[stage for stage in stages_by("grpo") if stage in NEEDED_STAGES],
        ),
        audit=expand("<results>/{firm_type}/audit/{part}.csv", firm_type=FIRM_TYPES, part=AUDITED),
        training=expand("<results>/{firm_type}/training/{stage}.json", firm_type=FIRM_TYPES, stage=NEEDED_STAGES),
        metrics=expand("<results>/{firm_type}/evaluation/metrics.csv", firm_type=FIRM_TYPES),
        periods=expand("<results>/{firm_type}/evaluation/metrics_by_period.csv", firm_type=FIRM_TYPES),
        comparisons=expand("<results>/{firm_type}/evaluation/comparisons.csv", firm_type=FIRM_TYPES),
        skill=expand("<results>/{firm_type}/evaluation/skill.csv", firm_type=FIRM_TYPES),
        combinations=expand("<results>/{firm_type}/evaluation/combinations.csv", firm_type=FIRM_TYPES),
        origins=expand("<results>/{firm_type}/evaluation/origins.csv", firm_type=FIRM_TYPES),
        rewards=expand("<results>/{firm_type}/evaluation/rewards_{stage}.csv", firm_type=FIRM_TYPES, stage=MODELS),
        faults=expand("<results>/{firm_type}/evaluation/faults_{stage}.csv", firm_type=FIRM_TYPES, stage=MODELS),
        samples=expand("<results>/{firm_type}/samples/{split}.json", firm_type=FIRM_TYPES, split=SAMPLED),
        figures=expand("<results>/{firm_type}/evaluation/{figure}.png", firm_type=FIRM_TYPES, figure=FIGURES),
        # What the data dictionary describes is the same for every firm type.
        tables=expand(
            "<results>/{firm_type}/evaluation/{table}.csv",
            firm_type=FIRM_TYPES[:1],
            table=[*FIGURE_TABLES, *FIGURES[:3], "baseline_choice"],
        ),
        trimmed=expand("<results>/{firm_type}/evaluation/metrics_trimmed.csv", firm_type=FIRM_TYPES),
        coverage=expand("<results>/{firm_type}/evaluation/coverage.csv", firm_type=FIRM_TYPES),
    output:
        multiext(
            "<results>/summary/",
            "metrics.csv",
            "comparisons.csv",
            "combinations.csv",
            "metrics_by_period.csv",
            "metrics_over_seeds.csv",
            "rewards.csv",
            "samples.csv",
            "preflight.csv",
            "audit.csv",
            "origins.csv",
            "skill.csv",
            "skill.pdf",
            "data_dictionary.csv",
        ),
        report("<results>/summary/skill.png", caption="report/skill.rst", category="summary"),
        report("<results>/summary/report.html", caption="report/report.rst", category="summary"),
    log:
        "<results>/logs/summarize_run.log",
    benchmark:
        "<results>/benchmarks/summarize_run.tsv"
    localrule: True
    params:
        code=code_of("workflow_scripts.summarize_run"),
        settings=settings_of("summarize_run"),
        out=subpath(output[0], parent=True),
    shell:
        logged(r"""
            python -m workflow_scripts.summarize_run \
                --inputs {input:q} \
                --settings {params.settings:q} \
                --out {params.out:q}
            """)
