"""The figure of the first screen: the models of a run and the best baseline, by firm type, against no change."""

from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE
from workflow_scripts.holdings.evaluation.tables import HEADLINE_TARGET
from workflow_scripts.holdings.forecasts.baselines import BASELINES, NO_CHANGE
from workflow_scripts.holdings.forecasts.forecasters import ORACLE
from workflow_scripts.holdings.report.answers import BEST_BASELINE, primary_rows
from workflow_scripts.holdings.report.figures import figure, figure_file, note
from workflow_scripts.holdings.report.plots import looks
from workflow_scripts.plumbing.files import write_csv

# Inches: the frame, and each forecaster of each firm type.
FRAME, ROW = 1.5, 0.22
# Skills below this are at the edge of the panel, and said by an arrow: no interval of few managers sets the scale.
LOWEST, HIGHEST = -1.0, 1.0


def answer_table(skill: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table `skill` that the figure shows: headline, models, and the best baseline of each firm type.

    Which baseline was best before the test quarters stands in the primary comparisons; without them all are shown.
    """
    rows = skill[(skill["metric"] == CAPPED_MAE) & (skill["target"] == HEADLINE_TARGET)]
    rows = rows[~rows["forecaster"].isin([NO_CHANGE, ORACLE])]
    primary = primary_rows(comparisons)
    best = primary[primary["role"] == BEST_BASELINE][["firm_type", "baseline"]].drop_duplicates()
    if not len(best):
        return rows.reset_index(drop=True)
    pairs = set(best.itertuples(index=False, name=None))
    named = pd.Series(list(zip(rows["firm_type"], rows["forecaster"], strict=True)), rows.index)
    return rows[~rows["forecaster"].isin(BASELINES) | named.isin(pairs)].reset_index(drop=True)


def plot_answer(table: pd.DataFrame, stem: Path) -> None:
    """Skill with its interval, a row per firm type and forecaster of `answer_table`; `stem.csv` has the rows."""
    write_csv(figure_file(stem, "csv"), table)
    firm_types = list(table["firm_type"].unique())
    style = looks(table["forecaster"])
    ends = table[["skill", "interval_low", "interval_high"]].to_numpy(float).clip(LOWEST, HIGHEST)
    low, high = (np.nanmin(ends, initial=0.0), np.nanmax(ends, initial=0.0)) if ends.size else (0.0, 0.0)
    margin = 0.06 * (high - low) or 0.1
    with figure("", stem, (1, 1), FRAME + ROW * (len(table) + len(firm_types))) as (_, panels):
        axes, place, ticks = panels[0, 0], 0.0, []
        axes.axvline(0, color="black", lw=0.9)
        for number, firm_type in enumerate(firm_types):
            rows, first = table[table["firm_type"] == firm_type], place
            for row in rows.itertuples():
                look = style[row.forecaster]
                left, right = np.clip([row.interval_low, row.interval_high], LOWEST, HIGHEST)
                axes.hlines(place, left, right, color=look.colour, lw=1.8)
                inside = LOWEST <= row.skill <= HIGHEST
                marker = look.marker if inside else r"$\leftarrow$"
                axes.plot(
                    np.clip(row.skill, LOWEST, HIGHEST), place, ls="", marker=marker, color=look.colour,
                    ms=7 if inside else 10, label=look.label, zorder=3,
                )  # fmt: skip
                place += 1
            if number % 2 == 0:
                axes.axhspan(first - 0.75, place - 0.25, color="black", alpha=0.05, lw=0)
            ticks.append((first + place - 1) / 2)
            place += 1
        if not len(table):
            note(axes, "no defined skill")
        axes.set_yticks(ticks, [name.replace("_", "\n") for name in firm_types])
        axes.set(ylim=(max(place - 1, 1) - 0.25, -0.75), xlim=(low - margin, high + margin))
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("skill against no change")
