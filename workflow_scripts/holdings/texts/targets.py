"""What a forecaster can be asked for: one row of TARGETS per target, and the two changes that answers are read as.

A model answers with the number of its target. Rewards and evaluation see only the *change* that the answer says, in
$ million, so that every target can be compared with every other. There are two changes: the dollar change contains the
stock's return; the active change is what the manager traded, valued at the price of t (`windows/labels.py`).

One quantity has a name in each file that other programs read; Python calls it as the dataset does:

| quantity, $ million | panel | dataset | answer | prediction | scored as |
|---|---|---|---|---|---|
| position at the end of t | holding_t | holding_t | | | |
| position at the end of t+1 | holding_t1 | label_tp1 | holding_tp1 | predicted_tp1 | level |
| its change from t | | label_delta | holding_delta | predicted_delta | change, log_change |
| its active change | | label_active | active_delta | predicted_delta | active_change |

GRPO's rewards read completions by this table, so that another row, and any edit of a row, trains GRPO again. Therefore
a row holds what decides prompts, labels and rewards, and nothing else: such an edit of the target that is trained on
changes the adapter in any case. The words that only a report uses are in `report/summary.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

# A float or an array of floats.
Number = Any
TargetName = Literal["holding_delta", "holding_tp1", "active_delta"]


@dataclass(frozen=True)
class Change:
    """A change of the position from t to t+1: its name in the evaluation, and the dataset column that has the truth.

    One that needs prices is unknown where a price is missing or the stock was split; windows without it are then not
    sampled.
    """

    name: str
    label: str
    needs_prices: bool


DOLLAR_CHANGE = Change("change", "label_delta", needs_prices=False)
ACTIVE_CHANGE = Change("active_change", "label_active", needs_prices=True)
CHANGES = {change.name: change for change in (DOLLAR_CHANGE, ACTIVE_CHANGE)}


def _same(value: Number, holding_t: Number) -> Number:
    """An answer that is the change itself."""
    return value


@dataclass(frozen=True)
class Target:
    """A number that is asked for. `name` is its key in the answer.

    The prompt says `meaning`, `formula`, `unit` and `bound`, in which {holding_t} is filled in. `to_change` and
    `from_change` turn answers into changes in $ million and back, given holding_t; they are pure functions of floats or
    arrays. `answer_label` is the dataset column of the true answer, where there is one: computed from the change, it
    would be off in its last digits. With `decimals` decimals an answer says its change to a dollar.
    """

    name: TargetName
    change: Change
    meaning: str
    formula: str
    bound: str
    unit: str = "$ million"
    to_change: Callable[[Number, Number], Number] = _same
    from_change: Callable[[Number, Number], Number] = _same
    answer_label: str = ""
    decimals: int = 6

    @property
    def label(self) -> str:
        """The dataset column with the true change."""
        return self.change.label

    def lowest(self, holding_t: Number) -> Number:
        """The lower bound of the answer: that of a full exit, because no position is negative."""
        return self.from_change(-holding_t, holding_t)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="holding_delta",
            change=DOLLAR_CHANGE,
            meaning="the change of the position over the next quarter",
            formula="holding(t+1) - holding(t)",
            bound="holding_delta >= -holding_t = -{holding_t}",
        ),
        Target(
            name="holding_tp1",
            change=DOLLAR_CHANGE,
            meaning="the position at the end of the next quarter",
            formula="holding(t+1)",
            bound="holding_tp1 >= 0",
            to_change=lambda value, holding_t: value - holding_t,
            from_change=lambda change, holding_t: holding_t + change,
            answer_label="label_tp1",
        ),
        Target(
            name="active_delta",
            change=ACTIVE_CHANGE,
            meaning="the change of the position over the next quarter at the price of today",
            formula="holding(t+1) x price(t) / price(t+1) - holding(t)",
            bound="active_delta >= -holding_t = -{holding_t}",
        ),
    )
}


def target_of(name: str) -> Target:
    """The target of a name; ValueError for one that there is not."""
    if name not in TARGETS:
        raise ValueError(f"target {name!r} is unknown; choose one of {', '.join(TARGETS)}")
    return TARGETS[name]
