"""What the reward functions share: reading completions, and a squared error as a reward.

A reward takes a batch of n completions and the columns of their prompts (lists of length n, $ million). It returns n
floats in [-1, 1] and never raises. The caller decides what "the batch" is: ms-swift passes the completions that one
process scores together. A row without a label gets 0 from the rewards that need one: the same for every completion
of the prompt, hence without effect on the policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.texts.completions import Parsed, parse_completion

MIN_SCALE = 1e-6
# Stands for the label column of the target among a reward's columns.
LABEL = "label"
LABELLED = ("holding_t", LABEL)


@dataclass(frozen=True)
class NoSettings:
    """The settings of a reward that has no constants."""


@dataclass(frozen=True)
class Reward:
    """A reward: its settings class, how it is built, and which dataset columns its calls take, in this order.

    `build(settings, target)` gives a function of the completions and the columns. One that `judges_form` takes the
    keyword `think` as well: whether the output contract asks for a think block. One that is `self_scaled` divides by
    errors that it scores, of the batch or in a moving average, so that errors which differ by a factor earn the same.
    """

    build: Callable[[Any, str], Callable[..., list[float]]]
    columns: tuple[str, ...]
    settings: type = NoSettings
    judges_form: bool = False
    self_scaled: bool = False


def numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Values as floats, NaN for None; shape (n,)."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def parse(
    completions: Sequence[str], holding_t: Sequence[float | None], target: str, think: bool = True
) -> list[Parsed]:
    """What the completions say; a missing position satisfies no bound."""
    held = numbers(holding_t).tolist()
    return [parse_completion(text, one, target, think) for text, one in zip(completions, held, strict=True)]


def predicted_change(completions: Sequence[str], holding_t: Sequence[float | None], target: str) -> NDArray[np.float64]:
    """Predicted change by completion, $ million, NaN where nothing can be parsed; shape (n,)."""
    return numbers([parsed.delta for parsed in parse(completions, holding_t, target)])


def squared(error: NDArray[np.float64], scale: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """2 * (1 - min(x^2, 4) / 4) - 1 with x = error / scale: 1 without an error, -1 from two scales on."""
    return 2.0 * (1.0 - np.minimum(np.abs(error) / scale, 2.0) ** 2 / 4.0) - 1.0


def finish(reward: NDArray[np.float64], predicted: NDArray, true: NDArray) -> list[float]:
    """0 without a label, -1 without a number, the reward otherwise."""
    return np.where(np.isnan(true), 0.0, np.where(np.isnan(predicted), -1.0, reward)).tolist()
