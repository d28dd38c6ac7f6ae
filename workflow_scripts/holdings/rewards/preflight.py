"""What a reward pays to policies that are known beforehand, to be seen before GPU hours are spent on it.

Policies that answer each prompt by one rule: oracle (the true change), no_change, sign_flip (minus the true change),
mean (the split's mean change), thousandfold (1,000 times the true change: the wrong unit), huge (10^6 times the
position), sign_only (10^9 with the true sign), malformed (no closing tag), empty, other_form (the true change, without
the think block that is asked for, or with one that is not).

Policies whose completions of a prompt differ: sampled (normal draws with the window's past change as standard
deviation: a model that knows nothing but the size of the position's moves) and scaled_truth (from -1 to 1.5 times the
true change, evenly: from the opposite over no change and the truth to too much).

Where quantiles are asked for, all of these are sure: their quantiles are one number. Others say the true change as the
median, and quantiles of a normal distribution around it: sensible_width (the window's past change as standard
deviation), absurd_width (1,000 times that), crossed (that of sensible_width the wrong way round, which is no
distribution).

GRPO learns from differences within a group alone. So what counts beside the means is whether the answers of a group are
paid in the order of their errors, and by how much they differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_doc import Doc
from annotated_types import Ge, Le
from numpy.typing import NDArray

from workflow_scripts.holdings.rewards.rewards import (
    REWARD_NAMES,
    RewardSettings,
    is_self_scaled,
    reads_label,
    replay,
)
from workflow_scripts.holdings.texts.answers import LEVELS, Contract, quantile_object
from workflow_scripts.holdings.texts.conversations import completion_text
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.plumbing.errors import InputError

TOTAL = "total"
OTHER_FORM = "other_form"
SCALED_TRUTH = "scaled_truth"
# Standard deviations of the distributions around the true change, as shares of the window's past change.
SENSIBLE_WIDTH, ABSURD_WIDTH = "sensible_width", "absurd_width"
WIDTHS = {SENSIBLE_WIDTH: 1.0, ABSURD_WIDTH: 1e3, "crossed": -1.0}
NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
FACTORS = (-1.0, 1.5)
# The numbers of a policy that gives one answer are spread by this share of the window's past change.
JITTER = 0.1
THINK = "."
# ms-swift divides the advantages of a group by its standard deviation plus this (swift/rl_core/advantage.py).
ADVANTAGE_EPSILON = 1e-4
# A group is dead where that leaves less than this share of the advantages that a wide spread would give.
DEAD_BELOW = 0.5
# Answers have six decimals of $ million: errors that differ by less differ by rounding.
ROUNDING = 2e-6


@dataclass(frozen=True)
class PreflightSettings:
    """What is demanded of the rewards before GRPO is queued; measured on answers from -1 to 1.5 times the truth."""

    max_dead_groups: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc(
            "Largest share of groups in which different errors earn so nearly the same that ms-swift's advantages "
            "lose half of their size."
        ),
    ] = 0.5
    min_in_order: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc("Smallest share of pairs of answers to a prompt in which the one with the smaller error earns more."),
    ] = 0.75


@dataclass(frozen=True)
class Windows:
    """What the canned policies know of the n windows, $ million, and the completions that are drawn for each."""

    true: NDArray[np.float64]
    held: NDArray[np.float64]
    past: NDArray[np.float64]
    num_generations: int


def canned_forecasts(
    windows: Windows, rng: np.random.Generator, contract: Contract = Contract()
) -> dict[str, NDArray[np.float64]]:
    """Forecast of the change by numeric policy, $ million, none below the bound: of quantiles the median.

    Shape (n, 1), or (n, G) where the completions of a prompt differ.
    """
    true, past, held = windows.true[:, None], windows.past[:, None], windows.held[:, None]
    forecasts = {
        "oracle": true,
        "no_change": np.zeros_like(true),
        "sign_flip": -true,
        "mean": np.full_like(true, true.mean()),
        "thousandfold": 1e3 * true,
        "huge": 1e6 * np.maximum(held, 1.0),
        "sign_only": 1e9 * np.sign(true),
        # What stands before the answer is what was asked for, but in this one.
        OTHER_FORM: true,
        "sampled": past * rng.normal(size=(len(true), windows.num_generations)),
        SCALED_TRUTH: true * np.linspace(*FACTORS, windows.num_generations),
        **(dict.fromkeys(WIDTHS, true) if contract.answer == "quantiles" else {}),
    }
    return {name: np.maximum(values, -held) for name, values in forecasts.items()}


def group_around(forecast: NDArray[np.float64], windows: Windows, rng: np.random.Generator) -> NDArray[np.float64]:
    """A group of G answers around each forecast, shape (n, G); those that are spread already are their own group."""
    if forecast.shape[1] == windows.num_generations:
        return forecast
    noise = rng.normal(size=(len(forecast), windows.num_generations))
    return np.maximum(forecast + JITTER * windows.past[:, None] * noise, -windows.held[:, None])


def completions_of(
    forecast: NDArray[np.float64], windows: Windows, contract: Contract, width: float = 0.0
) -> list[str]:
    """The completions that say changes of shape (n, G), group by group.

    Of quantiles the change is the median, and `width` times the past change the standard deviation.
    """
    target, block = TARGETS[contract.target], THINK if contract.think else None
    held, levels = windows.held[:, None, None], NORMAL if contract.answer == "quantiles" else np.zeros(1)
    changes = np.maximum(forecast[:, :, None] + width * windows.past[:, None, None] * levels, -held)
    answers = target.from_change(changes, held).reshape(-1, len(levels)).tolist()
    texts = ([f"{number:.{target.decimals}f}" for number in numbers] for numbers in answers)
    said = map(quantile_object, texts) if contract.answer == "quantiles" else (text for (text,) in texts)
    return [completion_text(block, contract.target, one) for one in said]


def group_shares(rewards: NDArray[np.float64], error: NDArray[np.float64]) -> dict[str, float]:
    """How well groups of G answers can be learnt from; `rewards` and |error| ($ million) of shape (n, G).

    dead_groups: share of the groups with s / (s + 1e-4) below a half, where s is the standard deviation of the rewards
    (n - 1 in the denominator, as torch has it) and the quotient is what ms-swift leaves of the advantages' size.
    in_order: share of the pairs of a group in which the answer with the smaller error earns more; equal pay is not in
    order. Groups and pairs without a difference in their errors do not count; NaN where none is left.

    >>> group_shares(np.array([[1.0, 0.5], [0.2, 0.2]]), np.array([[0.0, 1.0], [1.0, 2.0]]))
    {'dead_groups': 0.5, 'in_order': 0.5}
    """
    # ms-swift keeps rewards in single precision: what is equal there teaches nothing.
    rewards = np.nan_to_num(rewards).astype(np.float32).astype(np.float64)
    first, second = np.triu_indices(rewards.shape[1], 1)
    gap = error[:, first] - error[:, second]
    counts = np.abs(gap) > ROUNDING
    in_order = np.sign(rewards[:, first] - rewards[:, second]) == -np.sign(gap)
    std = rewards.std(axis=1, ddof=1)[counts.any(axis=1)]
    dead = std / (std + ADVANTAGE_EPSILON) < DEAD_BELOW
    return {
        "dead_groups": float(dead.mean()) if len(dead) else np.nan,
        "in_order": float(in_order[counts].mean()) if counts.any() else np.nan,
    }


def preflight_table(
    rows: Sequence[dict],
    settings: RewardSettings,
    weights: Sequence[float],
    num_generations: int,
    batch: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row per policy and reward, and per policy the weighted total that GRPO sees.

    `rows` are those of the GRPO dataset; a batch has `batch` completions, `num_generations` of each prompt, in the
    order of the dataset. Columns: policy, reward, self_scaled (whether the errors that are scored are the reward's
    scale: then its means cannot be compared), mean and std over all, mean_abs_error of the policy ($ million), and
    dead_groups and in_order of `group_shares` if the policy were sampled, its numbers spread by a tenth of the window's
    past change (sampled and scaled_truth are spread themselves). The last three are NaN where there is no number.
    """
    asked = TARGETS[settings.target]
    true, held, past = (
        np.array([row[name] for row in rows], float) for name in (asked.label, "holding_t", "past_change")
    )
    known = Windows(true, held, past, num_generations)
    # Each row once per completion of its group; a reward takes the columns that it needs.
    grouped = {name: [row[name] for row in rows for _ in range(num_generations)] for name in rows[0]}

    def paid(texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """By reward and in total, shape (n, G). A reward of the user's own that is None is left out of the sum."""
        by_name = {name: replay(name, settings, texts, grouped, batch) for name in settings.names}
        by_name[TOTAL] = np.dot(weights, np.nan_to_num(list(by_name.values())))
        return {name: values.reshape(len(rows), num_generations) for name, values in by_name.items()}

    def texts_of(policy: str, forecast: NDArray[np.float64]) -> list[str]:
        forecast = np.broadcast_to(forecast, (len(rows), num_generations))
        contract = replace(settings.contract, think=settings.think != (policy == OTHER_FORM))
        return completions_of(forecast, known, contract, WIDTHS.get(policy, 0.0))

    table: list[dict] = []
    forecasts = canned_forecasts(known, rng, settings.contract)
    for policy, forecast in forecasts.items():
        draws = group_around(forecast, known, rng)
        rewards = paid(texts_of(policy, forecast))
        drawn = rewards if draws is forecast else paid(texts_of(policy, draws))
        # The error of what is written: rounded as the answers are.
        error = np.abs(draws.round(asked.decimals) - true[:, None])
        for name, values in rewards.items():
            row = _row(policy, name, settings, values)
            row["mean_abs_error"] = np.abs(forecast - true[:, None]).mean()
            table.append(row | group_shares(drawn[name], error))
    right = texts_of("oracle", forecasts["oracle"])
    for policy, texts in (
        ("malformed", [text.removesuffix("</answer>") for text in right]),
        ("empty", [""] * len(right)),
    ):
        table += [_row(policy, name, settings, values) for name, values in paid(texts).items()]
    return pd.DataFrame(table)


def _row(policy: str, reward: str, settings: RewardSettings, values: NDArray[np.float64]) -> dict:
    scaled = is_self_scaled(settings.names if reward == TOTAL else [reward])
    return {
        "policy": policy,
        "reward": reward,
        "self_scaled": scaled,
        "mean": np.nanmean(values),
        "std": np.nanstd(values),
    }


def check_preflight(
    table: pd.DataFrame, rewards: Sequence[str], limits: PreflightSettings = PreflightSettings()
) -> None:
    """Raise InputError for rewards that would not teach the truth.

    The oracle has to earn more in total than every other policy that the rewards can tell from it. Without
    `contract_holdings` the right answer may come in the other form, with or without a think block; without a reward
    that reads the label, any number is as good as the true one, and there is nothing more to ask. Otherwise the answers
    from -1 to 1.5 times the truth must not be dead in too many groups, in total and for each of the workflow's own
    rewards that reads the label, and must in total be paid in the order of their errors. Of distributions those of a
    sensible width must earn more than those of an absurd one.
    """
    total = table[table["reward"] == TOTAL].set_index("policy")["mean"]
    others = total.drop("oracle")
    if "contract_holdings" not in rewards:
        others = others.drop(OTHER_FORM)
    if not reads_label(rewards):
        others = others[["malformed", "empty", OTHER_FORM]]
    better = others[others >= total["oracle"] - 1e-9]
    if len(better):
        paid = ", ".join(f"{name} {value:.4f}" for name, value in better.items())
        raise InputError(
            f"the rewards {', '.join(rewards)} pay the oracle {total['oracle']:.4f} on average, no more than {paid}: "
            "training would not move towards the truth; change grpo.rewards, reward_weights or rewards"
            + ("; crps_holdings pays for the width of a distribution" if set(better.index) <= set(WIDTHS) else "")
        )
    if ABSURD_WIDTH in others and total[SENSIBLE_WIDTH] <= total[ABSURD_WIDTH]:
        raise InputError(
            f"the rewards {', '.join(rewards)} pay distributions of an absurd width around the truth "
            f"{total[ABSURD_WIDTH]:.4f} on average, no less than those of a sensible width "
            f"({total[SENSIBLE_WIDTH]:.4f}); add crps_holdings to grpo.rewards"
        )
    if reads_label(rewards):
        _check_groups(table[table["policy"] == SCALED_TRUTH].set_index("reward"), rewards, limits)


def _check_groups(groups: pd.DataFrame, rewards: Sequence[str], limits: PreflightSettings) -> None:
    # Of a reward of the user's own nobody knows whether it looks at the number; in the total it counts in any case.
    for name in [TOTAL, *(name for name in rewards if name in REWARD_NAMES and reads_label([name]))]:
        dead = groups["dead_groups"][name]
        if dead > limits.max_dead_groups:
            who = f"the rewards {', '.join(rewards)} in total pay" if name == TOTAL else f"the reward {name} pays"
            raise InputError(
                f"{who} answers from -1 to 1.5 times the truth practically alike in {dead:.0%} of the groups (more "
                f"than preflight.max_dead_groups = {limits.max_dead_groups:g}), and equal pay teaches nothing: lower "
                "its scale (rewards.scale_floor, rewards.dead_band), raise its weight (grpo.reward_weights), train "
                "with scaled_mae_holdings instead, or raise preflight.max_dead_groups"
            )
    in_order = groups["in_order"][TOTAL]
    if in_order < limits.min_in_order:
        raise InputError(
            f"the rewards {', '.join(rewards)} pay the nearer of two answers to a prompt more in {in_order:.0%} of the "
            f"pairs only (fewer than preflight.min_in_order = {limits.min_in_order:g}): the size of an error hardly "
            "counts, as with a reward for the direction alone; add scaled_mae_holdings to grpo.rewards, or lower "
            "preflight.min_in_order"
        )


def misleading_means(table: pd.DataFrame) -> str:
    """What to warn of where larger errors than those of no-change earn as much in total; empty where they do not."""
    total = table[table["reward"] == TOTAL].set_index("policy")
    other = total.drop([OTHER_FORM, "no_change"])
    is_paid = other["mean"] >= total["mean"]["no_change"] - 1e-9
    worse = other[is_paid & (other["mean_abs_error"] > total["mean_abs_error"]["no_change"])]
    if worse.empty:
        return ""
    why = (
        "a reward that is scaled by the errors that it scores pays large ones alike: its mean says nothing between "
        "policies or stages, and only differences within a group teach (scaled_mae_holdings has a fixed scale)"
        if total["self_scaled"].any()
        else "look whether that is what you want to pay for"
    )
    return f"{', '.join(worse.index)} earn no less than no_change, with larger errors: {why}"
