"""All figures, in one style: colour-blind-safe (Okabe and Ito 2008), readable at half a page."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from workflow_scripts.holdings.files import whole_file

COLOURS = {
    "no_change": "#999999",
    "base": "#E69F00",
    "sft": "#0072B2",
    "grpo": "#009E73",
    "oracle": "#000000",
}
TRAINING_COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
STYLE = {
    "figure.figsize": (6.4, 4.0),
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def _save(figure: plt.Figure, path: str | Path) -> None:
    # Outside the axes a legend hides no data.
    if figure.axes[0].get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower center", ncols=5)
    with whole_file(path) as temporary:
        # Without the version that matplotlib writes into it, the same data give the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})
    plt.close(figure)


def _colour(forecaster: str) -> str:
    return COLOURS.get(forecaster, "#CC79A7")


def _grouped_bars(table: pd.DataFrame, labels: dict[str, str], path: str | Path) -> None:
    """A group of bars per row of `table`, a bar per column (forecaster); missing values leave gaps."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots()
        width = 0.8 / max(len(table.columns), 1)
        places = np.arange(len(table))
        for i, forecaster in enumerate(table.columns):
            axes.bar(places + i * width, table[forecaster], width, color=_colour(forecaster), label=forecaster)
        axes.axhline(0, color="black", lw=0.8)
        axes.set_xticks(places + 0.4 - width / 2, table.index, rotation=45, ha="right")
        axes.set(**labels)
        _save(figure, path)


def plot_residuals(joined: pd.DataFrame, title: str, path: str | Path) -> None:
    """Histogram of predicted - true change, one line per forecaster; the range is the central 98 %."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots()
        error = joined["predicted_delta"].fillna(0.0) - joined["label_delta"]
        low, high = np.percentile(error, [1, 99])
        bins = np.linspace(low, high if high > low else low + 1.0, 41)
        for forecaster, table in joined.groupby("forecaster", sort=False):
            axes.hist(error[table.index], bins, histtype="step", lw=1.5, color=_colour(forecaster), label=forecaster)
        axes.axvline(0, color="black", lw=0.8)
        axes.set(xlabel="forecast - truth, change of holding ($ million)", ylabel="windows", title=title)
        _save(figure, path)


def plot_ic(quarterly: pd.DataFrame, title: str, path: str | Path) -> None:
    """Bars of the IC of the change per quarter and forecaster; an undefined IC leaves a gap."""
    table = quarterly[quarterly["target"] == "change"].pivot(index="quarter", columns="forecaster", values="IC")
    table = table[[name for name in quarterly["forecaster"].unique() if table[name].notna().any()]]
    _grouped_bars(table, {"ylabel": "IC (Pearson) of the change", "title": title}, path)


def plot_skill(metrics: pd.DataFrame, path: str | Path) -> None:
    """Bars of the skill against no-change (headline, change) per firm type and forecaster."""
    table = metrics.pivot(index="firm_type", columns="forecaster", values="skill")
    table = table[[name for name in metrics["forecaster"].unique() if name != "no_change"]]
    title = "Skill on the change of holding, test quarters"
    _grouped_bars(table, {"ylabel": "skill = 1 - MAE / MAE(no-change)", "title": title}, path)


def plot_training(curve: pd.DataFrame, title: str, path: str | Path) -> None:
    """Small multiples over the training steps: one panel per quantity, the rewards together in one."""
    rewards = [name for name in curve if name.startswith("reward_") and name != "reward_std"]
    panels = {
        "loss": ["loss"],
        "token accuracy": ["token_accuracy"],
        "reward": ["reward", *rewards],
        "standard deviation of the reward": ["reward_std"],
        "groups with equal rewards": ["zero_spread_groups"],
        "KL from the start model": ["kl"],
        "tokens per completion": ["completion_tokens"],
    }
    panels = {name: [c for c in columns if c in curve] for name, columns in panels.items()}
    panels = {name: columns for name, columns in panels.items() if columns}
    rows = -(-len(panels) // 2)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, 2, figsize=(6.4, 2.2 * rows), squeeze=False, sharex=True)
        for axis, (name, columns) in zip(axes.flat, panels.items(), strict=False):
            for colour, column in zip(TRAINING_COLOURS, columns, strict=False):
                axis.plot(curve["step"], curve[column], color=colour, label=column if len(columns) > 1 else None)
            axis.set_title(name, fontsize=10)
            if len(columns) > 1:
                axis.legend(fontsize=7, loc="lower right", frameon=True, framealpha=0.8)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        figure.suptitle(title)
        figure.supxlabel("step")
        _save(figure, path)
