"""The figures of the evaluation, in the colours of Okabe and Ito (2008).

Each figure is `stem.png` and `stem.pdf`; its data are an evaluation table or, where they are not, `stem.csv`.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.ticker import LogLocator
from numpy.typing import ArrayLike

from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, RELATIVE_RANK_IC, Array, newey_west_se
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.evaluation.tables import CAPPED_SKILL, HEADLINE, HEADLINE_TARGET, SIZE_GROUPS, cases
from workflow_scripts.holdings.forecasts.baselines import BASELINES, NO_CHANGE
from workflow_scripts.holdings.forecasts.forecasters import ORACLE, own_forecasters
from workflow_scripts.holdings.forecasts.stages import STAGES
from workflow_scripts.holdings.panel.quarters import label_ids
from workflow_scripts.holdings.report.figures import figure, figure_file, note
from workflow_scripts.holdings.texts.targets import CHANGES
from workflow_scripts.plumbing.files import write_csv


@dataclass(frozen=True)
class Look:
    """Name in a legend, colour, line style and marker of a forecaster."""

    label: str
    colour: str
    line: str | tuple = "-"
    marker: str = "o"

    @property
    def style(self) -> dict:
        """Options of a line, without the marker."""
        # Solid lines lie below broken ones, which they would hide where both coincide.
        return {"color": self.colour, "ls": self.line, "label": self.label, "zorder": 2.0 if self.line == "-" else 2.2}


# Seven of the palette's colours on white (its yellow is too pale for lines) and a grey. Line and marker differ between
# all names: two pairs share a colour, and lines can coincide.
FORECASTERS = {
    NO_CHANGE: Look("no change", "#999999", ":", "x"),
    "last_change": Look("last change", "#CC79A7", (0, (1, 1)), "<"),
    "shrunk_last_change": Look("shrunk last change", "#CC79A7", (0, (3, 1, 1, 1)), ">"),
    "firm_type_mean": Look("firm-type mean", "#999999", (0, (4, 1)), "P"),
    "manager_mean": Look("manager mean", "#0072B2", (0, (1, 1)), "+"),
    "demand_regression": Look("demand regression", "#009E73", (0, (3, 1, 1, 1)), "1"),
    "ridge": Look("ridge", "#56B4E9", (0, (5, 1, 1, 1, 1, 1)), "X"),
    "boosted_trees": Look("boosted trees", "#D55E00", (0, (2, 1)), "D"),
    **{name: Look(stage.label, stage.colour, stage.line, stage.marker) for name, stage in STAGES.items()},
    ORACLE: Look("oracle", "#000000", "-", "*"),
}
# Those of the user's own, in their order, in darker colours that no name of ours has; after the last the first again.
OWN_LOOKS = (
    ("#882255", (0, (6, 1)), "^"),
    ("#332288", (0, (3, 2)), "v"),
    ("#117733", (0, (5, 2, 1, 2)), "h"),
    ("#AA4499", (0, (1, 2)), "d"),
    ("#661100", (0, (8, 2)), "H"),
    ("#44AA99", (0, (2, 2, 6, 2)), "8"),
)
# Their order in a figure; the user's own stand between the stages and the oracle.
_PLACES = {name: float(place) for place, name in enumerate(FORECASTERS)}
MODELS = tuple(STAGES)
# Figures that cannot show every baseline show the one with the least error. No-change is not among them: a skill is
# measured against it.
RIVALS = tuple(name for name in BASELINES if name != NO_CHANGE)
STEPS = {
    "asked": "asked",
    "not_truncated": "not truncated",
    "parsed": "parsed",
    "bound_valid": "bound valid",
    "contract_valid": "contract valid",
}
SKILL_LABEL = "skill = 1 - error / error of no change"
HEADLINE_LABELS = {CAPPED_SKILL: "skill (capped)", RELATIVE_RANK_IC: "relative RankIC"}
# The panels of the figure of skills: (metric, target) -> title.
SKILLS = {
    (CAPPED_MAE, HEADLINE_TARGET): "active change, relative to the position",
    ("MAE", "change"): "dollar change: the largest positions decide",
}
MINUS = "\N{MINUS SIGN}"
# Skills and correlations are at most 1, and a skill below -1 says no more than one of -1: twice no-change's error.
METRIC_RANGE = (-1.0, 1.0)
BINS = 40
HEXAGONS = 24


def looks(names: Iterable[str]) -> dict[str, Look]:
    """The look of each forecaster that is named; the user's own get theirs by their order among the names."""
    names = list(names)
    own = {
        name: Look(_words(name), *OWN_LOOKS[number % len(OWN_LOOKS)])
        for number, name in enumerate(own_forecasters(names))
    }
    return {name: FORECASTERS.get(name) or own[name] for name in dict.fromkeys(names)}


def _words(name: str) -> str:
    return name.replace("_", " ")


def shown_forecasters(metrics: pd.DataFrame) -> list[str]:
    """The forecasters that a line figure holds: the best of RIVALS by the headline, MODELS, the user's own."""
    table = metrics[(metrics["target"] == HEADLINE_TARGET) & (metrics["treatment"] == HEADLINE)]
    errors = table.set_index("forecaster")[CAPPED_MAE]
    rivals = errors[errors.index.isin(RIVALS)].dropna()
    best = [rivals.idxmin()] if len(rivals) else []
    return [*best, *(name for name in MODELS if name in errors.index), *own_forecasters(errors.index)]


def change_pairs(joined: pd.DataFrame) -> pd.DataFrame:
    """window_id, forecaster, forecast_musd and truth_musd of the change, $ million; unparsed counts as no change."""
    columns = ["window_id", "forecaster", "forecast_musd", "truth_musd"]
    tables = [
        pd.DataFrame(
            dict(zip(columns, (c.table["window_id"].iloc[c.kept], c.forecaster, c.predicted, c.true), strict=True))
        )
        for c in cases(joined, EvaluationSettings(), ("change",))
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def signed_log_width(values: Array) -> float:
    """Width of the signed log's linear part: the power of ten at or below the lower quartile of |values|, zeros apart.

    >>> signed_log_width(np.array([0.0, -30.0, 500.0, 2000.0]))
    100.0
    """
    sizes = np.abs(values[values != 0])
    return float(10.0 ** np.floor(np.log10(np.quantile(sizes, 0.25)))) if len(sizes) else 1.0


def signed_log(values: ArrayLike, width: float) -> Array:
    """asinh(value / width): linear within the width, logarithmic beyond, without a kink that would show as data."""
    return np.arcsinh(np.asarray(values, float) / width)


def _signed_log_axis(axis: Axis, limit: float, width: float, most: int) -> None:
    """Ticks of an axis of `signed_log` values up to ±limit: 0 and the powers of ten, at most `most` a side labelled."""
    powers = np.arange(np.log10(width).round(), np.floor(np.log10(limit)) + 1).astype(int)
    # Next to 0 a label would run into the 0.
    powers = powers[signed_log(10.0**powers, width) > 0.2 * signed_log(limit, width)][::-1]
    places = signed_log(10.0**powers, width)
    axis.set_ticks([*-places, *places], minor=True)
    every = max(1, -(-len(powers) // most))
    labels = [[f"${sign}10^{{{power}}}$" for power in powers[::every]] for sign in ("-", "")]
    axis.set_ticks([*-places[::every], 0.0, *places[::every]], [*labels[0], "0", *labels[1]])


def residual_histogram(forecaster: pd.Series, residual: pd.Series, width: float) -> pd.DataFrame:
    """Windows by forecast - true change: panel, forecaster, bin_low, bin_high ($ million), n_windows.

    `residual` has a row per window and forecaster, $ million. Panel `linear` has equal bins over the central 98 % of
    all residuals, `signed_log` equal bins on that scale (of the given width) over all of them.
    """
    tables = []
    for panel, (low, high) in {
        "linear": np.percentile(residual, [1, 99]),
        "signed_log": signed_log([residual.min(), residual.max()], width),
    }.items():
        low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
        edges = np.linspace(low, high, BINS + 1)
        for name, values in residual.groupby(forecaster, sort=False):
            # Counted on the scale of equal bins: sinh(asinh(x)) is not exactly x, and the largest would fall out.
            counts, _ = np.histogram(values if panel == "linear" else signed_log(values, width), edges)
            shown = edges if panel == "linear" else width * np.sinh(edges)
            bins = {"bin_low": shown[:-1], "bin_high": shown[1:]}
            tables.append(pd.DataFrame({"panel": panel, "forecaster": name, **bins, "n_windows": counts}))
    return pd.concat(tables, ignore_index=True)


def plot_residuals(joined: pd.DataFrame, shown: Sequence[str], title: str, stem: Path) -> None:
    """Step lines of `residual_histogram` for the forecasters `shown`; the CSV has all of the long table `joined`."""
    pairs = change_pairs(joined)
    residual = pairs["forecast_musd"] - pairs["truth_musd"]
    width = signed_log_width(residual.to_numpy())
    table = residual_histogram(pairs["forecaster"], residual, width)
    write_csv(figure_file(stem, "csv"), table)
    names = {"linear": "linear, central 98 %", "signed_log": "signed log, all windows"}
    style = looks(shown)
    with figure(title, stem, (1, 2), 3.0) as (_, panels):
        for axes, (panel, name) in zip(panels[0], names.items(), strict=True):
            for forecaster in shown:
                rows = table[(table["panel"] == panel) & (table["forecaster"] == forecaster)]
                edges = np.append(rows["bin_low"], rows["bin_high"].iloc[-1])
                edges = edges if panel == "linear" else signed_log(edges, width)
                axes.stairs(rows["n_windows"], edges, lw=1.4, **style[forecaster].style)
            axes.axvline(0, color="black", lw=0.8)
            axes.set_title(name)
            axes.set_xlabel("forecast - truth ($ million)")
        _signed_log_axis(panels[0, 1].xaxis, max(residual.abs().max(), width), width, 2)
        panels[0, 0].xaxis.set_major_locator(plt.MaxNLocator(4))
        panels[0, 0].set_ylabel("windows")


def ic_bands(quarterly: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Pearson IC by quarter, its mean, and mean ± t · standard error: all forecasters, targets in CHANGES.

    Columns: forecaster, target, quarter, IC (missing where undefined), mean, band_low, band_high. The standard error is
    Newey and West's of the defined quarters, t Student's quantile with defined quarters - 1 degrees of freedom; no
    band for fewer than two.
    """
    tables = []
    known = quarterly[quarterly["target"].isin(list(CHANGES))]
    for _, rows in known.groupby(["forecaster", "target"], sort=False):
        table = rows[["forecaster", "target", "quarter", "IC"]].sort_values("quarter")
        values = table["IC"].dropna().to_numpy(float)
        mean = values.mean() if len(values) else np.nan
        half = newey_west_se(values)
        if len(values) > 1:
            half *= scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1)
        tables.append(table.assign(mean=mean, band_low=mean - half, band_high=mean + half))
    return pd.concat(tables, ignore_index=True)


def _wide(table: pd.DataFrame, index: str, values: str) -> pd.DataFrame:
    """A row per `index`, a column per forecaster; quarters are integers, those without windows rows of NaN."""
    wide = table.pivot(index=index, columns="forecaster", values=values)
    if index == "quarter" and len(wide):
        wide.index = label_ids(wide.index)
        wide = wide.reindex(range(wide.index.min(), wide.index.max() + 1))
    return wide


def _quarter_axis(axis: Axis, quarters: pd.Index, most: int) -> None:
    """Ticks at first quarters, at most `most` labelled with the year; a span under a year has every quarter's name."""
    if len(quarters) < 4:
        axis.set_ticks(list(quarters), [f"{q // 4}Q{q % 4 + 1}" for q in quarters])
        return
    first = [q for q in quarters if q % 4 == 0]
    every = -(-len(first) // most)
    axis.set_ticks(first, ["" if i % every else f"{q // 4}" for i, q in enumerate(first)])


def plot_ic_by_quarter(
    quarterly: pd.DataFrame, shown: Sequence[str], confidence: float, title: str, stem: Path
) -> None:
    """Bars of the IC by quarter with mean and band (`ic_bands`): rows are forecasters that have one, columns targets.

    `quarterly` is the table metrics_by_quarter; the CSV has all its forecasters.
    """
    table = ic_bands(quarterly, confidence)
    write_csv(figure_file(stem, "csv"), table)
    defined = set(table.loc[table["IC"].notna(), "forecaster"])
    rows, style = [name for name in shown if name in defined], looks(shown)
    quarters = _wide(table[table["target"] == next(iter(CHANGES))], "quarter", "IC").index
    height = 1.1 + 1.15 * max(len(rows), 1)
    shape = (max(len(rows), 1), len(CHANGES))
    with figure(title, stem, shape, height, sharex=True, sharey=True) as (sheet, panels):
        for i, target in enumerate(CHANGES):
            axes = panels[0, i]
            # The empty line keeps clear of the mean's numbers at the right.
            axes.set_title(f"{_words(target)}\n", loc="left", fontweight="bold")
            if not rows:
                axes.set_ylim(METRIC_RANGE)
                note(axes, "no defined IC")
        for axes, forecaster in zip(panels[:, 0], rows, strict=False):
            axes.set_ylabel(textwrap.fill(style[forecaster].label, 12))
        for axes, (forecaster, target) in zip(
            panels.flat, ((name, target) for name in rows for target in CHANGES), strict=False
        ):
            group = table[(table["forecaster"] == forecaster) & (table["target"] == target)]
            _ic_panel(axes, group, style[forecaster].colour)
        _quarter_axis(panels[-1, 0].xaxis, quarters, 3)
        panels[-1, 0].set_xlim(quarters[0] - 0.7, quarters[-1] + 0.7)
        sheet.supxlabel("quarter t (year at its first quarter)", fontsize=10)
        sheet.supylabel("IC (Pearson)", fontsize=10)


def _ic_panel(axes: Axes, group: pd.DataFrame, colour: str) -> None:
    """One forecaster and target of `ic_bands`."""
    if not group["IC"].notna().any():
        note(axes, "no defined IC")
        return
    mean, low, high = group[["mean", "band_low", "band_high"]].iloc[0]
    axes.bar(label_ids(group["quarter"]), group["IC"], 0.8, color=colour)
    text = f"mean {mean:.2f}"
    if not np.isnan(low):
        axes.axhspan(low, high, color="black", alpha=0.2, lw=0)
        text += f" [{low:.2f}, {high:.2f}]"
    axes.axhline(0, color="black", lw=0.8)
    axes.axhline(mean, color="black", lw=1.2, ls="--")
    axes.set_title(text.replace("-", MINUS), loc="right", fontsize=9)


def plot_forecast_truth(
    joined: pd.DataFrame, metrics: pd.DataFrame, shown: Sequence[str], title: str, stem: Path
) -> None:
    """Truth against forecast of the change, counts in hexagons, on signed-log axes; a panel per forecaster `shown`.

    `joined` is the long table; the slope of the truth on the forecast is the calibration_slope of the table `metrics`.
    """
    pairs = change_pairs(joined[joined["forecaster"].isin(shown)])
    write_csv(figure_file(stem, "csv"), pairs)
    table = metrics[(metrics["target"] == "change") & (metrics["treatment"] == HEADLINE)]
    slopes = table.set_index("forecaster")["calibration_slope"]
    values = pairs[["forecast_musd", "truth_musd"]].to_numpy(float).ravel()
    width = signed_log_width(values)
    limit = max(float(np.abs(values).max(initial=0.0)), width)
    edge = float(signed_log(limit, width))
    rows, style = max(1, -(-len(shown) // 2)), looks(shown)
    with figure(title, stem, (rows, 2), 0.9 + 2.05 * rows, sharex=True, sharey=True) as (sheet, panels):
        drawn = []
        for axes, forecaster in zip(panels.flat, shown, strict=False):
            x, y = signed_log(pairs.loc[pairs["forecaster"] == forecaster, ["forecast_musd", "truth_musd"]], width).T
            extent = (-edge, edge, -edge, edge)
            # linewidths: the seams between hexagons would show in the PDF.
            drawn.append(axes.hexbin(x, y, gridsize=HEXAGONS, extent=extent, mincnt=1, cmap="viridis", linewidths=0.2))
            axes.plot([-edge, edge], [-edge, edge], color="black", lw=0.8, ls="--")
            slope = slopes[forecaster]
            slope = "undefined" if np.isnan(slope) else f"{slope:.2f}".replace("-", MINUS)
            axes.set_title(f"{style[forecaster].label}\nslope {slope}")
            # Wider than the extent, so that no hexagon is cut.
            axes.set(xlim=(-1.08 * edge, 1.08 * edge), ylim=(-1.08 * edge, 1.08 * edge), aspect="equal")
            _signed_log_axis(axes.xaxis, limit, width, 1)
            _signed_log_axis(axes.yaxis, limit, width, 2)
        for axes in panels.flat[len(shown) :]:
            axes.set_visible(False)
        if drawn:
            norm = LogNorm(1, max(2.0, *(hexagons.get_array().max() for hexagons in drawn)))
            for hexagons in drawn:
                hexagons.set_norm(norm)
            bar = sheet.colorbar(
                drawn[0],
                ax=panels,
                shrink=0.7,
                fraction=0.06,
                pad=0.02,
                label="windows",
                format="%d",
                ticks=LogLocator(subs=(1, 2, 5)),
            )
            bar.minorticks_off()
        sheet.supxlabel("forecast of the change ($ million, signed log)", fontsize=10)
        sheet.supylabel("true change ($ million, signed log)", fontsize=10)


def _limits(values: ArrayLike) -> tuple[float, float]:
    """Limits of an axis that holds 0 and all `values` that lie in METRIC_RANGE, with a margin."""
    values = np.ravel(np.asarray(values, float))
    known = np.append(values[(values >= METRIC_RANGE[0]) & (values <= METRIC_RANGE[1])], 0.0)
    low, high = float(known.min()), float(known.max())
    margin = 0.06 * (high - low) or 0.1
    return low - margin, high + margin


def _skill_limits(table: pd.DataFrame) -> tuple[float, float]:
    """`_limits` of the models' skills, and of the other skills and ends of whiskers that lie near the middle half.

    A wild baseline, or the endless whiskers of a firm type with few managers, must not set the scale.
    """
    ends = table[["skill", "interval_low", "interval_high"]].to_numpy(float)
    ends = ends[np.isfinite(ends)]
    models = table.loc[table["forecaster"].isin(MODELS), "skill"].to_numpy(float)
    if not len(ends):
        return _limits(models)
    low, high = np.quantile(ends, [0.25, 0.75])
    reach = 2.0 * (high - low) or np.inf
    return _limits(np.append(models, ends[(ends >= low - reach) & (ends <= high + reach)]))


def _points(axes: Axes, x: ArrayLike, y: ArrayLike, look: Look, shift: float = 0.0, **options: Any) -> None:
    """Points, joined unless `options` say otherwise; an arrow at the edge stands for one outside the limits of y.

    `shift` moves the arrows sideways, in units of x: those of several forecasters would hide each other.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    axes.plot(x, y, marker=look.marker, **{**look.style, **options})
    low, high = axes.get_ylim()
    inside = 0.05 * (high - low)
    for outside, place, marker in ((y < low, low + inside, r"$\downarrow$"), (y > high, high - inside, r"$\uparrow$")):
        axes.plot(
            x[outside] + shift, np.full(outside.sum(), place), ls="", marker=marker, color=look.colour, ms=9, zorder=5
        )


def _lines(axes: Axes, wide: pd.DataFrame, shown: Sequence[str], limits: tuple[float, float], name: str) -> None:
    """A line per forecaster of `wide` (`_wide`) between the limits; a note where the metric is nowhere defined."""
    axes.set_ylim(limits)
    axes.axhline(0, color="black", lw=0.8)
    style = looks(shown)
    for i, forecaster in enumerate(shown):
        shift = min(0.2, 0.02 * len(wide)) * (i - (len(shown) - 1) / 2)
        _points(axes, wide.index, wide[forecaster], style[forecaster], shift)
    if not wide[list(shown)].notna().to_numpy().any():
        note(axes, f"no defined {name}")


def plot_metrics_by_quarter(quarterly: pd.DataFrame, shown: Sequence[str], title: str, stem: Path) -> None:
    """Capped relative skill and relative RankIC of the active change by quarter, of the table metrics_by_quarter."""
    change = quarterly[(quarterly["target"] == HEADLINE_TARGET) & quarterly["forecaster"].isin(shown)]
    with figure(title, stem, (2, 1), 4.6, sharex=True) as (_, panels):
        for axes, (metric, label) in zip(panels[:, 0], HEADLINE_LABELS.items(), strict=True):
            wide = _wide(change, "quarter", metric).reindex(columns=list(shown))
            _lines(axes, wide, shown, _limits(wide), label)
            axes.set_ylabel(label)
            _quarter_axis(axes.xaxis, wide.index, 9)
        panels[1, 0].set_xlabel("quarter t (year at its first quarter)")


def plot_metrics_by_size(sizes: pd.DataFrame, shown: Sequence[str], title: str, stem: Path) -> None:
    """Skill by decile of holding_t on the change (left) and the active change, of the table metrics_by_size."""
    table = sizes[sizes["forecaster"].isin(shown)]
    limits = _limits(table.loc[table["target"].isin(list(CHANGES)), "skill"])
    with figure(title, stem, (1, 2), 3.0, sharey=True) as (_, panels):
        for axes, target in zip(panels[0], CHANGES, strict=True):
            wide = _wide(table[table["target"] == target], "size_decile", "skill").reindex(columns=list(shown))
            _lines(axes, wide, shown, limits, "skill")
            axes.set_title(_words(target))
            axes.set(xlim=(0.5, SIZE_GROUPS + 0.5), xticks=range(1, SIZE_GROUPS + 1))
            axes.set_xlabel("decile of holding_t")
        panels[0, 0].set_ylabel("skill")


def plot_coverage(coverage: pd.DataFrame, title: str, stem: Path) -> None:
    """Bars of the share of samples that reach each step of the funnel: MODELS and the user's own, of table coverage."""
    funnel = coverage[coverage["step"].isin(STEPS)]
    wide = funnel.pivot(index="step", columns="forecaster", values="share").reindex(list(STEPS))
    style = looks(coverage["forecaster"])
    names = [name for name in (*MODELS, *own_forecasters(style)) if name in style]
    width = 0.8 / max(len(names), 1)
    with figure(title, stem, (1, 1), 3.6) as (_, panels):
        axes = panels[0, 0]
        for i, name in enumerate(names):
            places = np.arange(len(wide)) - 0.4 + (i + 0.5) * width
            look = style[name]
            bars = axes.barh(places, 100 * wide[name], 0.9 * width, color=look.colour, label=look.label)
            axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=9)
        if not names:
            note(axes, "no completions")
        axes.set(xlim=(0, 112), xlabel="share of the samples (%)")
        axes.set_xticks(range(0, 101, 20))
        axes.set_yticks(range(len(wide)), STEPS.values())
        axes.set_ylim(len(wide) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")


def plot_skill(skill: pd.DataFrame, stem: Path) -> None:
    """Skill with its interval by firm type, forecasters side by side, a panel for each of SKILLS.

    Columns: firm_type, forecaster, target, metric, n_windows, skill, interval_low, interval_high and more. An arrow at
    the edge stands for a skill outside the panel (`_skill_limits`), and whiskers are cut there.
    """
    write_csv(figure_file(stem, "csv"), skill)
    firm_types = list(skill["firm_type"].unique())
    style = looks(skill["forecaster"])
    names = sorted(style, key=lambda name: _PLACES.get(name, _PLACES[ORACLE] - 0.5))
    with figure("Skill on the test quarters", stem, (2, 1), 5.6, sharex=True) as (sheet, panels):
        for axes, ((metric, target), title) in zip(panels[:, 0], SKILLS.items(), strict=True):
            table = skill[(skill["metric"] == metric) & (skill["target"] == target)]
            limits = _skill_limits(table)
            axes.set_ylim(limits)
            for i in range(0, len(firm_types), 2):
                axes.axvspan(i - 0.5, i + 0.5, color="black", alpha=0.05, lw=0)
            axes.axhline(0, color="black", lw=0.8)
            for i, name in enumerate(names):
                rows = table[table["forecaster"] == name].set_index("firm_type").reindex(firm_types)
                x = np.arange(len(firm_types)) + 0.84 * ((i + 0.5) / len(names) - 0.5)
                low, high = (rows[column].clip(*limits) for column in ("interval_low", "interval_high"))
                axes.vlines(x, low, high, color=style[name].colour, lw=1.2)
                _points(axes, x, rows["skill"], style[name], ls="", ms=5)
            if not table["skill"].notna().any():
                note(axes, "no defined skill")
            axes.set_title(title, loc="left", fontweight="bold")
            axes.grid(visible=False, axis="x")
        # Beside many others a name has no room.
        tilted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if len(firm_types) > 5 else {}
        labels = [name.replace("_", " " if tilted else "\n") for name in firm_types]
        axes.set_xticks(range(len(firm_types)), labels, **tilted)
        axes.set_xlim(-0.5, max(len(firm_types), 1) - 0.5)
        sheet.supylabel(SKILL_LABEL, fontsize=10)
