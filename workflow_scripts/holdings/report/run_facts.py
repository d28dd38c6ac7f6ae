"""What was run: panel, windows, splits, model, training, seed and versions, in lines for readers.

Neither the date nor the hours are among them: the same inputs give the same page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflow_scripts.holdings.forecasts.stages import TRAINED_STAGES
from workflow_scripts.holdings.report.summary import TRAINED_ON
from workflow_scripts.holdings.report.tables import words
from workflow_scripts.holdings.texts.answers import AnswerName
from workflow_scripts.holdings.texts.targets import TargetName
from workflow_scripts.holdings.windows.splits import SPLITS, SplitSettings

# What the panel and the demo's model are called in a config, and what they are.
PANELS = {
    "slices": "slices of your own",
    "simulated": "simulated: no real manager is in it",
    "imported": "imported from a file of yours",
    "sec": "made of the SEC's Form 13F data sets",
}
DEMO_MODEL = "a toy of the demo with random weights and a training of minutes, to try the workflow: no language model"
# Of the versions of a training: what decides its numbers.
PACKAGES = ("ms-swift", "torch", "transformers", "trl", "peft")


@dataclass(frozen=True)
class RunSettings:
    """What of a run's configuration the page tells."""

    panel: str
    history_quarters: int
    splits: SplitSettings
    seed: int
    samples: int
    temperature: float
    max_tokens: int
    answer: AnswerName = "number"


@dataclass(frozen=True)
class Fact:
    """A term and what is said of it, one line or several."""

    term: str
    lines: Sequence[str]


def _period(splits: SplitSettings, name: str) -> str:
    period = getattr(splits, name)
    return f"{period.start or 'the first quarter'} to {period.end or 'the last quarter'}"


def _panel(report: Mapping) -> str:
    return (
        f"{words(report['firm_type'])}: {report['first_quarter']} to {report['last_quarter']}, {report['rows']:,} "
        f"rows, {report['managers']:,} managers, {report['stocks']:,} stocks"
    )


def _splits(settings: RunSettings, samples: Sequence[Mapping]) -> list[str]:
    """A line per split: its days, and how many windows each firm type has in it."""
    lines = []
    for split in SPLITS:
        sampled = [f"{words(one['firm_type'])} {one['sampled']:,}" for one in samples if one["split"] == split]
        counts = f"; windows: {', '.join(sampled)}" if sampled else ""
        lines.append(f"{words(split)}: {_period(settings.splits, split)}{counts}")
    return lines


def _place(manifest: Mapping) -> tuple[int, str]:
    """The order of trainings: as the stages follow each other, firm types below each."""
    return TRAINED_STAGES.index(manifest["identity"]["stage"]), manifest["firm_type"]


def _training(manifest: Mapping) -> str:
    """One training in a line: what it learnt from, how long and how."""
    options, identity = manifest["identity"]["options"], manifest["identity"]
    rewards = identity.get("rewards", {}).get("settings", {}).get("names", [])
    weights = options.get("reward_weights") or [1.0] * len(rewards)
    paid = ", ".join(f"{weight:g} {name}" for name, weight in zip(rewards, weights, strict=False))
    return (
        f"{words(manifest['firm_type'])} {words(identity['stage'])}: {manifest['steps']:,} steps on "
        f"{manifest['rows']:,} windows, LoRA of rank {options['lora_rank']}, learning rate {options['learning_rate']:g}"
        + (f", rewards {paid}" if paid else "")
    )


def run_facts(
    settings: RunSettings,
    target: TargetName,
    panels: Sequence[Mapping],
    samples: Sequence[Mapping],
    manifests: Sequence[Mapping],
    base_models: Sequence[str],
) -> list[Fact]:
    """What was run.

    `samples` and `manifests` are empty where another run sampled or trained, `base_models` where no model answered.
    """
    drawn = "the likeliest answer" if settings.temperature == 0 else f"temperature {settings.temperature:g}"
    number = "one answer" if settings.samples == 1 else f"{settings.samples} answers"
    asked = f"{TRAINED_ON[target]} ({target})"
    asked = f"quantiles of {asked}" if settings.answer == "quantiles" else asked
    facts = [
        Fact("Panel", [PANELS.get(settings.panel, settings.panel), *map(_panel, panels)]),
        Fact(
            "Windows",
            [
                f"each shows the {settings.history_quarters} quarters up to t and asks for t+1; quarters t of",
                *_splits(settings, samples),
            ],
        ),
        Fact("Base model", [DEMO_MODEL if name == "demo" else name for name in base_models]),
        Fact("Trained on", [asked, *map(_training, sorted(manifests, key=_place))]),
        Fact("Answers", [f"{number} a window, {drawn}, at most {settings.max_tokens} tokens"] * bool(base_models)),
        Fact("Seed", [str(settings.seed)]),
    ]
    facts = [fact for fact in facts if fact.lines]
    versions = {tuple(one["identity"]["versions"].get(name, "") for name in PACKAGES) for one in manifests}
    if versions:
        told = [", ".join(f"{n} {v}" for n, v in zip(PACKAGES, one, strict=True) if v) for one in sorted(versions)]
        facts.append(Fact("Versions", told))
    return [
        *facts,
        Fact("All settings", ["config.yaml in the run's folder; time and memory of each job are in its benchmarks/"]),
    ]
