"""What a reward pays to policies that are known beforehand, to be seen before GPU hours are spent on it.

Policies, each the same rule for every prompt: oracle (the true change), no_change, sign_flip (minus the true
change), mean (the split's mean change), huge (10^6 times the position), malformed (no closing tag), empty,
other_form (the true change, without the think block that is asked for, or with one that is not), and sampled (a
normal draw with the window's past change as standard deviation: a model that knows nothing but the size of the
position's moves).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflow_scripts.holdings.rewards.rewards import RewardSettings, reads_label, replay
from workflow_scripts.holdings.texts.conversations import completion_text
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.plumbing.errors import InputError

TOTAL = "total"
# Below this spread of the rewards within a group, its advantages are noise or 0.
SMALLEST_SPREAD = 1e-3
OTHER_FORM = "other_form"
# The numbers of a policy that is sampled are spread by this share of the window's past change.
JITTER = 0.1
THINK = "."


def _forecasts(
    true: NDArray[np.float64], held: NDArray[np.float64], past: NDArray[np.float64], rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Numeric forecast of the change by policy, shape (n,), $ million, none below the bound."""
    forecasts = {
        "oracle": true,
        "no_change": np.zeros(len(true)),
        "sign_flip": -true,
        "mean": np.full(len(true), true.mean()),
        "huge": 1e6 * np.maximum(held, 1.0),
        "sampled": rng.normal(0.0, 1.0, len(true)) * past,
    }
    return {name: np.maximum(values, -held) for name, values in forecasts.items()}


def _texts(forecast: NDArray[np.float64], held: NDArray[np.float64], target: str, think: bool) -> list[str]:
    asked, block = TARGETS[target], THINK if think else None
    answers = asked.from_change(forecast, held).tolist()
    return [completion_text(block, target, f"{answer:.{asked.decimals}f}") for answer in answers]


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
    order of the dataset. Columns: policy, reward, mean and std over all, `small_spread`: the share of groups
    in which the standard deviation of the reward would be below 1e-3 if the policy were sampled, its numbers spread
    by a tenth of the window's past change (`sampled`: by all of it).
    """
    true, held, past = (
        np.array([row[name] for row in rows], float)
        for name in (TARGETS[settings.target].label, "holding_t", "past_change")
    )
    forecasts = _forecasts(true, held, past, rng)
    # What stands before the answer is what was asked for, but in one policy.
    forecasts[OTHER_FORM] = forecasts["oracle"]
    think = {name: settings.think != (name == OTHER_FORM) for name in forecasts}
    texts = {name: _texts(values, held, settings.target, think[name]) for name, values in forecasts.items()}
    texts["malformed"] = [text.removesuffix("</answer>") for text in texts["oracle"]]
    texts["empty"] = [""] * len(rows)
    # Each row once per completion of its group; a reward takes the columns that it needs.
    grouped = {name: [row[name] for row in rows for _ in range(num_generations)] for name in rows[0]}
    table = []
    for policy, answers in texts.items():
        answers = np.repeat(np.array(answers, object), num_generations).tolist()
        draws = answers
        if policy in forecasts:
            noise = rng.normal(0.0, 1.0, (len(rows), num_generations)) * past[:, None]
            drawn = noise if policy == "sampled" else forecasts[policy][:, None] + JITTER * noise
            drawn = np.maximum(drawn, -held[:, None]).ravel()
            draws = _texts(drawn, np.repeat(held, num_generations), settings.target, think[policy])
        means = [replay(name, settings, answers, grouped, batch) for name in settings.names]
        spreads = [replay(name, settings, draws, grouped, batch) for name in settings.names]
        # A reward of the user's own that is None is left out of the sum, as in the training.
        means.append(np.dot(weights, np.nan_to_num(means)))
        spreads.append(np.dot(weights, np.nan_to_num(spreads)))
        for name, mean, spread in zip([*settings.names, TOTAL], means, spreads, strict=True):
            groups = spread.reshape(len(rows), num_generations)
            table.append(
                {
                    "policy": policy,
                    "reward": name,
                    "mean": np.nanmean(mean),
                    "std": np.nanstd(mean),
                    "small_spread": (np.nan_to_num(groups).std(axis=1) < SMALLEST_SPREAD).mean(),
                }
            )
    return pd.DataFrame(table)


def check_preflight(table: pd.DataFrame, rewards: Sequence[str]) -> None:
    """Raise InputError unless the oracle earns more in total than every other policy that the rewards can tell from it.

    Without `contract_holdings` the right number may come in the other form, with or without a think block;
    without a reward that reads the label, any number is as good as the true one.
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
        )
