"""The stages of a model, in the order in which they are trained: what each starts from and learns, and how it looks.

The rules and the settings read this table and tell an entry module what it needs. No training imports it, so that
another colour queues none.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage: how it is trained, and its look in figures (label, colour, line style, marker).

    `method` names a rule `train_{method}` and a row of `training/methods.py`, `parent` the stage whose model it starts
    from, `split` the dataset that it learns; all three are empty for the base model, which is not trained. A stage that
    another one starts from is merged into its own start model first, at `merged/{name}`.
    """

    name: str
    method: str
    parent: str
    split: str
    label: str
    colour: str
    line: str | tuple
    marker: str


STAGES = {
    stage.name: stage
    for stage in (
        Stage("base", "", "", "", "base", "#E69F00", (0, (6, 2)), "s"),
        Stage("sft", "sft", "base", "sft", "SFT", "#0072B2", "-", "o"),
        Stage("grpo", "grpo", "sft", "grpo", "GRPO", "#009E73", "-.", "p"),
    )
}
BASE, *_ = STAGES
TRAINED_STAGES = tuple(name for name, stage in STAGES.items() if stage.parent)


def stages_by(method: str) -> tuple[str, ...]:
    """The stages that are trained by a method, in their order."""
    return tuple(name for name in TRAINED_STAGES if STAGES[name].method == method)


def stage_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """(earlier, later) for every two of the named stages, neighbours first."""
    return [(names[i], names[i + step]) for step in range(1, len(names)) for i in range(len(names) - step)]
