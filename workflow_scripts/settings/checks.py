"""Checks of a configuration that no bound of a single setting can express: relations between settings."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import yaml

from workflow_scripts.holdings.forecasts.forecasters import KNOWN
from workflow_scripts.holdings.forecasts.stages import STAGES, TRAINED_STAGES
from workflow_scripts.holdings.panel.contract import FIRM_TYPES, KEYS
from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.holdings.rewards.rewards import REWARD_NAMES
from workflow_scripts.holdings.sec.panel_files import fundamental_files, identifier_files
from workflow_scripts.holdings.sec.zip_names import zip_names
from workflow_scripts.holdings.texts.conversations import check_think_template
from workflow_scripts.holdings.windows.splits import SPLITS, SplitSettings
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.flat_settings import flat_settings, is_below
from workflow_scripts.settings.config import DEMO, IMPORTED, SEC, SIMULATED, Config, resolved
from workflow_scripts.settings.uses import (
    adapter_path,
    completions_per_step,
    continued_stage,
    is_made,
    needed_stages,
    of_firm_type,
    reward_files,
    reward_plugins,
    rolled_paths,
    section,
    start_model,
)
from workflow_scripts.training.base_model import ModelSettings, check_model, model_files
from workflow_scripts.training.own_adapters import check_adapter, missing_files
from workflow_scripts.training.training_settings import GrpoSettings, LoraSettings
from workflow_scripts.training.validation import validates

# Options of ms-swift that take a secret, such as hub_token.
SECRET_NAME = re.compile(r"(^|_)(token|secret|password|api_key)$")
# An object of seven quantiles has some 80 to 120 tokens.
QUANTILE_TOKENS = 100
# What a finished run of another seed gives to a summary over seeds.
SEED_RUN_FILES = ("config.yaml", "summary/metrics.csv")


def check_config(config: Config) -> None:
    """Raise InputError naming the key and the remedy; every setting by itself is within its bounds."""
    _check_repeated("firm_types", config.firm_types)
    _check_repeated("evaluation.seed_runs", config.evaluation.seed_runs)
    _check_repeated("evaluation.rolling_runs", config.evaluation.rolling_runs)
    if config.run in config.evaluation.rolling_runs:
        raise InputError(
            f"evaluation.rolling_runs: {config.run} is this run; name the runs whose tests it puts together"
        )
    if config.base_run == config.run:
        raise InputError(f"base_run: {config.run} is this run; name another one, or leave base_run out")
    _check_splits(config.splits)
    _check_forecasters(config)
    _check_trainings(config)
    if config.model.device == "cpu":
        _check_cpu(config)
    if config.evaluation.top_k >= 1 and config.evaluation.top_k % 1:
        raise InputError(
            f"evaluation.top_k is {config.evaluation.top_k:g}; give a whole number of windows, or a share below 1"
        )
    if config.generation.samples > 1 and config.generation.temperature == 0:
        raise InputError("generation.samples is above 1 with temperature 0, which gives the same text every time")
    if config.prompts.answer == "quantiles":
        _check_quantiles(config)
    try:
        check_think_template(config.labels.think_template)
    except ValueError as error:
        raise InputError(f"labels.think_template: {error}") from error
    if config.labels.grpo_exemplar and config.labels.think == "none":
        raise InputError(
            "labels.grpo_exemplar shows a think block, and labels.think: none allows none; set grpo_exemplar: false"
        )
    if config.prompts.identity == "ticker" and not config.prompts.ticker_mapping:
        raise InputError("prompts.identity is ticker; name the CSV in prompts.ticker_mapping")
    _check_panel(config)
    _check_model_folder(config.model.path)


def _check_quantiles(config: Config) -> None:
    """What goes with answers that are quantiles; what the rewards make of them, the preflight sees."""
    if config.generation.samples > 1:
        raise InputError(
            "generation.samples is above 1 with prompts.answer: quantiles, where each completion is a distribution of "
            "its own; set generation.samples to 1, or prompts.answer to number"
        )
    lengths = {"generation.max_tokens": config.generation.max_tokens}
    for stage in needed_stages(config):
        if isinstance(section(config, stage), GrpoSettings):
            lengths[f"{stage}.max_completion_length"] = section(config, stage).max_completion_length
    for key, tokens in lengths.items():
        if tokens < QUANTILE_TOKENS:
            raise InputError(
                f"{key}: {tokens} tokens cut answers off that are seven quantiles; set at least {QUANTILE_TOKENS}, and "
                "what a think block takes beside it (config/recipes/quantiles.yaml has 512)"
            )


def _check_model_folder(model: str) -> None:
    """The files of a model are there; else the digest of its content would fail while jobs are planned."""
    if model == DEMO:
        return
    if model.startswith(("/", "./", "../", "~")) and not Path(model).is_dir():
        raise InputError(f"model.path: {model} is not a folder; name an existing one, or a model on the hub")
    if Path(model).is_dir():
        try:
            model_files(Path(model))
        except InputError as error:
            raise InputError(f"model.path: {error}") from error


def _check_forecasters(config: Config) -> None:
    """The evaluated stages are stages, and each of the user's own forecasters has a name of its own."""
    unknown = [name for name in config.evaluation.stages if name not in STAGES]
    if unknown:
        raise InputError(f"evaluation.stages: {', '.join(unknown)} is no stage; there are: {', '.join(STAGES)}")
    _check_repeated("evaluation.stages", config.evaluation.stages)
    if not (config.evaluation.stages or config.adapters or config.forecasts):
        raise InputError("evaluation.stages is empty; name a stage there, or an adapter or a file of forecasts")
    for key, names, others in (
        ("adapters", config.adapters, KNOWN),
        ("forecasts", config.forecasts, (*KNOWN, *config.adapters)),
    ):
        if taken := [name for name in names if name in others]:
            raise InputError(f"{key}: {', '.join(taken)} is the name of another forecaster; choose another one")
    for name, adapter in config.adapters.items():
        if adapter.base_model == DEMO and config.model.path != DEMO:
            raise InputError(
                f"adapters.{name}.base_model is demo, but this run has no demo model; name a folder or a hub name"
            )


def _check_trainings(config: Config) -> None:
    _check_rewards("evaluation.score_rewards", config.evaluation.score_rewards, reward_files(config))
    _check_repeated("rewards.plugins", reward_files(config))
    _check_installed("vllm", "generation.backend", config.generation.backend == "vllm")
    for stage in TRAINED_STAGES:
        training = section(config, stage)
        _check_installed("vllm", f"{stage}.use_vllm", getattr(training, "use_vllm", False))
        _check_installed("deepspeed", f"{stage}.deepspeed", bool(training.deepspeed))
        _check_installed(training.tracking, f"{stage}.tracking", training.tracking != "none")
        _check_validation(stage, training)
        _check_continued(config, stage)
        if isinstance(training, GrpoSettings):
            _check_rewards(f"{stage}.rewards", training.rewards, reward_files(config))
            _check_grpo(stage, training)
        for name in training.extra_args:
            if SECRET_NAME.search(name):
                raise InputError(
                    f"{stage}.extra_args.{name}: settings are written into the results; put a token into the "
                    "environment (HF_TOKEN), where jobs find it"
                )


def _check_cpu(config: Config) -> None:
    """Refuse what needs a GPU where the configuration says that none is used."""
    trainings = {stage: section(config, stage) for stage in TRAINED_STAGES}
    faults = ["model.torch_dtype: float16"] * (config.model.torch_dtype == "float16")
    faults += ["generation.backend: vllm"] * (config.generation.backend == "vllm")
    faults += [f"{stage}.use_vllm" for stage, training in trainings.items() if getattr(training, "use_vllm", False)]
    faults += [f"{stage}.deepspeed" for stage, training in trainings.items() if training.deepspeed]
    if faults:
        raise InputError(f"{', '.join(faults)} cannot be used with model.device: cpu; set model.device to auto")


def _check_validation(stage: str, training: LoraSettings) -> None:
    if training.validation_share and training.validation_quarters:
        raise InputError(f"{stage}.validation_share and {stage}.validation_quarters are both set; choose one of them")
    if not validates(training):
        for name, is_set in (("keep: best", training.keep == "best"), ("early_stopping", training.early_stopping)):
            if is_set:
                raise InputError(
                    f"{stage}: {name} needs a validation; set {stage}.validation_share or {stage}.validation_quarters"
                )


def _check_continued(config: Config, stage: str) -> None:
    """A training that goes on with an adapter has that adapter's shape, whatever its own settings say."""
    if parent := continued_stage(config, stage):
        ours, theirs = section(config, stage), section(config, parent)
        for name in ("lora_rank", "lora_alpha", "target_modules"):
            own, needed = getattr(ours, name), getattr(theirs, name)
            if own != needed:
                raise InputError(
                    f"{stage}.{name} is {own} and {parent}.{name} {needed}, but {stage}.warm_start: continue goes on "
                    f"with the adapter of {parent}, whose shape is fixed; set {stage}.{name} to {needed}"
                )


def _check_grpo(stage: str, training: GrpoSettings) -> None:
    if len(training.rewards) != len(training.reward_weights):
        raise InputError(
            f"{stage}.reward_weights has {len(training.reward_weights)} entries for {len(training.rewards)} "
            f"{stage}.rewards; give one weight per reward"
        )
    for name in ("structured_outputs", "offload_model", "offload_optimizer"):
        if getattr(training, name) and not training.use_vllm:
            raise InputError(f"{stage}.{name} needs vLLM; set {stage}.use_vllm to true, or leave it out")
    shared, accumulated = training.steps_per_generation, training.gradient_accumulation_steps
    passes = "gradient_accumulation_steps" if shared is None else "steps_per_generation"
    batch = completions_per_step(training) * training.num_gpus
    if batch % training.num_generations:
        raise InputError(
            f"{stage}: per_device_train_batch_size x {passes} x num_gpus = {batch} completions are "
            f"not divisible by num_generations = {training.num_generations}; a group must not be torn apart"
        )
    if shared and shared % accumulated and accumulated % shared:
        raise InputError(
            f"{stage}.steps_per_generation: {shared} is neither a multiple nor a divisor of "
            f"gradient_accumulation_steps = {accumulated}; an update would mix two rollouts"
        )
    _check_loss(stage, training)


def _check_loss(stage: str, training: GrpoSettings) -> None:
    """Refuse what ms-swift would take and do something else with, or nothing."""
    high, loss = training.epsilon_high, training.loss_type
    if loss == "cispo" and (high is None or high < 1):
        raise InputError(
            f"{stage}.epsilon_high: the loss cispo caps the ratio itself at it, and at {high or training.epsilon} it "
            "would cut every token's weight; set it above 1, such as 5.0"
        )
    updates = (training.steps_per_generation or 0) // training.gradient_accumulation_steps
    if updates < 2 and training.extra_args.get("num_iterations", 1) == 1:
        idle = ["importance_sampling_level"] * (training.importance_sampling_level != "token")
        idle += ["epsilon_high"] * (high is not None and loss != "cispo")
        if idle:
            raise InputError(
                f"{stage}.{idle[0]} does nothing where each rollout gives one update, because the policy is then the "
                "one that drew it; set steps_per_generation to a multiple of gradient_accumulation_steps "
                f"(= {training.gradient_accumulation_steps})"
            )


def _check_installed(package: str, key: str, is_used: bool) -> None:
    """Refuse a setting whose package is missing: its job would fail when it has waited for its GPU."""
    if is_used and importlib.util.find_spec(package) is None:
        raise InputError(
            f"{key} needs the package {package}, which is not installed beside Snakemake; install it there"
        )


def _check_rewards(key: str, names: Sequence[str], plugins: Sequence[str]) -> None:
    """What the user's own files register is known once they are run (`check_own_rewards`)."""
    unknown = [name for name in names if name not in REWARD_NAMES]
    if unknown and not plugins:
        raise InputError(
            f"{key}: {', '.join(unknown)} is no reward; there are: {', '.join(REWARD_NAMES)}, and those of your own if "
            "rewards.plugins names their file"
        )
    _check_repeated(key, names)


def _check_repeated(key: str, values: Sequence[str]) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise InputError(f"{key}: {', '.join(repeated)} stands there more than once; name it once")


def _check_panel(config: Config) -> None:
    if config.panel == SIMULATED:
        missing = [name for name in config.firm_types if name not in config.simulation.drift]
        if missing:
            raise InputError(f"simulation.drift has no {', '.join(missing)}; every firm type needs one")
        if config.simulation.first_year > config.simulation.last_year:
            raise InputError("simulation.first_year lies after simulation.last_year")
    if config.import_ is not None and config.panel != IMPORTED:
        raise InputError(f"import is there, but panel is {config.panel}; write panel: imported, or leave import out")
    if config.panel == IMPORTED:
        if config.import_ is None:
            raise InputError("import is missing; panel: imported needs it")
        for column, recipe in config.import_.columns.items():
            if recipe is None and column in (*KEYS, "holding_t"):
                raise InputError(f"import.columns.{column} is null; keys and holding_t cannot be missing")


def _check_splits(splits: SplitSettings) -> None:
    """Splits follow each other, quarter by quarter, without an overlap."""
    previous = None
    for name in SPLITS:
        period = getattr(splits, name)
        start, end = (None if day is None else int(quarter_ids([day])[0]) for day in (period.start, period.end))
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


def missing_inputs(config: Config) -> list[str]:
    """What to tell the user of each file or folder that the configuration names and that is not there."""
    files = [("prompts.ticker_mapping", config.prompts.ticker_mapping)] if config.prompts.ticker_mapping else []
    files += [("rewards.plugins", path) for path in reward_files(config)]
    if config.replay is not None:
        replayed = [("replay.completions", config.replay.completions), ("replay.dataset", config.replay.dataset)]
        files += [(key, path) for key, path in replayed if not is_made(config, path)]
    files += [
        (f"forecasts.{name}", of_firm_type(path, firm_type))
        for name, path in config.forecasts.items()
        for firm_type in config.firm_types
    ]
    for name, adapter in config.adapters.items():
        for firm_type in config.firm_types:
            folder = of_firm_type(adapter.path, firm_type)
            files += [(f"adapters.{name}.path", f"{folder}/{file}") for file in missing_files(folder)]
    if config.base_run:
        files.append(("base_run", f"results/{config.base_run}/config.yaml"))
    for run in config.evaluation.seed_runs:
        key = "seeds (make seeds makes their runs)" if config.seeds else "evaluation.seed_runs"
        files += [(key, f"results/{run}/{name}") for name in SEED_RUN_FILES]
    files += [
        ("evaluation.rolling_runs", path) for firm_type in config.firm_types for path in rolled_paths(config, firm_type)
    ]
    faults = [f"{key}: {path} does not exist" for key, path in files if not Path(path).is_file()]
    faults += [*_missing_base_models(config), *_missing_sec_files(config)]
    return [fault for fault in (_missing_slices(config), *dict.fromkeys(faults)) if fault]


# What the panel and its windows depend on: where they differ, nothing can be taken from another run.
OF_WINDOWS = ("panel", "panel_exits", "import", "sec", "simulation", "checks", "windows")


def check_base_run(config: Config) -> None:
    """Raise InputError naming the settings in which a run and its base run differ so that nothing could be taken.

    A key that one of them does not have, because an older version made it, is not compared.
    """
    path = Path(f"results/{config.base_run}/config.yaml")
    ours, theirs = flat_settings(resolved(config)), flat_settings(yaml.safe_load(path.read_text(encoding="utf-8")))
    names = (*OF_WINDOWS, *(["seed"] if config.panel == SIMULATED else []))
    differing = [
        f"{key} ({theirs[key]} there, {ours[key]} here)"
        for key in ours
        if is_below(key, names) and key in theirs and ours[key] != theirs[key]
    ]
    if differing:
        raise InputError(
            f"base_run: {config.base_run} has another panel or other windows, so that nothing of it can be taken: "
            f"{', '.join(differing)}. Set that as in {path}, or leave base_run out"
        )
    if not set(config.firm_types) & set(theirs["firm_types"]):
        raise InputError(f"base_run: {config.base_run} has none of the firm types {', '.join(config.firm_types)}")


def _missing_base_models(config: Config) -> list[str]:
    """Base models of the user's own adapters that are written as folders, not as names on the hub, and are none."""
    bases = {
        (name, of_firm_type(adapter.base_model, firm_type))
        for name, adapter in config.adapters.items()
        for firm_type in config.firm_types
    }
    return [
        f"adapters.{name}.base_model: the folder {base} does not exist"
        for name, base in sorted(bases)
        if (base.count("/") > 1 or base.startswith(("/", ".", "~")))
        and not Path(base).is_dir()
        and not is_made(config, base)
    ]


def _missing_sec_files(config: Config) -> list[str]:
    """Files and folders of section sec, beside the zips, that are not there or hold nothing of use."""
    if config.panel != SEC:
        return []
    own = config.sec
    files = {name: getattr(own, name) for name in ("types", "values")}
    faults = [f"sec.{name}: {path} does not exist" for name, path in files.items() if path and not Path(path).is_file()]
    if own.identifiers and not identifier_files(own.identifiers):
        faults.append(f"sec.identifiers: {own.identifiers} holds no cnsfails*.zip and no CSV; fill it, or write null")
    if own.fundamentals and not fundamental_files(own.fundamentals):
        faults.append(
            f"sec.fundamentals: {own.fundamentals} is no CSV and no folder with zips such as 2020q1.zip; fill it, or "
            "write null"
        )
    return faults


def _missing_slices(config: Config) -> str:
    if config.import_ is not None and config.panel == IMPORTED:
        source = Path(config.import_.source)
        if source.is_dir() and not any(source.rglob("*.parquet")):
            return f"import.source: {source} holds no parquet file"
        return "" if source.exists() else f"import.source: {source} does not exist"
    if config.panel == SEC:
        zips = Path(config.sec.zips)
        return (
            ""
            if zip_names(zips)
            else f"sec.zips: {zips} holds no *form13f*.zip of the SEC's; make download-sec fetches them"
        )
    folder = Path(config.panel)
    if config.panel == SIMULATED:
        return ""
    there = sorted(path.stem for path in folder.glob("*.parquet") if path.is_file())
    missing = [name for name in config.firm_types if name not in there]
    if not missing:
        return ""
    if other := _other_layout(folder):
        return f"panel: {folder} {other}; write panel: imported, and import: {{source: {folder}}} (data/README.md)"
    return (
        f"panel: {folder} has no slice for {', '.join(missing)}; there are: {', '.join(there) or 'none'}. "
        "Add {firm_type}.parquet (data/README.md) or change firm_types"
    )


def _other_layout(path: Path) -> str:
    """What stands where slices are looked for, if it is a panel in another layout; empty where it is not."""
    if path.is_file():
        return "is a file, not a folder with one slice per firm type"
    parts = (
        [one for one in sorted(path.iterdir()) if one.is_dir() and any(one.rglob("*.parquet"))] if path.is_dir() else []
    )
    if hive := [one.name for one in parts if "=" in one.name]:
        return f"is partitioned into folders ({hive[0]})"
    if parts:
        return f"holds a folder of part files ({parts[0].name})"
    files = sorted(path.glob("*.parquet"))
    is_parts = files and not any(one.stem in FIRM_TYPES for one in files)
    return f"holds part files ({files[0].name})" if is_parts else ""


def check_models(config: Config, jobs: Iterable[tuple[str, str]]) -> None:
    """Raise InputError for a model or an adapter that the jobs, (stage, firm type), cannot use.

    What the run makes itself, the demo's model, is not there yet.
    """
    models: dict[ModelSettings, None] = {}
    for stage, firm_type in jobs:
        if adapter := config.adapters.get(stage):
            model, path = start_model(config, firm_type, stage), adapter.base_model
            if path != DEMO:
                check_adapter(adapter_path(config, firm_type, stage), model)
        else:
            model = config.model
            path = model.path
        if path != DEMO:
            models[model] = None
    for model in models:
        check_model(model)


def check_probes(config: Config, rules: Collection[str]) -> None:
    """Raise InputError where a job of the rules would rank answers that are quantiles: no set of them is fair.

    The probe of the last digits needs answers that differ in these alone, each as likely as the others to a model that
    has not seen the true one; a label of quantiles holds the true number seven times over.
    """
    if config.prompts.answer == "quantiles" and {"build_probes", "rank_answers", "score_probes"} & set(rules):
        raise InputError(
            "the target probe compares the probabilities of answers that are one number each, and prompts.answer is "
            "quantiles; probe a run with prompts.answer: number"
        )


_LOAD = """
import json, sys
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.training.own_rewards import load_rewards
try:
    load_rewards(*json.load(sys.stdin))
except InputError as error:
    sys.exit(str(error))
"""


def check_own_rewards(config: Config, rules: Collection[str], code: Path) -> None:
    """Raise InputError where a job of the rules needs a reward that the user's files do not register.

    In a process of its own, which finds the modules below `code` as the jobs do: the files are programs, and ms-swift
    takes seconds to import.
    """
    names = set(config.evaluation.score_rewards) if {"score_rewards", "replay_rewards"} & set(rules) else set()
    for stage in needed_stages(config):
        if {"preflight_rewards", "train_grpo"} & set(rules) and STAGES[stage].method == "grpo":
            names |= set(section(config, stage).rewards)
    plugins = reward_plugins(config, sorted(names))
    if not plugins:
        return
    environment = os.environ | {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}
    call = [sys.executable, "-c", _LOAD]
    content = json.dumps([plugins, sorted(names)])
    result = subprocess.run(call, input=content, capture_output=True, text=True, env=environment)
    if result.returncode:
        raise InputError(f"rewards.plugins: {result.stderr.strip()}")
