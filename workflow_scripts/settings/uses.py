"""Which settings each rule uses: exactly these reach its job, as one JSON, so that no other setting reruns it.

`USES` has a function per rule, from the configuration and the job's wildcards to what the rule's entry module
reads into its `Settings`. A whole section is passed where a rule uses it whole: a new key of such a section then needs
no line here.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Protocol

from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.forecasters import ORACLE
from workflow_scripts.holdings.forecasts.stages import BASE, STAGES, TRAINED_STAGES, stages_by
from workflow_scripts.holdings.panel.contract import FirmType
from workflow_scripts.holdings.panel.simulation import SimulationSettings
from workflow_scripts.holdings.rewards.rewards import REWARD_NAMES, constants_of
from workflow_scripts.holdings.sec.filing_settings import FilingSettings
from workflow_scripts.holdings.sec.panel_settings import SecPanelSettings
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.prompts import PromptStyle
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.holdings.windows.sampling import Stratification
from workflow_scripts.holdings.windows.splits import SPLITS
from workflow_scripts.settings.config import DEMO, MADE_PANELS, OWN_SLICES, SIMULATED, Config, resolved
from workflow_scripts.training.base_model import ModelSettings, model_identity
from workflow_scripts.training.own_adapters import adapter_identity, missing_files
from workflow_scripts.training.training_settings import GrpoSettings


class Wildcards(Protocol):
    """The wildcards of a job; a rule has those of its paths."""

    firm_type: FirmType
    split: str
    stage: str


Content = dict[str, Any]


def settings_of(config: Config, rule: str) -> Callable[[Wildcards], str]:
    """The settings of a rule's job as a params function: JSON with sorted keys, whose order then reruns nothing."""
    return lambda wildcards: json.dumps(USES[rule](config, wildcards), sort_keys=True)


def part(section: Any, cls: type) -> Content:
    """The fields of a section that `cls` has."""
    return {one.name: getattr(section, one.name) for one in fields(cls)}


def run_folder(config: Config) -> str:
    """Everything that a run makes lies below this folder."""
    return f"results/{config.run}"


def base_model_path(config: Config) -> str:
    """Folder of the base model, or its name on a hub."""
    return f"{run_folder(config)}/demo_model" if config.model.path == DEMO else config.model.path


def section(config: Config, stage: str) -> Any:
    """The section of a trained stage: it has the stage's name."""
    return getattr(config, stage)


def start_stage(config: Config, stage: str) -> str:
    """The stage whose model another one starts from: its parent, unless its section has a `warm_start` of its own.

    A stage that goes on with another one's adapter starts from the model that this adapter was trained on.
    """
    if stage == BASE:
        return BASE
    if parent := continued_stage(config, stage):
        return start_stage(config, parent)
    chosen = getattr(section(config, stage), "warm_start", STAGES[stage].parent)
    return BASE if chosen == "none" else chosen


def continued_stage(config: Config, stage: str) -> str:
    """The stage whose adapter another one goes on with, empty where it starts a new one."""
    is_continued = getattr(section(config, stage), "warm_start", "") == "continue"
    return STAGES[stage].parent if is_continued else ""


def evaluated_stages(config: Config) -> tuple[str, ...]:
    """The stages that are evaluated, in the order of their training."""
    return tuple(name for name in STAGES if name in config.evaluation.stages)


def needed_stages(config: Config) -> tuple[str, ...]:
    """The stages that are trained: those that are evaluated, and those that these start from, in their order.

    None where the runs of a rolling origin have trained them.
    """
    needed = set()
    for stage in evaluated_stages(config) if not config.evaluation.rolling_runs else ():
        while stage != BASE:
            needed.add(stage)
            stage = continued_stage(config, stage) or start_stage(config, stage)
    return tuple(name for name in TRAINED_STAGES if name in needed)


def forecasters(config: Config) -> tuple[str, ...]:
    """All forecasters of a run, in the order of the tables."""
    oracle = [ORACLE] if config.panel == SIMULATED else []
    return (*BASELINES, *models(config), *config.forecasts, *oracle)


def models(config: Config) -> tuple[str, ...]:
    """The forecasters that complete prompts: the evaluated stages, and adapters of the user's own."""
    return (*evaluated_stages(config), *config.adapters)


def without_model(config: Config) -> tuple[str, ...]:
    """All other forecasters: baselines and files of forecasts."""
    return tuple(name for name in forecasters(config) if name not in models(config))


def rolled_paths(config: Config, firm_type: str) -> list[str]:
    """What the runs of a rolling origin have made and this run puts together, of one firm type."""
    names = ["datasets/test.jsonl", "evaluation/baseline_choice.csv"]
    names += [f"completions/{m}.{k}" for m in models(config) for k in ("jsonl", "json")]
    names += [f"predictions/{name}.csv" for name in without_model(config)]
    runs = [f"results/{run}" for run in config.evaluation.rolling_runs]
    return [path for run in runs for path in (f"{run}/config.yaml", *(f"{run}/{firm_type}/{name}" for name in names))]


def of_firm_type(path: str, firm_type: str) -> str:
    """A path of the user's with the firm type in its place.

    >>> of_firm_type("theirs/{firm_type}.csv", "banks")
    'theirs/banks.csv'
    """
    return path.replace("{firm_type}", firm_type)


def start_model(config: Config, firm_type: str, stage: str) -> ModelSettings:
    """The model on which an adapter is trained and answers: of a stage, or one of the user's own.

    Precision and trust are those of the run's model in either case.
    """
    if adapter := config.adapters.get(stage):
        own = of_firm_type(adapter.base_model, firm_type)
        pinned = config.model.revision if own == config.model.path else ""
        return replace(
            config.model,
            path=base_model_path(config) if own == DEMO else own,
            revision=pinned if adapter.revision is None else adapter.revision,
            model_type=config.model.model_type if adapter.model_type is None else adapter.model_type,
            template=config.model.template if adapter.template is None else adapter.template,
        )
    start = start_stage(config, stage)
    path = base_model_path(config) if start == BASE else f"{run_folder(config)}/{firm_type}/merged/{start}"
    return replace(config.model, path=path)


def adapter_path(config: Config, firm_type: str, stage: str) -> str:
    """Folder of the adapter of a stage, or of the user's own; the word none for the base model."""
    if adapter := config.adapters.get(stage):
        return of_firm_type(adapter.path, firm_type)
    return "none" if stage == BASE else f"{run_folder(config)}/{firm_type}/adapters/{stage}"


def is_made(config: Config, path: str) -> bool:
    """Whether the run itself makes a file or folder, so that it is not the user's own and need not be there."""
    return path.startswith(f"{run_folder(config)}/")


def made_start_models(config: Config, firm_type: str, stage: str) -> list[str]:
    """The start model of a stage or of an adapter where a rule of this run makes it; else none."""
    path = start_model(config, firm_type, stage).path
    has_rule = stage in STAGES or path == base_model_path(config)
    return [path] if has_rule and is_made(config, path) else []


def own_digests(config: Config, firm_type: str, stage: str) -> list[str]:
    """What start model and adapter are by content, where they are the user's own; of a hub's model its name."""
    is_made = made_start_models(config, firm_type, stage)
    found = [] if is_made else [model_identity(start_model(config, firm_type, stage).path)]
    folder = adapter_path(config, firm_type, stage)
    is_own = stage in config.adapters and not missing_files(folder)
    return [*found, *([adapter_identity(folder)] if is_own else [])]


def completions_per_step(training: GrpoSettings) -> int:
    """Completions that one process of GRPO scores together, those of a rollout: what a batch is for a reward."""
    steps = training.steps_per_generation or training.gradient_accumulation_steps
    return training.per_device_train_batch_size * steps


def reward_settings(config: Config, names: Sequence[str]) -> Content:
    """The named rewards with their constants: a constant of another reward must not rerun anything."""
    constants = {name: constants_of(name, config.rewards) for name in names if name in REWARD_NAMES}
    return {
        "names": list(names),
        "constants": constants,
        **contract(config),
        "plugins": reward_plugins(config, names),
    }


def contract(config: Config) -> Content:
    """What a completion must look like."""
    return asdict(Contract(config.prompts.target, has_think(config), config.prompts.answer))


def reward_plugins(config: Config, names: Sequence[str]) -> list[str]:
    """The files of the user's own rewards, where one of the names is not the workflow's."""
    return [] if set(names) <= set(REWARD_NAMES) else reward_files(config)


def reward_files(config: Config) -> list[str]:
    """All files of the user's own rewards."""
    return config.rewards.plugins  # type: ignore[attr-defined]  # the section's class is put together at run time


def following_start(config: Config, split: str) -> str | None:
    """First day of the next split; None for the last one."""
    later = SPLITS[SPLITS.index(split) + 1 :]
    return getattr(config.splits, later[0]).start if later else None


def has_think(config: Config) -> bool:
    """Whether a think block stands before the answer."""
    return config.labels.think != "none"


def _prompts(config: Config) -> Content:
    quarters = config.windows.history_quarters
    return {**part(config.prompts, PromptStyle), "history_quarters": quarters, "think": has_think(config)}


def _model(config: Config, path: str) -> Content:
    return {**asdict(config.model), "path": path}


def _think(config: Config) -> Content | None:
    """How the think blocks of SFT are written; None where there are none, so that an unused template reruns nothing."""
    labels = config.labels
    style = {"template": labels.think_template, "decimals": labels.decimals, "ratio_decimals": labels.ratio_decimals}
    return style if has_think(config) else None


def _exemplar(config: Config) -> Content | None:
    """How GRPO prompts close with an example; None where they do not."""
    return _think(config) if config.labels.grpo_exemplar and config.labels.think_template else None


def _training(config: Config, stage: str) -> Content:
    return {name: value for name, value in asdict(section(config, stage)).items() if name != "warm_start"}


def _start_adapter(config: Config, wildcards: Wildcards) -> str:
    """Folder of the adapter that a stage goes on with, empty where there is none."""
    parent = continued_stage(config, wildcards.stage)
    return adapter_path(config, wildcards.firm_type, parent) if parent else ""


def _start_model(config: Config, wildcards: Wildcards) -> Content:
    return asdict(start_model(config, wildcards.firm_type, wildcards.stage))


def _split_windows(config: Config, split: str) -> Content:
    embargo = config.splits.embargo_quarters
    return {
        "seed": config.seed,
        "history_quarters": config.windows.history_quarters,
        "period": asdict(getattr(config.splits, split)),
        # Without an embargo nobody looks at the next split.
        "next_start": following_start(config, split) if embargo else None,
        "embargo_quarters": embargo,
        "needs_active_change": TARGETS[config.prompts.target].change.needs_prices,
    }


def _sample_windows(config: Config, wildcards: Wildcards) -> Content:
    sample = part(config.sample, Stratification) | asdict(getattr(config.sample, wildcards.split))
    return {**_split_windows(config, wildcards.split), "sample": sample}


def _collect_training_windows(config: Config, wildcards: Wildcards) -> Content:
    splits = {split: _split_windows(config, split) for split in SPLITS[:-1]}
    return {"splits": splits, "drop_zero_holding": config.sample.drop_zero_holding, **asdict(config.baselines)}


def _audit_leakage(config: Config, wildcards: Wildcards) -> Content:
    split = wildcards.split
    return {
        "seed": config.seed,
        "prompts": _prompts(config),
        "think": {"sft": _think(config), "grpo": _exemplar(config)}.get(split),
        "period": asdict(getattr(config.splits, split)),
        "next_start": following_start(config, split),
        "embargo_quarters": config.splits.embargo_quarters,
    }


def _build_demo_model(config: Config, wildcards: Wildcards) -> Content:
    return {
        "seed": config.seed,
        "demo_model": asdict(config.demo_model),
        # Its corpus has no tickers.
        "prompts": {**_prompts(config), "identity": "permno"},
        "think": _think(config),
        "decimals": config.labels.decimals,
    }


def _train(config: Config, wildcards: Wildcards) -> Content:
    return {
        "seed": config.seed,
        "model": _start_model(config, wildcards),
        "training": _training(config, wildcards.stage),
    }


def _train_grpo(config: Config, wildcards: Wildcards) -> Content:
    rewards = reward_settings(config, section(config, wildcards.stage).rewards)
    return {**_train(config, wildcards), "rewards": rewards, "start_adapter": _start_adapter(config, wildcards)}


def _preflight_rewards(config: Config, wildcards: Wildcards) -> Content:
    training = section(config, wildcards.stage)
    return {
        "seed": config.seed,
        "weights": training.reward_weights,
        "rewards": reward_settings(config, training.rewards),
        "num_generations": training.num_generations,
        "completions_per_step": completions_per_step(training),
        "limits": asdict(config.preflight),
    }


def _generate_completions(config: Config, wildcards: Wildcards) -> Content:
    return {
        "seed": config.seed,
        "model": _start_model(config, wildcards),
        "generation": asdict(config.generation),
    }


def _check_answers(config: Config, wildcards: Wildcards) -> Content:
    generation = asdict(config.generation)
    return {"model": _start_model(config, wildcards), "generation": generation, "contract": contract(config)}


def _build_probes(config: Config, wildcards: Wildcards) -> Content:
    return {
        "seed": config.seed,
        "probes": asdict(config.probes),
        "prompts": _prompts(config),
        "think": _think(config),
        "decimals": config.labels.decimals,
    }


def _score_probes(config: Config, wildcards: Wildcards) -> Content:
    cutoff = config.evaluation.knowledge_cutoff
    limits = {"close": config.probes.close, "confidence": config.evaluation.confidence, "knowledge_cutoff": cutoff}
    return {"target": config.prompts.target, "think": has_think(config), **limits}


def _sample_forecast_windows(config: Config, wildcards: Wildcards) -> Content:
    return {
        "seed": config.seed,
        "history_quarters": config.windows.history_quarters,
        "drop_zero_holding": config.sample.drop_zero_holding,
        "forecast": asdict(config.forecast),
    }


def _predict_baselines(config: Config, wildcards: Wildcards) -> Content:
    law, oracle = config.simulation, None
    if config.panel == SIMULATED:
        # What the oracle knows.
        oracle = {"drift": law.drift[wildcards.firm_type], "persistence": law.persistence}
    return {"target": config.prompts.target, "oracle": oracle}


def _evaluate_forecasts(config: Config, wildcards: Wildcards) -> Content:
    adapters = config.adapters
    return {
        "metrics": part(config.evaluation, EvaluationSettings),
        "sources": {name: one.path for name, one in adapters.items()} | config.forecasts,
        "base_models": dict.fromkeys(evaluated_stages(config), config.model.path)
        | {name: one.base_model for name, one in adapters.items()},
    }


def _kind_of_panel(config: Config) -> str:
    """Where the slices come from, without a path."""
    return config.panel if config.panel in MADE_PANELS else OWN_SLICES


def told(config: Config) -> Content:
    """What the report says of the configuration: no path, so that a panel or a model that moves makes no new page."""
    drawn = config.generation
    return {
        "panel": _kind_of_panel(config),
        "seed": config.seed,
        "splits": asdict(config.splits),
        "history_quarters": config.windows.history_quarters,
        **{name: getattr(drawn, name) for name in ("samples", "temperature", "max_tokens")},
        "answer": config.prompts.answer,
    }


def _score_rewards(config: Config, wildcards: Wildcards) -> Content:
    return {
        "rewards": reward_settings(config, config.evaluation.score_rewards),
        # Completions of every stage are replayed in batches of the first stage that trains with rewards.
        "completions_per_step": completions_per_step(section(config, stages_by("grpo")[0])),
    }


USES: dict[str, Callable[[Config, Wildcards], Content]] = {
    "simulate_panel": lambda c, w: {
        "seed": c.seed,
        "simulation": part(c.simulation, SimulationSettings),
        "drift": c.simulation.drift[w.firm_type],
    },
    "import_panel": lambda c, w: asdict(c.import_),  # type: ignore[arg-type]  # the rule is there with a section only
    "build_sec_positions": lambda c, w: part(c.sec, FilingSettings),
    "build_sec_panel": lambda c, w: {
        "panel": part(c.sec, SecPanelSettings),
        "min_price_filers": c.sec.min_price_filers,
    },
    "check_panel": lambda c, w: asdict(c.checks),
    "build_windows": lambda c, w: asdict(c.windows),
    "sample_windows": _sample_windows,
    "audit_sample": lambda c, w: {**_sample_windows(c, w), "set_aside": c.windows.set_aside},
    "collect_training_windows": _collect_training_windows,
    "build_prompts": lambda c, w: _prompts(c),
    "build_sft_dataset": lambda c, w: {
        "target": c.prompts.target,
        "decimals": c.labels.decimals,
        "think": _think(c),
        "answer": c.prompts.answer,
    },
    "build_grpo_dataset": lambda c, w: {"target": c.prompts.target, "exemplar": _exemplar(c)},
    "pool_runs": lambda c, w: {"models": models(c), "others": without_model(c)},
    "predict_baselines": _predict_baselines,
    "choose_baseline": lambda c, w: {"target": c.prompts.target},
    "audit_leakage": _audit_leakage,
    "audit_baselines": lambda c, w: {"seed": c.seed, "target": c.prompts.target, "splits": asdict(c.splits)},
    "write_dataset_card": lambda c, w: {
        "panel": _kind_of_panel(c),
        "target": c.prompts.target,
        "answer": c.prompts.answer,
        "seed": c.seed,
    },
    "build_demo_model": _build_demo_model,
    "check_arguments": lambda c, w: {
        "method": STAGES[w.stage].method,
        "training": _training(c, w.stage),
        "model": _model(c, base_model_path(c)),
    },
    "train_sft": _train,
    "write_model_card": lambda c, w: _prompts(c),
    "merge_adapter": _start_model,
    "preflight_rewards": _preflight_rewards,
    "train_grpo": _train_grpo,
    "generate_completions": _generate_completions,
    "check_answers": _check_answers,
    "build_probes": _build_probes,
    "rank_answers": lambda c, w: {"model": _start_model(c, w), "batch_size": c.generation.batch_size},
    "score_probes": _score_probes,
    "report_probes": lambda c, w: {"run": c.run, "named_by": "ticker" if c.prompts.ticker_mapping else "permno"},
    "sample_forecast_windows": _sample_forecast_windows,
    "build_forecast_prompts": lambda c, w: _prompts(c),
    "score_forecasts": lambda c, w: part(c.evaluation, EvaluationSettings),
    "parse_predictions": lambda c, w: contract(c),
    "evaluate_forecasts": _evaluate_forecasts,
    "trim_metrics": lambda c, w: {
        "metrics": part(c.evaluation, EvaluationSettings),
        "trim_percentile": c.evaluation.trim_percentile,
    },
    "score_periods": lambda c, w: {
        "metrics": part(c.evaluation, EvaluationSettings),
        "knowledge_cutoff": c.evaluation.knowledge_cutoff,
    },
    "evaluate_distributions": lambda c, w: {"target": c.prompts.target, "confidence": c.evaluation.confidence},
    "compare_forecasts": lambda c, w: {"confidence": c.evaluation.confidence},
    "score_rewards": _score_rewards,
    "replay_rewards": _score_rewards,
    "plot_forecasts": lambda c, w: {"confidence": c.evaluation.confidence},
    "summarize_run": lambda c, w: {
        "run": c.run,
        "target": c.prompts.target,
        "confidence": c.evaluation.confidence,
        "seed_runs": c.evaluation.seed_runs,
        "told": told(c),
    },
    "write_config": lambda c, w: resolved(c),
}
