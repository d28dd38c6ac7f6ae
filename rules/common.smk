# The only place for functions: types of command-line settings -> schema -> cross-checks -> what the rules share
import json
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Jobs of the SLURM executor load this file too, from a Python that may not have the project on its path.
sys.path.insert(0, str(Path(workflow.basedir)))

from workflow_scripts.settings.checks import DEMO
from workflow_scripts.settings.checks import IMPORTED
from workflow_scripts.settings.checks import SIMULATED
from workflow_scripts.settings.checks import missing_slices
from workflow_scripts.settings.checks import prepare_config
from workflow_scripts.plumbing.code_digest import code_of
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.panel.contract import FIRM_TYPES as ALL_FIRM_TYPES
from workflow_scripts.holdings.rewards.rewards import REWARDS
from workflow_scripts.holdings.windows.splits import SPLITS
from workflow_scripts.holdings.texts.targets import ACTIVE
from workflow_scripts.training.model_card import MODEL_CARD
from workflow_scripts.training.store import MANIFEST
from workflow_scripts.training.trainer import ADAPTER_FILES
from workflow_scripts.training.trainer import TRAINING_LOG

prepare_config(config)
SLICES_MISSING = missing_slices(config)
if SLICES_MISSING:
    print(f"WARNING: {SLICES_MISSING}", file=sys.stderr)

FIRM_TYPES = config["firm_types"]
STAGES = ("base", "sft", "grpo")
IS_SIMULATED = config["panel"] == SIMULATED
IS_IMPORTED = config["panel"] == IMPORTED
IS_DEMO_MODEL = config["model"]["path"] == DEMO
IS_WARM_START = config["grpo"]["warm_start"] == "sft"
# Path variables reach files, not params.
RESULTS = f"results/{config['run']}"
PANEL = f"{RESULTS}/panel" if IS_SIMULATED or IS_IMPORTED else config["panel"].rstrip("/")
FORECASTERS = (*BASELINES, *STAGES, *(["oracle"] if IS_SIMULATED else []))
PUBLISHED_FILES = (*ADAPTER_FILES, TRAINING_LOG, MODEL_CARD, MANIFEST)
SEED_RUNS = [f"results/{run}" for run in config["evaluation"]["seed_runs"]]
COMPLETIONS_PER_STEP = config["grpo"]["per_device_train_batch_size"] * config["grpo"]["gradient_accumulation_steps"]

# Jobs use the interpreter of the running Snakemake, so that no environment has to be activated.
shell.prefix(f"set -euo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


def panel_slice(wildcards):
    """The slice of a firm type."""
    path = f"{PANEL}/{wildcards.firm_type}.parquet"
    return path if IS_SIMULATED or IS_IMPORTED or Path(path).is_file() else nothing_yet()


def import_source(wildcards):
    """The file to import, or all files of the folder."""
    source = Path(config["import"]["source"])
    return sorted(map(str, source.rglob("*.parquet"))) or (str(source) if source.is_file() else nothing_yet())


def nothing_yet():
    """A plan can be shown before the data are there; a run cannot begin."""
    if not workflow.dryrun:
        raise WorkflowError(SLICES_MISSING)
    return []


def to_json(settings):
    """Settings as one shell word; sorted, so that the order of keys in a config file reruns nothing."""
    return json.dumps(settings, sort_keys=True)


def as_json(settings):
    """`to_json` as a params value."""
    return literal(to_json(settings))


def literal(text):
    """A params value that Snakemake takes as it is: braces in a plain string would be wildcards."""
    return lambda wildcards: text


def pick(section, *keys):
    """The named keys of a config section: what a rule does not use must not rerun it."""
    return {key: config[section][key] for key in keys}


def prompt_settings():
    return {**pick("prompts", "target", "decimals", "identity"), **pick("windows", "history_quarters")}


def exemplar_template():
    return config["labels"]["think_template"] if config["labels"]["grpo_exemplar"] else ""


def reward_settings(rewards):
    """Settings of the named rewards; a constant of another reward must not rerun anything."""
    constants = {name for reward in rewards for name in REWARDS[reward].constants}
    return {**pick("rewards", *constants), **pick("prompts", "target")}


def training_settings(section):
    return {key: value for key, value in config[section].items() if key != "warm_start"}


def model_settings(path):
    return {**config["model"], "path": str(path)}


def base_model_input(wildcards):
    """The folder that must exist before the base model can be used; a hub name is no file."""
    if IS_DEMO_MODEL:
        return ["<results>/demo_model"]
    return [config["model"]["path"]] if Path(config["model"]["path"]).is_dir() else []


def base_model_path():
    return f"{RESULTS}/demo_model" if IS_DEMO_MODEL else config["model"]["path"]


def start_model_input(wildcards):
    """What GRPO starts from: the merged SFT model, or the base model."""
    return ["<results>/{firm_type}/merged/sft"] if IS_WARM_START else base_model_input(wildcards)


def start_model_path(wildcards):
    return f"{RESULTS}/{wildcards.firm_type}/merged/sft" if IS_WARM_START else base_model_path()


def arguments_checked(stage):
    """The gate that refuses misspelt extra arguments; without such arguments there is nothing to check."""
    return f"<results>/arguments/{stage}.json" if config[stage]["extra_args"] else []


def stage_inputs(wildcards):
    """Model and adapter files that the completions of a stage need."""
    if wildcards.stage == "base":
        return base_model_input(wildcards)
    adapter = [f"<results>/{{firm_type}}/adapters/{wildcards.stage}/{name}" for name in ADAPTER_FILES]
    model = base_model_input(wildcards) if wildcards.stage == "sft" else start_model_input(wildcards)
    return [*adapter, *model]


def stage_model(wildcards):
    path = start_model_path(wildcards) if wildcards.stage == "grpo" else base_model_path()
    return to_json(model_settings(path))


def stage_adapter(wildcards):
    if wildcards.stage == "base":
        return "none"
    return f"{RESULTS}/{wildcards.firm_type}/adapters/{wildcards.stage}"


def other_splits(pattern):
    """The files of all splits, for the test split's audit, which also compares splits; nothing for the others'."""
    return lambda wildcards: expand(pattern, split=SPLITS) if wildcards.split == SPLITS[-1] else []


def sample_settings(wildcards):
    shared = pick("sample", "time_buckets", "max_per_pair", "drop_zero_holding")
    return to_json({**shared, **config["sample"][wildcards.split]})


def following_start(split):
    """Where the next split begins; `open` for the last split."""
    later = SPLITS[SPLITS.index(split) + 1 :]
    return config["splits"][later[0]]["start"] if later else "open"


def next_split_start(wildcards):
    """`following_start`, if an embargo looks at it."""
    return following_start(wildcards.split) if config["splits"]["embargo_quarters"] else "open"


def audited_style(wildcards):
    """How the texts of a split's dataset are written, as far as its audit needs it."""
    think = {"sft": pick("labels", "think_template"), "grpo": {"exemplar_template": exemplar_template()}}
    return to_json({**pick("labels", "decimals"), **think.get(wildcards.split, {})})


def split_day(wildcards, side):
    return config["splits"][wildcards.split][side] or "open"
