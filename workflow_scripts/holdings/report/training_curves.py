"""Training curves from ms-swift's log, their figure, and the signs of a training that went wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.holdings.report.figures import figure

# Our name of a column: ms-swift's key. What a log does not have is left out.
COLUMNS = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "token_accuracy": "token_acc",
    "reward": "reward",
    "reward_std": "reward_std",
    "zero_spread_groups": "frac_reward_zero_std",
    "kl": "kl",
    "entropy": "entropy/mean",
    "completion_tokens": "completions/mean_length",
    "truncated": "completions/clipped_ratio",
    "validation_loss": "eval_loss",
    "validation_reward": "eval_reward",
}
STEP = "global_step/max_steps"
TRAINING_COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
# A training looks sick when a mean over the last fourth of its logged steps passes one of these limits.
MAX_ZERO_SPREAD = 0.5
MAX_KL = 1.0
MAX_TRUNCATED = 0.2
MAX_CONTRACT_FALL = 0.1
# A validation looks sick when its last value is worse than its best one by more than this share of it.
MAX_WORSENING = 0.02


def training_curve(entries: Sequence[dict]) -> pd.DataFrame:
    """One row per logged step: step, the columns of `COLUMNS` that the log has, `reward_{name}` per reward.

    loss in nats per token, kl in nats per token against the start model; zero_spread_groups and truncated
    are shares of groups and of completions. A step that was only validated has its validation alone.
    """
    rewards = {
        f"reward_{key.split('/')[1]}": key
        for entry in entries
        for key in entry
        if key.startswith("rewards/") and key.endswith("/mean")
    }
    known = {name: key for name, key in {**COLUMNS, **rewards}.items() if any(key in entry for entry in entries)}
    steps = [int(entry[STEP].split("/")[0]) for entry in entries]
    values = {name: [float(entry.get(key, np.nan)) for entry in entries] for name, key in known.items()}
    return pd.DataFrame({"step": steps, **values})


def sick_signs(curve: pd.DataFrame) -> list[str]:
    """What a reader should look at before believing the adapter; empty for a healthy training."""
    validated = [sign for name in ("loss", "reward") if (sign := _worsened(curve, name))]
    if "learning_rate" in curve:
        # A validation stands between two logged steps of the training.
        curve = curve[curve["learning_rate"].notna()]
    return [*_sick_training(curve), *validated]


def _worsened(curve: pd.DataFrame, quantity: str) -> str:
    """What to say of a validation that was better before; empty where it was not."""
    if f"validation_{quantity}" not in curve:
        return ""
    values = curve.set_index("step")[f"validation_{quantity}"].dropna()
    best = values.idxmax() if quantity == "reward" else values.idxmin()
    if abs(values.iloc[-1] - values[best]) <= MAX_WORSENING * abs(values[best]):
        return ""
    return (
        f"the validation's {quantity} was best in step {best} ({values[best]:.3g}) and is {values.iloc[-1]:.3g} at the "
        "end; keep: best publishes that checkpoint"
    )


def _sick_training(curve: pd.DataFrame) -> list[str]:
    """The signs in what is logged of the training itself."""
    quarter = max(1, len(curve) // 4)
    first, last = curve.iloc[:quarter].mean(), curve.iloc[-quarter:].mean()
    signs = []
    broken = curve.loc[~np.isfinite(curve["loss"]), "step"]
    if len(broken):
        signs.append(f"the loss is no number in {len(broken)} steps, first in step {broken.iloc[0]}")
    if "reward" not in curve:
        if len(curve) > 1 and last["loss"] > first["loss"]:
            signs.append(f"the loss has risen from {first['loss']:.3g} to {last['loss']:.3g}")
        return signs
    if last.get("zero_spread_groups", 0.0) > MAX_ZERO_SPREAD:
        signs.append(
            f"in {last['zero_spread_groups']:.0%} of the last groups all rewards are equal: they teach nothing"
        )
    if last.get("kl", 0.0) > MAX_KL:
        signs.append(f"the KL divergence from the start model has grown to {last['kl']:.3g}")
    if last.get("truncated", 0.0) > MAX_TRUNCATED:
        signs.append(f"{last['truncated']:.0%} of the last completions are cut off at max_completion_length")
    if "reward_contract_holdings" in curve:
        # The reward is 1 or -1: half of its fall is that of the rate.
        fall = (first["reward_contract_holdings"] - last["reward_contract_holdings"]) / 2
        if fall > MAX_CONTRACT_FALL:
            signs.append(f"the share of completions that obey the contract has fallen by {fall:.0%}")
    if len(curve) > 1 and last["reward"] < first["reward"]:
        signs.append(
            f"the reward has fallen from {first['reward']:.3g} to {last['reward']:.3g} (of one that is scaled by the "
            "errors of its own batch, such as mse_holdings, that says little)"
        )
    return signs


def plot_training(curve: pd.DataFrame, title: str, stem: Path) -> None:
    """Small multiples over the training steps: one panel per quantity, the rewards together in one."""
    rewards = [name for name in curve if name.startswith("reward_") and name != "reward_std"]
    panels = {
        "loss": ["loss", "validation_loss"],
        "token accuracy": ["token_accuracy"],
        "reward": ["reward", "validation_reward", *rewards],
        "standard deviation of the reward": ["reward_std"],
        "groups with equal rewards": ["zero_spread_groups"],
        "KL from the start model": ["kl"],
        "tokens per completion": ["completion_tokens"],
    }
    panels = {name: [c for c in columns if c in curve] for name, columns in panels.items()}
    panels = {name: columns for name, columns in panels.items() if columns}
    rows = max(1, -(-len(panels) // 2))
    with figure(title, stem, (rows, 2), 0.8 + 1.6 * rows) as (_, grid):
        for axes, (name, columns) in zip(grid.flat, panels.items(), strict=False):
            for colour, column in zip(TRAINING_COLOURS, columns, strict=False):
                label = column.replace("_", " ") if len(columns) > 1 else None
                # Not every step is validated, and not every validated one logged.
                known = curve[curve[column].notna()]
                marker = "o" if column.startswith("validation_") else None
                axes.plot(known["step"], known[column], color=colour, label=label, marker=marker, markersize=3)
            axes.set_title(name)
        for axes in grid.flat[max(len(panels) - 2, 0) : len(panels)]:
            axes.set_xlabel("step")
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
