"""Figures of one firm type, from its evaluation tables alone.

Steps: choose the forecasters that a figure can hold (the best baseline by MAE of the change, and the models) → draw →
write each figure as PNG and PDF, with its data as CSV where they are not an evaluation table.
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.holdings.evaluation.tables import read_forecasts
from workflow_scripts.holdings.report import distribution_plots, plots
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv


@dataclass(frozen=True)
class Settings:
    """Confidence of the band around the mean IC."""

    confidence: float


def main(args: Namespace) -> str:
    """Read the tables of the folder `--evaluation`, write the figures below the folder `--out`."""
    folder, out, firm_type = Path(args.evaluation), Path(args.out), args.firm_type.replace("_", " ")
    joined = read_forecasts(folder / "forecasts.csv")
    metrics, quarterly, sizes, coverage = (
        read_csv(folder / f"{name}.csv") for name in ("metrics", "metrics_by_quarter", "metrics_by_size", "coverage")
    )
    shown = plots.shown_forecasters(metrics)
    windows = f"{joined['window_id'].nunique():,} test windows"
    plots.plot_residuals(joined, shown, f"{firm_type}: residuals of {windows}", out / "residuals")
    title = f"{firm_type}: IC by quarter, mean, {100 * args.settings.confidence:g} % band"
    plots.plot_ic_by_quarter(quarterly, shown, args.settings.confidence, title, out / "ic_by_quarter")
    title = f"{firm_type}: forecast and truth, {windows}"
    plots.plot_forecast_truth(joined, metrics, shown, title, out / "forecast_truth")
    plots.plot_metrics_by_quarter(
        quarterly, shown, f"{firm_type}: active change, by quarter", out / "metrics_by_quarter"
    )
    plots.plot_metrics_by_size(
        sizes, shown, f"{firm_type}: skill (MAE) by size of the position", out / "metrics_by_size"
    )
    plots.plot_coverage(coverage, f"{firm_type}: completions of {windows}", out / "coverage")
    scores, reliability, pit = (read_csv(folder / f"{name}.csv") for name in ("distributions", "reliability", "pit"))
    distribution_plots.plot_pit(pit, shown, f"{firm_type}: PIT of {windows}", out / "pit")
    distribution_plots.plot_reliability(
        reliability, shown, f"{firm_type}: reliability of the quantiles", out / "reliability"
    )
    title = f"{firm_type}: width and coverage of the 80 % band"
    distribution_plots.plot_distributions(scores, title, out / "distributions")
    return f"plot_forecasts {args.firm_type}: 9 figures of {', '.join(shown)}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        evaluation=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
