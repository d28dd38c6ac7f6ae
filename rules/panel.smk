# Panel slices: simulated or the user's, checked against the contract.
# Required inputs: {panel}/{firm_type}.parquet, or config.simulation. Outputs: <results>/{firm_type}/panel_report.json
# Steps: simulate_panel (simulated only) -> check_panel

if IS_SIMULATED:

    rule simulate_panel:
        output:
            "<results>/panel/{firm_type}.parquet",
        log:
            "<results>/logs/simulate_panel/{firm_type}.log",
        benchmark:
            "<results>/benchmarks/simulate_panel/{firm_type}.tsv"
        params:
            code=code_of("workflow_scripts.simulate_panel"),
            settings=as_json({k: v for k, v in config["simulation"].items() if k != "drift"}),
            drift=lambda wildcards: config["simulation"]["drift"][wildcards.firm_type],
            seed=config["seed"],
        shell:
            "python -m workflow_scripts.simulate_panel --firm-type {wildcards.firm_type} --drift={params.drift} "
            "--settings {params.settings:q} --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"


rule check_panel:
    input:
        panel=panel_slice,
    output:
        "<results>/{firm_type}/panel_report.json",
    log:
        "<results>/logs/check_panel/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/check_panel/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.check_panel"),
    shell:
        "python -m workflow_scripts.check_panel --panel {input.panel:q} --firm-type {wildcards.firm_type} --out {output:q} "
        "2>&1 | tee {log:q}"
