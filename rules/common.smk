# The only place for functions that rules use.
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.stages import BASE, STAGES, TRAINED_STAGES, stages_by
from workflow_scripts.holdings.panel.contract import FIRM_TYPES as ALL_FIRM_TYPES
from workflow_scripts.holdings.rewards.rewards import module_of
from workflow_scripts.holdings.windows.splits import SPLITS
from workflow_scripts.plumbing.remembered_digests import content_digest
from workflow_scripts.settings.checks import SEED_RUN_FILES
from workflow_scripts.settings.config import DEMO, IMPORTED, SIMULATED
from workflow_scripts.settings.uses import run_folder, section, settings_of as settings_of_config, start_stage
from workflow_scripts.training.base_model import ModelSettings, model_identity
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
FORECASTERS = (*BASELINES, *STAGES, *(["oracle"] if IS_SIMULATED else []))
PUBLISHED_FILES = (*ADAPTER_FILES, TRAINING_LOG, MANIFEST)
SEED_RUNS = [f"results/{run}" for run in CONFIG.evaluation.seed_runs]


def settings_of(rule):
    """The settings that a rule uses, and no others, as one JSON (settings/uses.py)."""
    return settings_of_config(CONFIG, rule)


def logged(command):
    """The command, with its output shown and kept in the rule's log. `tee` ignores the signals that end a job, so that
    the last lines reach the log."""
    return f"{command.strip()} 2>&1 | (trap '' TERM INT; tee {{log:q}})"


def saved(command):
    """A logged command whose shell survives the signals that end a job. A cluster kills all processes of a job once its
    shell has ended, and the trainer needs time to save a checkpoint."""
    return f"trap : TERM INT; {logged(command)}"


def seed_files(wildcards):
    """What finished runs of other seeds give to the summary; those that are there, where a plan is shown before."""
    return [path for path in expand("{folder}/{name}", folder=SEED_RUNS, name=SEED_RUN_FILES) if Path(path).is_file()]


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
    """Digests of the user's own files among a rule's inputs, as a params function.

    Snakemake compares the content of an input only if it is newer than the outputs. A file that `cp -p`, `rsync -t` or
    `mv` has put there can be older, and its new content would go unnoticed.
    """

    def content(wildcards):
        paths = [path for paths_of in inputs for path in paths_of(wildcards)]
        return " ".join(content_digest(path) for path in paths if not path.startswith(f"{RESULTS}/"))

    return content


def base_model_input(wildcards):
    """The demo's model. The user's own is no input: any file put beside its weights would make the folder newer."""
    return ["<results>/demo_model"] if IS_DEMO_MODEL else []


def base_model_content(wildcards):
    """Digest of the user's model, or its name on the hub, for the stages that start from it; empty for the others."""
    is_own = start_stage(CONFIG, wildcards.stage) == BASE and not IS_DEMO_MODEL
    return model_identity(CONFIG.model.path) if is_own else ""


def start_model_input(wildcards):
    """What a stage starts from: the merged model of another stage, or the base model."""
    start = start_stage(CONFIG, wildcards.stage)
    return base_model_input(wildcards) if start == BASE else [f"<results>/{{firm_type}}/merged/{start}"]


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
    return map(module_of, section(CONFIG, wildcards.stage).rewards)


def stage_inputs(wildcards):
    """Model and adapter files that the completions of a stage need."""
    adapter = [] if wildcards.stage == BASE else ADAPTER_FILES
    return [*(f"<results>/{{firm_type}}/adapters/{{stage}}/{name}" for name in adapter), *start_model_input(wildcards)]


def stage_adapter(wildcards):
    """The folder of a stage's adapter, or none."""
    return "none" if wildcards.stage == BASE else f"{RESULTS}/{wildcards.firm_type}/adapters/{wildcards.stage}"


def audited_splits(pattern):
    """The files of the split that is audited; for the last split those of all, which its audit compares."""
    return lambda wildcards: expand(pattern, split=SPLITS if wildcards.split == SPLITS[-1] else wildcards.split)
