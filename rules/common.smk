# Names and functions that all rules use; inputs.smk has what depends on a job's wildcards.
import gc
from types import SimpleNamespace

from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.forecasters import ORACLE
from workflow_scripts.holdings.forecasts.stages import BASE, STAGES, TRAINED_STAGES, stages_by
from workflow_scripts.holdings.panel.contract import FIRM_TYPES as ALL_FIRM_TYPES
from workflow_scripts.holdings.rewards.rewards import modules_of
from workflow_scripts.holdings.sec.panel_files import fundamental_files, identifier_files
from workflow_scripts.holdings.sec.zip_names import zip_names
from workflow_scripts.holdings.windows.splits import SPLITS
from workflow_scripts.plumbing.remembered_digests import content_digest
from workflow_scripts.settings.checks import SEED_RUN_FILES
from workflow_scripts.settings.config import DEMO, FROM_FILINGS, IMPORTED, MADE_PANELS, SEC, SIMULATED
from workflow_scripts.settings.uses import adapter_path, continued_stage, forecasters
from workflow_scripts.settings.uses import is_made, made_start_models, models, needed_stages, of_firm_type, own_digests
from workflow_scripts.settings.uses import reward_plugins, rolled_paths, run_folder, section, without_model
from workflow_scripts.settings.uses import settings_of as settings_of_config
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.generation import generation_versions
from workflow_scripts.training.store import MANIFEST
from workflow_scripts.training.options import ADAPTER_FILES
from workflow_scripts.training.trainer import REWARDS_PLUGIN, TRAINING_LOG

# What has been imported is no garbage. Python would look through it again and again, a fifth of a plan's time.
gc.freeze()

FIRM_TYPES = CONFIG.firm_types
IS_SIMULATED = CONFIG.panel == SIMULATED
IS_IMPORTED = CONFIG.panel == IMPORTED
IS_SEC = CONFIG.panel == SEC
IS_MADE_PANEL = CONFIG.panel in MADE_PANELS
IS_DEMO_MODEL = CONFIG.model.path == DEMO
# Path variables reach files, not params.
RESULTS = run_folder(CONFIG)
SOURCE_PANEL = f"{RESULTS}/panel" if IS_MADE_PANEL else CONFIG.panel.rstrip("/")
ADDS_EXITS = CONFIG.panel_exits == FROM_FILINGS
FORECASTERS = forecasters(CONFIG)
# The runs whose test windows are put together here; this run then samples, trains and generates nothing.
ROLLING_RUNS = CONFIG.evaluation.rolling_runs
NO_MODELS = without_model(CONFIG)
# What completes prompts: adapters of the user's own share the rules of the stages.
MODELS = models(CONFIG)
# Of the trained stages and the splits that they learn, those that the evaluation needs.
NEEDED_STAGES = needed_stages(CONFIG)
LEARNT_SPLITS = [split for split in SPLITS if split in {STAGES[stage].split for stage in NEEDED_STAGES}]
# One job each, so that a new quarter costs one job.
SEC_ZIPS = zip_names(CONFIG.sec.zips) if IS_SEC else []
DATASET_FILES = [*(f"{split}.jsonl" for split in SPLITS), "README.md"]
# What has a card of its own, with which it can be shared alone.
CARD_FOLDERS = [*([] if ROLLING_RUNS else ["datasets"]), *(f"adapters/{stage}" for stage in NEEDED_STAGES)]
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


def gpu_resources(count):
    """How a job asks for GPUs: `gpu`, which becomes --gpus, or what the profile says instead."""
    defaults = workflow.resource_settings.default_resources or {}
    if "gpu_request" not in defaults:
        return {"gpu": count}
    words = defaults["gpu_request"].raw.strip("'")
    name = "slurm_extra" if words.startswith("--") else "gres"
    text = f"{words}=" if words.endswith("gpus-per-node") else f"{words}:"
    # Snakemake counts numbers only, to keep below a limit over all jobs.
    return {"gpus_held": count, name: lambda wildcards: f"{text}{count(wildcards) if callable(count) else count}"}
