# Figures, training curves and the resolved configuration of the run.
# Required inputs: evaluation tables of all firm types, training logs. Outputs: <results>/config.yaml, training/*, evaluation/*.{png,pdf}
# Steps: write_config; summarize_training, plot_forecasts; summary.smk makes the page of them


# The first three have a CSV of their own, the others show an evaluation table of the same name.
FIGURES = ("residuals", "ic_by_quarter", "forecast_truth", "metrics_by_quarter", "metrics_by_size", "coverage")
# Of forecasts that are distributions; each shows the table of the same name.
FIGURES += DISTRIBUTION_TABLES
FIGURE_TABLES = ("forecasts", "metrics", "metrics_by_quarter", "metrics_by_size", "coverage", *DISTRIBUTION_TABLES)


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


include: "summary.smk"
