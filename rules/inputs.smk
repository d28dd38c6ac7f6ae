# Functions of a job's wildcards: its inputs and params. There is no other place for them.


def seed_files(wildcards):
    """What finished runs of other seeds give to the summary; those that are there, where a plan is shown before."""
    return [path for path in expand("{folder}/{name}", folder=SEED_RUNS, name=SEED_RUN_FILES) if Path(path).is_file()]


def rolled_files(wildcards):
    """What the runs of a rolling origin have made; that is there, where a plan is shown before."""
    return [path for path in rolled_paths(CONFIG, wildcards.firm_type) if Path(path).is_file()]


def source_slice(wildcards):
    """The slice of a firm type as it came; none where a plan is shown before the data are there."""
    path = f"{SOURCE_PANEL}/{wildcards.firm_type}.parquet"
    return [path] if IS_MADE_PANEL or Path(path).is_file() else []


def panel_slice(wildcards):
    """The slice of a firm type that windows are found in."""
    made = f"{RESULTS}/panel_with_exits/{wildcards.firm_type}.parquet"
    return [made] if ADDS_EXITS else source_slice(wildcards)


def every_slice(wildcards):
    """The slices of all firm types of the run that windows are found in."""
    return [path for name in FIRM_TYPES for path in panel_slice(SimpleNamespace(firm_type=name))]


def sister_slices(wildcards):
    """All slices of the panel that are there, of whatever types a run is; of a simulated panel this one alone."""
    if IS_SIMULATED:
        return source_slice(wildcards)
    slices = expand(f"{SOURCE_PANEL}/{{firm_type}}.parquet", firm_type=ALL_FIRM_TYPES)
    return slices if IS_MADE_PANEL else [path for path in slices if Path(path).is_file()]


def import_source(wildcards):
    """The file to import, or all files of the folder; none where a plan is shown before they are there."""
    source = Path(CONFIG.import_.source)
    return sorted(map(str, source.rglob("*.parquet"))) or [str(source)] * source.is_file()


def sec_zip(wildcards):
    """One zip of the SEC's; none where a plan is shown before it is there."""
    path = Path(CONFIG.sec.zips) / f"{wildcards.zip_name}.zip"
    return [str(path)] if path.is_file() else []


def sec_files(wildcards):
    """Types, identifiers, company reports and values of the user's own; those that are there."""
    own = CONFIG.sec
    files = [path for path in (own.types, own.values) if path and Path(path).is_file()]
    files += identifier_files(own.identifiers) if own.identifiers else []
    return sorted({str(path) for path in [*files, *(fundamental_files(own.fundamentals) if own.fundamentals else [])]})


def tickers(wildcards):
    """The file of tickers, where the config names one; none where a plan is shown before it is there."""
    path = CONFIG.prompts.ticker_mapping
    return [path] if path and Path(path).is_file() else []


def content_of(*inputs):
    """Digests of the user's own files among a rule's inputs, as a params function; those that are there.

    Snakemake compares the content of an input only if it is newer than the outputs. A file that `cp -p`, `rsync -t` or
    `mv` has put there can be older, and its new content would go unnoticed.
    """

    def content(wildcards):
        paths = [path for paths_of in inputs for path in paths_of(wildcards)]
        own = [path for path in paths if not is_made(CONFIG, path) and Path(path).is_file()]
        return " ".join(map(content_digest, own))

    return content


def own_forecasts(wildcards):
    """The user's file of forecasts; none where a plan is shown before it is there."""
    path = of_firm_type(CONFIG.forecasts[wildcards.forecaster], wildcards.firm_type)
    return [path] if Path(path).is_file() else []


def start_model_input(wildcards):
    """The model that a stage starts from, where a rule makes it. The user's own is no input: any file put beside its
    weights would make the folder newer."""
    return made_start_models(CONFIG, wildcards.firm_type, wildcards.stage)


def start_adapter_input(wildcards):
    """The adapter that a stage goes on with, where it does not start a new one."""
    parent = continued_stage(CONFIG, wildcards.stage)
    return [f"<results>/{{firm_type}}/adapters/{parent}/{name}" for name in ADAPTER_FILES if parent]


def own_content(wildcards):
    """Digests of the user's model and adapter, for what starts from them; else empty."""
    return " ".join(own_digests(CONFIG, wildcards.firm_type, wildcards.stage))


def arguments_checked(wildcards):
    """The gate that refuses misspelt words of ms-swift's own; those of the published recipe need none."""
    is_usual = (CONFIG.model.model_type, CONFIG.model.template) == (ModelSettings.model_type, ModelSettings.template)
    return [] if is_usual and not section(CONFIG, wildcards.stage).extra_args else ["<results>/arguments/{stage}.json"]


def stage_dataset(wildcards):
    """What a stage learns."""
    return f"<results>/{{firm_type}}/datasets/{STAGES[wildcards.stage].split}.jsonl"


def stage_audit(wildcards):
    """The audit of what a stage learns."""
    return f"<results>/{{firm_type}}/audit/{STAGES[wildcards.stage].split}.csv"


def stage_gpus(wildcards):
    """GPUs of a stage's training."""
    return section(CONFIG, wildcards.stage).num_gpus


def stage_rewards(wildcards):
    """The modules of the rewards that a stage trains with."""
    return modules_of(section(CONFIG, wildcards.stage).rewards)


def stage_plugins(wildcards):
    """The files of the user's own rewards that a stage trains with."""
    return reward_plugins(CONFIG, section(CONFIG, wildcards.stage).rewards)


def scored_plugins(wildcards):
    """Those of the rewards that are replayed."""
    return reward_plugins(CONFIG, CONFIG.evaluation.score_rewards)


def stage_inputs(wildcards):
    """Model and adapter files that the completions of a stage need; an adapter of the user's own is no input."""
    adapter = ADAPTER_FILES if wildcards.stage in TRAINED_STAGES else []
    return [*(f"<results>/{{firm_type}}/adapters/{{stage}}/{name}" for name in adapter), *start_model_input(wildcards)]


def stage_adapter(wildcards):
    """The folder of the adapter that completes prompts, or none."""
    return adapter_path(CONFIG, wildcards.firm_type, wildcards.stage)


def audited_splits(pattern):
    """The files of the split that is audited; for the last one those of all that are learnt, which its audit compares."""
    return lambda wildcards: expand(
        pattern, split=[*LEARNT_SPLITS, SPLITS[-1]] if wildcards.split == SPLITS[-1] else wildcards.split
    )
