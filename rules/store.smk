# The store of trainings and completions: list it, delete what no published adapter needs.
# Required inputs: none. Outputs: none, so that a rule runs whenever it is asked for; a benchmark would count as one
# Steps: list_store; clean_store


rule list_store:
    log:
        "<results>/logs/list_store.log",
    localrule: True
    params:
        code=code_of("workflow_scripts.list_store"),
        run_folder=RESULTS,
    shell:
        logged(r"""
            python -m workflow_scripts.list_store \
                --run-folder {params.run_folder:q}
            """)


rule clean_store:
    log:
        "<results>/logs/clean_store.log",
    localrule: True
    params:
        code=code_of("workflow_scripts.clean_store"),
        run_folder=RESULTS,
    shell:
        logged(r"""
            python -m workflow_scripts.clean_store \
                --run-folder {params.run_folder:q}
            """)
