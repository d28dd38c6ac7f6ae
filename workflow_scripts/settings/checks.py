"""Checks of a configuration that a schema cannot express: relations between keys."""

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from workflow_scripts.holdings.panel.contract import KEYS
from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.holdings.texts.conversations import check_think_template
from workflow_scripts.holdings.windows.splits import SPLITS
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError

SCHEMA = ROOT / "config/config.schema.yaml"
SIMULATED = "simulated"
IMPORTED = "imported"
DEMO = "demo"
# Options of ms-swift that take a secret, such as hub_token.
SECRET_NAME = re.compile(r"(^|_)(token|secret|password|api_key)$")


def prepare_config(config: dict) -> None:
    """Types, schema and cross-checks of a Snakemake config, in place; WorkflowError for what is wrong."""
    restore_types(config, yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    validate(config, str(SCHEMA))
    try:
        check_config(config)
    except InputError as error:
        raise WorkflowError(f"config: {error}") from error


def restore_types(config: dict, schema: Mapping, root: Mapping | None = None) -> None:
    """Turn text leaves into the schema's types, in place.

    Snakemake reads nested values of `--config 'grpo={"beta": 0.04}'` as text. Only text where the schema
    allows none, or a written-out null where it allows one, is read as YAML; the schema then judges it.
    """
    root = schema if root is None else root
    for key, child in schema.get("properties", {}).items():
        if "$ref" in child:
            child = root["$defs"][child["$ref"].rsplit("/", 1)[1]]
        value, types = config.get(key), child.get("type", "string")
        if isinstance(value, dict):
            restore_types(value, child, root)
        elif isinstance(value, list) and child.get("items", {}).get("type", "string") != "string":
            config[key] = [yaml.safe_load(v) if isinstance(v, str) else v for v in value]
        elif isinstance(value, str) and ("string" not in types or ("null" in types and value == "null")):
            config[key] = yaml.safe_load(value)


def check_config(config: Mapping) -> None:
    """Raise InputError naming the key and the remedy; `config` has passed the schema."""
    _check_splits(config["splits"])
    grpo = config["grpo"]
    if len(grpo["rewards"]) != len(grpo["reward_weights"]):
        raise InputError(
            f"grpo.reward_weights has {len(grpo['reward_weights'])} entries for {len(grpo['rewards'])} grpo.rewards; "
            "give one weight per reward"
        )
    batch = grpo["per_device_train_batch_size"] * grpo["gradient_accumulation_steps"] * grpo["num_gpus"]
    if batch % grpo["num_generations"]:
        raise InputError(
            f"grpo: per_device_train_batch_size x gradient_accumulation_steps = {batch} completions are not divisible "
            f"by num_generations = {grpo['num_generations']}; a group must not be torn apart"
        )
    for section in ("sft", "grpo"):
        for name in config[section]["extra_args"]:
            if SECRET_NAME.search(name):
                raise InputError(
                    f"{section}.extra_args.{name}: settings are written into the results; put a token into the "
                    "environment (HF_TOKEN), where jobs find it"
                )
    generation = config["generation"]
    if generation["samples"] > 1 and generation["temperature"] == 0:
        raise InputError("generation.samples is above 1 with temperature 0, which gives the same text every time")
    try:
        check_think_template(config["labels"]["think_template"])
    except ValueError as error:
        raise InputError(f"labels.think_template: {error}") from error
    prompts = config["prompts"]
    if prompts["identity"] == "ticker" and not prompts["ticker_mapping"]:
        raise InputError("prompts.identity is ticker; name the CSV in prompts.ticker_mapping")
    if config["panel"] == SIMULATED:
        simulation = _needed(config, "simulation", "panel: simulated")
        missing = [name for name in config["firm_types"] if name not in simulation["drift"]]
        if missing:
            raise InputError(f"simulation.drift has no {', '.join(missing)}; every firm type needs one")
        if simulation["first_year"] > simulation["last_year"]:
            raise InputError("simulation.first_year lies after simulation.last_year")
    if config["panel"] == IMPORTED:
        for column, recipe in _needed(config, "import", "panel: imported").get("columns", {}).items():
            if recipe is None and column in (*KEYS, "holding_t"):
                raise InputError(f"import.columns.{column} is null; keys and holding_t cannot be missing")
        for side in ("start", "end"):
            if config["import"].get(side):
                _quarter(f"import.{side}", config["import"][side])
    model = config["model"]["path"]
    if model == DEMO:
        _needed(config, "demo_model", "model.path: demo")
    elif model.startswith(("/", "./", "../", "~")) and not Path(model).is_dir():
        raise InputError(f"model.path: {model} is not a folder; name an existing one, or a model on the hub")


def _needed(config: Mapping, key: str, reason: str) -> Mapping:
    if key not in config:
        raise InputError(f"{key} is missing; {reason} needs it")
    return config[key]


def _quarter(key: str, day: str) -> int:
    try:
        return int(quarter_ids([dt.date.fromisoformat(day)])[0])
    except ValueError as error:
        raise InputError(f"{key}: {day} is not a day ({error})") from error


def _check_splits(splits: Mapping) -> None:
    """Splits follow each other, quarter by quarter, without an overlap."""
    previous = None
    for name in SPLITS:
        start, end = (
            None if splits[name][side] is None else _quarter(f"splits.{name}.{side}", splits[name][side])
            for side in ("start", "end")
        )
        if start is not None and end is not None and start > end:
            raise InputError(f"splits.{name} ends before it starts")
        if previous is not None:
            earlier, earlier_end = previous
            if earlier_end is None or start is None:
                raise InputError(
                    f"splits.{earlier}.end and splits.{name}.start must be given: {name} comes after {earlier}"
                )
            if start <= earlier_end:
                raise InputError(
                    f"splits.{name} starts in a quarter that splits.{earlier} still covers; splits are in the order "
                    f"{', '.join(SPLITS)} and do not overlap"
                )
        previous = name, end


def missing_slices(config: Mapping) -> str:
    """What to tell the user about configured firm types without a slice; empty where all are there."""
    if config["panel"] == IMPORTED:
        source = Path(config["import"]["source"])
        if source.is_dir() and not any(source.rglob("*.parquet")):
            return f"import.source: {source} holds no parquet file"
        return "" if source.exists() else f"import.source: {source} does not exist"
    folder = Path(config["panel"])
    there = sorted(path.stem for path in folder.glob("*.parquet"))
    missing = [name for name in config["firm_types"] if name not in there]
    if config["panel"] == SIMULATED or not missing:
        return ""
    return (
        f"panel: {folder} has no slice for {', '.join(missing)}; there are: {', '.join(there) or 'none'}. "
        "Add {firm_type}.parquet (data/README.md) or change firm_types"
    )
