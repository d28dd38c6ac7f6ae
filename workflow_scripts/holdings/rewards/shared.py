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

from workflow_scripts.holdings.texts.answers import LEVELS, Contract
from workflow_scripts.holdings.texts.completions import Parsed, parse_completion

Array = NDArray[np.float64]
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

    `build(settings, contract)` gives a function of the completions and the columns. One that is `self_scaled` divides
    by errors that it scores, of the batch or in a moving average, so that errors which differ by a factor earn the
    same.
    """

    build: Callable[[Any, Contract], Callable[..., list[float]]]
    columns: tuple[str, ...]
    settings: type = NoSettings
    self_scaled: bool = False


def numbers(values: Sequence[float | None]) -> Array:
    """Values as floats, NaN for None; shape (n,)."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def parse(completions: Sequence[str], holding_t: Sequence[float | None], contract: Contract) -> list[Parsed]:
    """What the completions say; a missing position satisfies no bound."""
    held = numbers(holding_t).tolist()
    return [parse_completion(text, one, contract) for text, one in zip(completions, held, strict=True)]


def predicted_change(completions: Sequence[str], holding_t: Sequence[float | None], contract: Contract) -> Array:
    """Predicted change by completion, of quantiles the median, $ million, NaN where nothing is parsed; shape (n,)."""
    return numbers([parsed.delta for parsed in parse(completions, holding_t, contract)])


def predicted_quantiles(completions: Sequence[str], holding_t: Sequence[float | None], contract: Contract) -> Array:
    """Quantiles of the predicted change, $ million, NaN where nothing can be parsed; shape (n, levels).

    Those of one number are all that number: a sure forecast.
    """
    sure = len(LEVELS)
    said = [parsed.quantiles or (parsed.delta,) * sure for parsed in parse(completions, holding_t, contract)]
    return np.array([numbers(row) for row in said]).reshape(len(said), sure)


def squared(error: Array, scale: float | Array) -> Array:
    """2 * (1 - min(x^2, 4) / 4) - 1 with x = error / scale: 1 without an error, -1 from two scales on."""
    return 2.0 * (1.0 - np.minimum(np.abs(error) / scale, 2.0) ** 2 / 4.0) - 1.0


def finish(reward: Array, predicted: NDArray, true: NDArray) -> list[float]:
    """0 without a label, -1 without a number, the reward otherwise."""
    return np.where(np.isnan(true), 0.0, np.where(np.isnan(predicted), -1.0, reward)).tolist()
