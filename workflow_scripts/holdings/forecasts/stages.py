"""The stages of a model, in the order in which they are trained: the one list of their names, and how they look.

No baseline is named here: another baseline must not queue a training.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage: its name, the stage it starts from, and its look in figures (label, colour, line style, marker).

    `parent` is empty for the base model, which is not trained. A stage that is trained further is merged into the base
    model first, at `merged/{name}`.
    """

    name: str
    parent: str
    label: str
    colour: str
    line: str | tuple
    marker: str


STAGES = {
    stage.name: stage
    for stage in (
        Stage("base", "", "base", "#E69F00", (0, (6, 2)), "s"),
        Stage("sft", "base", "SFT", "#0072B2", "-", "o"),
        Stage("grpo", "sft", "GRPO", "#009E73", "-.", "p"),
    )
}
BASE, *_ = STAGES
TRAINED_STAGES = tuple(name for name, stage in STAGES.items() if stage.parent)


def stage_pairs() -> list[tuple[str, str]]:
    """(earlier, later) for every two stages, neighbours first."""
    names = list(STAGES)
    return [(names[i], names[i + step]) for step in range(1, len(names)) for i in range(len(names) - step)]
