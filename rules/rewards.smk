# What rewards pay to completions that are there.
# Required inputs: completions/{stage}.jsonl, datasets/test.jsonl; for a replay the files that the config names
# Outputs: evaluation/*rewards_{stage}.csv; replay/*rewards.csv
# Steps: score_rewards; replay_rewards, a target for any file of completions


rule score_rewards:
    input:
        completions="<results>/{firm_type}/completions/{stage}.jsonl",
        dataset="<results>/{firm_type}/datasets/test.jsonl",
    output:
        rewards="<results>/{firm_type}/evaluation/rewards_{stage}.csv",
        zero="<results>/{firm_type}/evaluation/zero_rewards_{stage}.csv",
        worst="<results>/{firm_type}/evaluation/worst_rewards_{stage}.csv",
    log:
        "<results>/logs/score_rewards/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/score_rewards/{firm_type}.{stage}.tsv"
    wildcard_constraints:
        stage=any_of([*STAGES, *CONFIG.adapters]),
    localrule: True
    params:
        code=code_of("workflow_scripts.score_rewards", *modules_of(CONFIG.evaluation.score_rewards)),
        plugins=content_of(scored_plugins),
        settings=settings_of("score_rewards"),
    shell:
        logged(r"""
            python -m workflow_scripts.score_rewards \
                --completions {input.completions:q} \
                --dataset {input.dataset:q} \
                --firm-type {wildcards.firm_type} \
                --stage {wildcards.stage} \
                --settings {params.settings:q} \
                --out {output.rewards:q} \
                --zero {output.zero:q} \
                --worst {output.worst:q}
            """)


if CONFIG.replay:

    rule replay_rewards:
        input:
            completions=CONFIG.replay.completions,
            dataset=CONFIG.replay.dataset,
        output:
            rewards="<results>/replay/rewards.csv",
            zero="<results>/replay/zero_rewards.csv",
            worst="<results>/replay/worst_rewards.csv",
        log:
            "<results>/logs/replay_rewards.log",
        benchmark:
            "<results>/benchmarks/replay_rewards.tsv"
        localrule: True
        params:
            code=code_of("workflow_scripts.replay_rewards", *modules_of(CONFIG.evaluation.score_rewards)),
            content=content_of(lambda wildcards: list(vars(CONFIG.replay).values()), scored_plugins),
            settings=settings_of("replay_rewards"),
        shell:
            logged(r"""
                python -m workflow_scripts.replay_rewards \
                    --completions {input.completions:q} \
                    --dataset {input.dataset:q} \
                    --settings {params.settings:q} \
                    --out {output.rewards:q} \
                    --zero {output.zero:q} \
                    --worst {output.worst:q}
                """)
