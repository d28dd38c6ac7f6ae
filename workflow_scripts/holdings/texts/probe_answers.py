"""The true answer among others, for a model's probabilities of them: does it know the window, or the very answer?

Two sets of answers per window, each with the true one at a random place:

- others: the relative changes of other windows, on the window's own position. A model that forecasts well finds the
  true answer likelier than these, and so does one that has seen it: the rank says that it knows *or* remembers.
- digits: equally spaced numbers that differ in their last digits. Nobody can forecast those digits: given the numbers,
  each is as likely to be the true one as the others, so that its rank is uniform, whatever a model prefers and however
  well it forecasts. A model to which the true digits are likelier has seen them. (The neighbours of Mattern et al.
  2023, "Membership inference attacks against language models via neighbourhood comparison", with a null distribution
  that is known: the true number is not in the middle of its neighbours but anywhere among them.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.texts.conversations import ThinkStyle, completion_text, target_numbers, think_texts
from workflow_scripts.holdings.texts.numbers import round_labels
from workflow_scripts.holdings.texts.probe_prompts import ProbeSettings
from workflow_scripts.holdings.texts.targets import Target, target_of
from workflow_scripts.holdings.windows.labels import label_arrays, past_change

DIGITS, OTHERS = RANKED = ("digits", "others")
Array = NDArray[np.float64]


def digit_grid(
    truth: Array, span: Array, decimals: int, answers: int, rng: np.random.Generator
) -> tuple[Array, NDArray[np.intp]]:
    """Equally spaced numbers of so many decimals around each truth, and the place of the truth among them.

    Shapes (n, answers) and (n,). They lie as far apart as they can with all of them within `span` (n,), which must not
    depend on the truth; NaN for a window whose span is narrower than the decimals can show.

    >>> digit_grid(np.array([0.25]), np.array([0.07]), 2, 3, np.random.default_rng(0))
    (array([[0.19, 0.22, 0.25]]), array([2]))
    """
    unit = 10.0**-decimals
    # A hair more, so that a span of whole steps is not cut by rounding.
    step = np.floor(span / (unit * (answers - 1)) + 1e-9)
    place = rng.integers(answers, size=len(truth))
    numbers = np.rint(truth / unit)[:, None] + (np.arange(answers) - place[:, None]) * step[:, None]
    return np.where(step[:, None] >= 1, np.round(numbers * unit, decimals), np.nan), place


def _is_possible(grid: Array, lowest: Array, unmoved: Array) -> NDArray[np.bool_]:
    """Windows all of whose numbers a manager could choose by chance: above the bound, and none of them, nor any
    between them, the position as it is, which can be forecast to the last digit. Shape (n,)."""
    low, high = grid.min(axis=1), grid.max(axis=1)
    return (low > lowest) & ((low > unmoved) | (high < unmoved))


def other_answers(
    truth: Array, held: Array, target: Target, answers: int, rng: np.random.Generator
) -> tuple[Array, NDArray[np.intp]]:
    """Each truth among the relative changes of other windows on the window's own position; as `digit_grid`, unrounded.

    InputError is not raised where there are fewer windows than answers: some then stand there twice.
    """
    n = len(truth)
    relative = target.to_change(truth, held) / held
    place = rng.integers(answers, size=n)
    # Any window but the own one.
    chosen = (np.arange(n)[:, None] + rng.integers(1, max(n, 2), size=(n, answers))) % n
    numbers = target.from_change(relative[chosen] * held[:, None], held[:, None])
    numbers[np.arange(n), place] = truth
    return numbers, place


@dataclass(frozen=True)
class AnswerStyle:
    """The form of the answers that are ranked: that of the run's SFT labels."""

    target: str
    decimals: int
    think: ThinkStyle | None


def answer_rows(
    sample: pa.Table,
    prompts: Sequence[dict[str, str]],
    style: AnswerStyle,
    settings: ProbeSettings,
    rng: np.random.Generator,
) -> list[dict]:
    """Rows to rank: window_id (the window's own and the set), window, probe, messages, answers, true_place.

    `prompts` are those of the sample's windows, in its order; the answers are whole completions as SFT has them, which
    differ in their number alone, true_place is the place of the true one. Windows are left out whose decimals are too
    coarse for a set, or whose numbers are not all possible trades.
    """
    target = target_of(style.target)
    known = label_arrays(sample)
    held = known["holding_t"]
    lowest, unmoved = target.lowest(held), target.from_change(np.zeros(len(held)), held)
    truth = np.array([float(number) for number in target_numbers(sample, style.target, style.decimals)])
    thinks = think_texts(sample, style.think) if style.think else [None] * len(held)
    span = settings.digit_span * past_change(sample)
    near, near_place = digit_grid(truth, span, style.decimals, settings.answers, rng)
    far, far_place = other_answers(truth, held, target, settings.answers, rng)
    far = round_labels(far, lowest[:, None], style.decimals)
    sets = {DIGITS: (near, near_place, _is_possible(near, lowest, unmoved)), OTHERS: (far, far_place, held > 0)}
    return [
        {
            "window_id": f"{prompt['window_id']}/{probe}",
            "window": prompt["window_id"],
            "probe": probe,
            "messages": [{"role": role, "content": prompt[role]} for role in ("system", "user")],
            "answers": [
                completion_text(thinks[i], style.target, f"{number:.{style.decimals}f}") for number in numbers[i]
            ],
            "true_place": int(place[i]),
        }
        for probe, (numbers, place, kept) in sets.items()
        for i, prompt in enumerate(prompts)
        if kept[i]
    ]
