# The record of what was forecast: publish, and score when the quarter has come.
# Required inputs: {firm_type}/forecast/{forecasts.csv,entry.json}; the slices with their stock_quarters.parquet
# Outputs: none, so that the record is checked whenever it is asked for, and Snakemake deletes nothing of it. They write
#   ledger.csv, forecasts/*.csv, forecast_scores.csv. A benchmark would count as an output.
# Steps: forecast; score_forecasts


rule forecast:
    input:
        forecasts=expand("<results>/{firm_type}/forecast/forecasts.csv", firm_type=FIRM_TYPES),
        entries=expand("<results>/{firm_type}/forecast/entry.json", firm_type=FIRM_TYPES),
    log:
        "<results>/logs/forecast.log",
    localrule: True
    params:
        code=code_of("workflow_scripts.forecast"),
        ledger=f"{RESULTS}/ledger.csv",
        project=str(ROOT),
    shell:
        logged(r"""
            python -m workflow_scripts.forecast \
                --ledger {params.ledger:q} \
                --forecasts {input.forecasts:q} \
                --entries {input.entries:q} \
                --project {params.project:q}
            """)


rule score_forecasts:
    input:
        panels=every_slice,
        stocks=expand("<results>/{firm_type}/stock_quarters.parquet", firm_type=FIRM_TYPES),
    log:
        "<results>/logs/score_forecasts.log",
    params:
        code=code_of("workflow_scripts.score_forecasts"),
        ledger=f"{RESULTS}/ledger.csv",
        settings=settings_of("score_forecasts"),
        out=f"{RESULTS}/forecast_scores.csv",
    shell:
        logged(r"""
            python -m workflow_scripts.score_forecasts \
                --ledger {params.ledger:q} \
                --panels {input.panels:q} \
                --stocks {input.stocks:q} \
                --settings {params.settings:q} \
                --out {params.out:q}
            """)
