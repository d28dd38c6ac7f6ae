"""Validation of a training: which samples are held out for it, which checkpoint was the best, when it ends early.

What is held out comes from the stage's own samples, so that no test window is ever among it. What decides is in the
trainer's own log of the checkpoint, so that a training that was stopped and goes on ends where an undisturbed one does.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import json_digest
from workflow_scripts.training.training_settings import GrpoSettings, LoraSettings

# Marks the rows that are held out, for rewards that remember what they have scored.
HELD_OUT = "held_out"


def validates(settings: LoraSettings) -> bool:
    """Whether a training has samples held out."""
    return settings.validation_share > 0 or settings.validation_quarters > 0


def validation_identity(settings: LoraSettings, rows: Sequence[dict], seed: int) -> dict[str, Any]:
    """What of a validation changes a training's result: its settings, and which of the rows are held out."""
    names = ("validation_share", "validation_quarters", "keep", "early_stopping")
    held = [row["window_id"] for row in hold_out(rows, settings, seed)[1]]
    return {**{name: getattr(settings, name) for name in names}, "held_out": json_digest(held)}


def hold_out(rows: Sequence[dict], settings: LoraSettings, seed: int) -> tuple[list[dict], list[dict]]:
    """The rows to train on and those to validate on, both in their order; rows have window_id.

    By share, whole pairs of manager and stock are held out, drawn by the seed: the windows of a pair overlap, and one
    that is trained on would tell of the next. By quarters, the last ones that the rows have. InputError where too
    little is left on one side.
    """
    # {firm_type}-{mgrno}-{permno}-{YYYY}Q{q}
    keys = [row["window_id"].rsplit("-", 1) for row in rows]
    if settings.validation_quarters:
        held = set(sorted({quarter for _, quarter in keys})[-settings.validation_quarters :])
        is_held = [quarter in held for _, quarter in keys]
    else:
        held, wanted = set(), settings.validation_share * len(rows)
        sizes: dict[str, int] = {}
        for pair, _ in keys:
            sizes[pair] = sizes.get(pair, 0) + 1
        count = 0
        for pair in sorted(sizes, key=lambda pair: json_digest([seed, pair])):
            if count >= wanted:
                break
            held.add(pair)
            count += sizes[pair]
        is_held = [pair in held for pair, _ in keys]
    trained = [row for row, out in zip(rows, is_held, strict=True) if not out]
    validated = [row | {HELD_OUT: True} for row, out in zip(rows, is_held, strict=True) if out]
    needed = settings.per_device_train_batch_size * settings.num_gpus if isinstance(settings, GrpoSettings) else 1
    if not trained or len(validated) < needed:
        raise InputError(
            f"validation leaves {len(trained)} samples to train on and holds {len(validated)} out, of which it needs "
            f"at least {needed}; change validation_share or validation_quarters"
        )
    return trained, validated


def validations(settings: LoraSettings, history: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """By step what each validation gave, the less the better, from the `log_history` of a trainer's state."""
    return {entry["step"]: value for entry, value in judged(history, isinstance(settings, GrpoSettings))}


def judged(history: Sequence[Mapping[str, Any]], by_reward: bool) -> list[tuple[Mapping[str, Any], float]]:
    """The validations among the entries of a trainer's log, each with what it gave, the less the better."""
    name, sign = ("eval_reward", -1) if by_reward else ("eval_loss", 1)
    return [(entry, badness(sign * entry[name])) for entry in history if name in entry]


def badness(value: float) -> float:
    """What a validation gave, the less the better; what is no number is the worst.

    Rounded as ms-swift rounds what the trainer's own choice of the best checkpoint sees: of validations that differ by
    less, the trainer keeps the first one and deletes the later ones.
    """
    return math.inf if math.isnan(value) else round(value, 8)


def best_step(settings: LoraSettings, history: Sequence[Mapping[str, Any]]) -> int | None:
    """The step of the best validation, the first of equal ones; None before there is any."""
    found = validations(settings, history)
    return min(found, key=lambda step: (found[step], step)) if found else None


def is_over(patience: int, values: Sequence[float]) -> bool:
    """Whether the last `patience` validations, the less the better, brought no new best one; never for 0.

    >>> [is_over(2, values) for values in ([3.0, 2.0], [3.0, 2.0, 2.5, 2.0], [2.0, 3.0, 1.0])]
    [False, True, False]
    """
    return 0 < patience < len(values) and min(values[:-patience]) <= min(values[-patience:])
