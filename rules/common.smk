# The only place for functions that rules use.
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.forecasters import ORACLE
from workflow_scripts.holdings.forecasts.stages import BASE, STAGES, TRAINED_STAGES, stages_by
from workflow_scripts.holdings.panel.contract import FIRM_TYPES as ALL_FIRM_TYPES
from workflow_scripts.holdings.rewards.rewards import modules_of
from workflow_scripts.holdings.windows.splits import SPLITS
from workflow_scripts.plumbing.remembered_digests import content_digest
from workflow_scripts.settings.checks import SEED_RUN_FILES
from workflow_scripts.settings.config import DEMO, IMPORTED, SIMULATED
from workflow_scripts.settings.uses import adapter_path, evaluated_stages, forecasters, made_start_models, needed_stages
from workflow_scripts.settings.uses import of_firm_type, own_digests, reward_plugins, run_folder, section
from workflow_scripts.settings.uses import settings_of as settings_of_config
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.generation import generation_versions
from workflow_scripts.training.store import MANIFEST
from workflow_scripts.training.trainer import ADAPTER_FILES, REWARDS_PLUGIN, TRAINING_LOG

FIRM_TYPES = CONFIG.firm_types
IS_SIMULATED = CONFIG.panel == SIMULATED
IS_IMPORTED = CONFIG.panel == IMPORTED
IS_DEMO_MODEL = CONFIG.model.path == DEMO
# Path variables reach files, not params.
RESULTS = run_folder(CONFIG)
PANEL = f"{RESULTS}/panel" if IS_SIMULATED or IS_IMPORTED else CONFIG.panel.rstrip("/")
FORECASTERS = forecasters(CONFIG)
# What completes prompts: the evaluated stages, and adapters of the user's own, which share their rules.
MODELS = (*evaluated_stages(CONFIG), *CONFIG.adapters)
# Of the trained stages and the splits that they learn, those that the evaluation needs.
NEEDED_STAGES = needed_stages(CONFIG)
LEARNT_SPLITS = [split for split in SPLITS if split in {STAGES[stage].split for stage in NEEDED_STAGES}]
PUBLISHED_FILES = (*ADAPTER_FILES, TRAINING_LOG, MANIFEST)
SEED_RUNS = [f"results/{run}" for run in CONFIG.evaluation.seed_runs]


def settings_of(rule):
    """The settings that a rule uses, and no others, as one JSON (settings/uses.py)."""
    return settings_of_config(CONFIG, rule)


def any_of(names):
    """A constraint of a wildcard to these names; one that nothing matches where there are none."""
    return "|".join(names) or "(?!)"


def logged(command):
    """The command, with its output shown and kept in the rule's log. `tee` ignores the signals that end a job, so that
    the last lines reach the log."""
    return f"{command.strip()} 2>&1 | (trap '' TERM INT; tee {{log:q}})"


def saved(command):
    """A logged command whose shell survives the signals that end a job. A cluster kills all processes of a job once its
    shell has ended, and the trainer needs time to save a checkpoint."""
    return f"trap : TERM INT; {logged(command)}"


def panel_slice(wildcards):
    """The slice of a firm type; none where a plan is shown before the data are there."""
    path = f"{PANEL}/{wildcards.firm_type}.parquet"
    return [path] if IS_SIMULATED or IS_IMPORTED or Path(path).is_file() else []


def import_source(wildcards):
    """The file to import, or all files of the folder; none where a plan is shown before they are there."""
    source = Path(CONFIG.import_.source)
    return sorted(map(str, source.rglob("*.parquet"))) or [str(source)] * source.is_file()


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
        own = [path for path in paths if not path.startswith(f"{RESULTS}/") and Path(path).is_file()]
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
