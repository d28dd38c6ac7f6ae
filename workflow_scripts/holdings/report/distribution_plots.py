"""Figures of forecasts that are distributions: PIT, reliability, and width against coverage (sharpness).

Each shows the evaluation table of its name; looks are those of `plots.py`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.holdings.forecasts.baselines import NO_CHANGE
from workflow_scripts.holdings.forecasts.quantiles import BAND_SHARE
from workflow_scripts.holdings.report.figures import figure, note
from workflow_scripts.holdings.report.plots import looks

NOBODY = "no forecast has quantiles"
REFERENCE = {"color": "black", "lw": 0.8, "ls": "--"}


def with_distribution(shown: Sequence[str], table: pd.DataFrame) -> list[str]:
    """No-change, and the forecasters `shown`, as far as they are in the table."""
    return [name for name in (NO_CHANGE, *shown) if name in set(table["forecaster"])]


def plot_pit(table: pd.DataFrame, shown: Sequence[str], title: str, stem: Path) -> None:
    """Density of the PIT by forecaster: 1 is calibrated, high at both ends too narrow, high in the middle too wide."""
    names = with_distribution(shown, table)
    rows, style = max(1, -(-len(names) // 2)), looks(names)
    with figure(title, stem, (rows, 2), 0.9 + 1.5 * rows, sharex=True, sharey=True) as (sheet, panels):
        for axes, name in zip(panels.flat, names, strict=False):
            bins = table[table["forecaster"] == name]
            edges = np.append(bins["level_low"], bins["level_high"].iloc[-1:])
            axes.stairs(bins["pit_density"], edges, fill=True, color=style[name].colour, alpha=0.7)
            axes.axhline(1, **REFERENCE)
            axes.set_title(style[name].label)
            axes.set_xlim(0, 1)
        for axes in panels.flat[len(names) :]:
            axes.set_visible(not names and axes is panels[0, 0])
        if not names:
            note(panels[0, 0], NOBODY)
        sheet.supxlabel("level of the truth in the forecast (PIT)", fontsize=10)
        sheet.supylabel("density", fontsize=10)


def plot_reliability(table: pd.DataFrame, shown: Sequence[str], title: str, stem: Path) -> None:
    """Share of truths at or below each quantile, with its interval, against the quantile's level."""
    names = with_distribution(shown, table)
    style = looks(names)
    with figure(title, stem, (1, 1), 4.2) as (_, panels):
        axes = panels[0, 0]
        axes.plot([0, 1], [0, 1], **REFERENCE)
        for number, name in enumerate(names):
            rows = table[table["forecaster"] == name]
            # Side by side: intervals of several would hide each other.
            places = rows["level"] + 0.006 * (number - (len(names) - 1) / 2)
            low, high = (rows[column].clip(0, 1) for column in ("observed_low", "observed_high"))
            axes.vlines(places, low, high, color=style[name].colour, lw=1.0)
            axes.plot(places, rows["observed_share"], marker=style[name].marker, **style[name].style)
        if not names:
            note(axes, NOBODY)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="level of the quantile", ylabel="share of truths at or below it")


def plot_distributions(table: pd.DataFrame, title: str, stem: Path) -> None:
    """Width of the 80 % band against its coverage, with the interval; all forecasters of the table."""
    style = looks(table["forecaster"])
    with figure(title, stem, (1, 1), 4.0) as (_, panels):
        axes = panels[0, 0]
        axes.axhline(BAND_SHARE, **REFERENCE)
        for name, look in style.items():
            row = table[table["forecaster"] == name]
            low, high = (row[column].clip(0, 1) for column in ("coverage_80_low", "coverage_80_high"))
            axes.vlines(row["width_80"], low, high, color=look.colour, lw=1.0)
            axes.plot(row["width_80"], row["coverage_80"], **{**look.style, "ls": ""}, marker=look.marker, ms=6)
        if not style:
            note(axes, NOBODY)
        axes.set(ylim=(0, 1.02), xlabel="mean width (share of holding_t): narrower is sharper", ylabel="coverage")
        axes.set_xlim(left=0)
