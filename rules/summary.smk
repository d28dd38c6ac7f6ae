# The run as a whole: tables over all firm types, and the report.
# Required inputs: evaluation tables, figures, training curves and audits of all firm types. Outputs: <results>/summary/*
# Steps: summarize_run


# Those of a rolling origin have been audited and sampled in their own runs.
AUDITED_SPLITS = [*LEARNT_SPLITS, SPLITS[-1]]
AUDITED = [] if ROLLING_RUNS else [*AUDITED_SPLITS, *(f"sample_{split}" for split in AUDITED_SPLITS), "baselines"]
SAMPLED = [] if ROLLING_RUNS else SPLITS
# The model whose answers are shown: the last stage, or the first adapter of the user's own.
SHOWN_MODEL = [*(name for name in reversed(MODELS) if name in STAGES), *MODELS][:1]


rule summarize_run:
    input:
        template=expand("workflow_scripts/holdings/report/page.{part}", part=["html.j2", "css"]),
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
        training=expand(
            "<results>/{firm_type}/training/{stage}.{kind}",
            firm_type=FIRM_TYPES,
            stage=NEEDED_STAGES,
            kind=["json", "png"],
        ),
        manifests=expand(
            f"<results>/{{firm_type}}/adapters/{{stage}}/{MANIFEST}", firm_type=FIRM_TYPES, stage=NEEDED_STAGES
        ),
        # Sample answers with their prompts.
        answers=expand(
            "<results>/{firm_type}/{file}",
            firm_type=FIRM_TYPES,
            file=[
                name
                for model in SHOWN_MODEL
                for name in ("datasets/test.jsonl", f"completions/{model}.jsonl", f"predictions/{model}.csv")
            ],
        ),
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
        distributions=expand("<results>/{firm_type}/evaluation/distributions.csv", firm_type=FIRM_TYPES),
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
            "distributions.csv",
            "origins.csv",
            "skill.csv",
            "skill.pdf",
            "answer.csv",
            "answer.pdf",
            "data_dictionary.csv",
        ),
        report("<results>/summary/answer.png", caption="report/answer.rst", category="summary"),
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
