# Completions (on a GPU), their forecasts, metrics, paired comparisons and reward replays of a firm type.
# Required inputs: the models, adapters/{stage}/, datasets/test.jsonl, predictions of the baselines
# Outputs: completions/{stage}.jsonl, predictions/{forecaster}.csv, evaluation/*.csv
# Steps: generate_completions (per stage) -> parse_predictions -> evaluate_forecasts -> compare_forecasts; score_rewards


rule generate_completions:
    input:
        stage_inputs,
        dataset="<results>/{firm_type}/datasets/test.jsonl",
    output:
        completions="<results>/{firm_type}/completions/{stage}.jsonl",
        conditions="<results>/{firm_type}/completions/{stage}.json",
    log:
        "<results>/logs/generate_completions/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/generate_completions/{firm_type}.{stage}.tsv"
    params:
        code=code_of("workflow_scripts.generate_completions"),
        model=stage_model,
        adapter=stage_adapter,
        settings=as_json(config["generation"]),
        seed=config["seed"],
        store=f"{RESULTS}/store/{{firm_type}}/completions",
    shell:
        "python -m workflow_scripts.generate_completions --firm-type {wildcards.firm_type} --stage {wildcards.stage} "
        "--dataset {input.dataset:q} --model {params.model:q} --adapter {params.adapter:q} "
        "--settings {params.settings:q} --seed {params.seed} --store {params.store:q} "
        "--out {output.completions:q} --conditions {output.conditions:q} 2>&1 | (trap '' TERM INT; tee {log:q})"


rule parse_predictions:
    input:
        completions="<results>/{firm_type}/completions/{stage}.jsonl",
        dataset="<results>/{firm_type}/datasets/test.jsonl",
    output:
        "<results>/{firm_type}/predictions/{stage}.csv",
    log:
        "<results>/logs/parse_predictions/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/parse_predictions/{firm_type}.{stage}.tsv"
    params:
        code=code_of("workflow_scripts.parse_predictions"),
        target=config["prompts"]["target"],
    shell:
        "python -m workflow_scripts.parse_predictions --completions {input.completions:q} --dataset {input.dataset:q} "
        "--firm-type {wildcards.firm_type} --stage {wildcards.stage} --target {params.target} --out {output:q} "
        "2>&1 | tee {log:q}"


rule evaluate_forecasts:
    input:
        expand("<results>/{{firm_type}}/audit/{part}.csv", part=["test", "baselines"]),
        dataset="<results>/{firm_type}/datasets/test.jsonl",
        predictions=expand("<results>/{{firm_type}}/predictions/{forecaster}.csv", forecaster=FORECASTERS),
        conditions=expand("<results>/{{firm_type}}/completions/{stage}.json", stage=STAGES),
    output:
        multiext(
            "<results>/{firm_type}/evaluation/",
            "forecasts.csv",
            "metrics.csv",
            "metrics_by_quarter.csv",
            "metrics_by_size.csv",
            "metrics_by_period.csv",
            "metrics_trimmed.csv",
            "coverage.csv",
        ),
    log:
        "<results>/logs/evaluate_forecasts/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/evaluate_forecasts/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.evaluate_forecasts"),
        out=subpath(output[0], parent=True),
        settings=as_json(pick("evaluation", "top_k", "dead_band", "log_floor", "trim_percentile")),
        knowledge_cutoff=config["evaluation"]["knowledge_cutoff"] or "unknown",
    shell:
        "python -m workflow_scripts.evaluate_forecasts --dataset {input.dataset:q} --predictions {input.predictions:q} "
        "--conditions {input.conditions:q} --firm-type {wildcards.firm_type} --settings {params.settings:q} "
        "--knowledge-cutoff {params.knowledge_cutoff} --out {params.out:q} 2>&1 | tee {log:q}"


rule compare_forecasts:
    input:
        "<results>/{firm_type}/evaluation/forecasts.csv",
    output:
        comparisons="<results>/{firm_type}/evaluation/comparisons.csv",
        skill="<results>/{firm_type}/evaluation/skill.csv",
    log:
        "<results>/logs/compare_forecasts/{firm_type}.log",
    benchmark:
        "<results>/benchmarks/compare_forecasts/{firm_type}.tsv"
    params:
        code=code_of("workflow_scripts.compare_forecasts"),
        settings=as_json(pick("evaluation", "bootstrap_draws", "confidence")),
        seed=config["seed"],
    shell:
        "python -m workflow_scripts.compare_forecasts --forecasts {input:q} --firm-type {wildcards.firm_type} "
        "--settings {params.settings:q} --seed {params.seed} --out {output.comparisons:q} --skill {output.skill:q} "
        "2>&1 | tee {log:q}"


rule score_rewards:
    input:
        completions="<results>/{firm_type}/completions/{stage}.jsonl",
        dataset="<results>/{firm_type}/datasets/test.jsonl",
    output:
        rewards="<results>/{firm_type}/evaluation/rewards_{stage}.csv",
        samples="<results>/{firm_type}/evaluation/worst_rewards_{stage}.csv",
    log:
        "<results>/logs/score_rewards/{firm_type}.{stage}.log",
    benchmark:
        "<results>/benchmarks/score_rewards/{firm_type}.{stage}.tsv"
    params:
        code=code_of("workflow_scripts.score_rewards"),
        rewards=config["evaluation"]["score_rewards"],
        reward_settings=as_json(reward_settings(config["evaluation"]["score_rewards"])),
        batch=COMPLETIONS_PER_STEP,
    shell:
        "python -m workflow_scripts.score_rewards --completions {input.completions:q} --dataset {input.dataset:q} "
        "--firm-type {wildcards.firm_type} --stage {wildcards.stage} --rewards {params.rewards} "
        "--reward-settings {params.reward_settings:q} --batch {params.batch} --out {output.rewards:q} "
        "--samples {output.samples:q} 2>&1 | tee {log:q}"
