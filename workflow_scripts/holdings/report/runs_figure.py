"""The figures of several runs: their differences from one of them, and the curve of skill over a number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, RELATIVE_RANK_IC
from workflow_scripts.holdings.report.figures import figure, figure_file, note
from workflow_scripts.holdings.report.numbers import number
from workflow_scripts.holdings.report.plots import OWN_LOOKS, Look
from workflow_scripts.holdings.report.tables import words
from workflow_scripts.plumbing.files import write_csv

# Inches: the frame, each run of each firm type; and of the curve a firm type's panel.
FRAME, ROW, PANEL = 1.6, 0.24, 2.3
# Metric -> the label of its axis, and whether its differences are told as shares of what the other run has.
AXES = {
    CAPPED_MAE: ("error: difference in %\n(left is better)", True),
    RELATIVE_RANK_IC: ("RankIC: difference\n(right is better)", False),
}
# What a run's difference is at most drawn as: an interval of few managers must not set the scale.
WIDEST = {CAPPED_MAE: 100.0, RELATIVE_RANK_IC: 1.0}


def run_looks(names: Sequence[str]) -> dict[str, Look]:
    """The look of each run, or of each line of a curve, by its place."""
    return {name: Look(name, *OWN_LOOKS[place % len(OWN_LOOKS)]) for place, name in enumerate(dict.fromkeys(names))}


def _ends(rows: pd.DataFrame, metric: str) -> np.ndarray:
    """Difference and both ends of its interval, (rows, 3), in the unit of the axis."""
    ends = rows[["difference", "interval_low", "interval_high"]].to_numpy(float)
    if AXES[metric][1]:
        # Where the other run makes no error there is no share of it.
        below = rows["baseline_value"].to_numpy(float)[:, None]
        ends = 100 * np.divide(ends, below, out=np.full_like(ends, np.nan), where=below > 0)
    return ends.clip(-WIDEST[metric], WIDEST[metric])


def _differences(axes: Axes, rows: pd.DataFrame, metric: str, places: dict[tuple[str, str], float]) -> None:
    """One panel: a point with its interval per firm type and run."""
    style = run_looks(rows["candidate"])
    axes.axvline(0, color="black", lw=0.9)
    for row, (value, low, high) in zip(rows.itertuples(), _ends(rows, metric), strict=True):
        look, place = style[str(row.candidate)], places[str(row.firm_type), str(row.candidate)]
        axes.hlines(place, low, high, color=look.colour, lw=1.8)
        axes.plot(value, place, ls="", marker=look.marker, color=look.colour, ms=7, label=look.label, zorder=3)
    if rows["difference"].isna().all():
        note(axes, "no ranking\nto compare")
    axes.set_xlabel(AXES[metric][0])
    # Small differences have long labels.
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.grid(visible=False, axis="y")


def plot_differences(comparisons: pd.DataFrame, stem: Path) -> None:
    """Differences of the primary comparisons of runs from the run they are compared with, a panel per metric."""
    firm_types, runs = (list(comparisons[name].unique()) for name in ("firm_type", "candidate"))
    places = {(t, run): i * (len(runs) + 1.0) + j for i, t in enumerate(firm_types) for j, run in enumerate(runs)}
    with figure("", stem, (1, 2), FRAME + ROW * (len(runs) + 1) * len(firm_types), sharey=True) as (_, panels):
        for axes, metric in zip(panels[0], AXES, strict=True):
            _differences(axes, comparisons[comparisons["metric"] == metric], metric, places)
            for number_of in range(0, len(firm_types), 2):
                first = places[firm_types[number_of], runs[0]]
                axes.axhspan(first - 0.75, first + len(runs) - 0.25, color="black", alpha=0.05, lw=0)
        middle = [places[name, runs[0]] + (len(runs) - 1) / 2 for name in firm_types]
        panels[0, 0].set_yticks(middle, [words(name).replace(" ", "\n") for name in firm_types])
        panels[0, 0].set(ylim=(max(places.values()) + 0.75, -0.75))


def plot_curve(curve: pd.DataFrame, axis: str, stem: Path) -> None:
    """Skill against no change over the numbers of an axis, a panel per firm type and a line per setting of the others.

    `curve` has firm_type, x (numbers above 0), line, skill, interval_low and interval_high; `stem.csv` has its rows.
    """
    write_csv(figure_file(stem, "csv"), curve)
    firm_types, style = list(curve["firm_type"].unique()), run_looks(list(curve["line"]))
    options: dict[str, Any] = {"sharex": True}
    with figure("", stem, (len(firm_types), 1), 1.2 + PANEL * len(firm_types), **options) as (_, panels):
        for axes, firm_type in zip(panels[:, 0], firm_types, strict=True):
            axes.axhline(0, color="black", lw=0.9, ls=":", label="no change")
            for place, (line, look) in enumerate(style.items()):
                rows = curve[(curve["firm_type"] == firm_type) & (curve["line"] == line)].sort_values("x")
                # Side by side, so that no interval hides another one.
                x = rows["x"].to_numpy(float) * 1.03 ** (place - (len(style) - 1) / 2)
                ends = rows[["skill", "interval_low", "interval_high"]].to_numpy(float).clip(-1.0, 1.0)
                axes.vlines(x, ends[:, 1], ends[:, 2], color=look.colour, lw=1.4)
                axes.plot(x, ends[:, 0], marker=look.marker, ms=6, **look.style)
            axes.set(xscale="log", ylabel="skill against no change", title=words(firm_type))
            ticks = sorted(curve["x"].unique())
            axes.set_xticks(ticks)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 0)))
            axes.xaxis.set_minor_locator(NullLocator())
        panels[-1, 0].set_xlabel(axis.replace("_", " "))
