"""Set finished runs side by side: one page, two tables and a figure, on identical test windows.

Runs whose test windows are not the same, to the last digit of the truth, are refused with what differs. Each run is
compared with one of them (`--against`, else the first) by the last stage, or forecaster of your own, that all have; the
inference and the correction are those of the comparisons within a run. Nothing is made again.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from workflow_scripts.holdings.evaluation.comparison import PRIMARY
from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE
from workflow_scripts.holdings.evaluation.run_comparison import (
    RunForecasts,
    compare_runs,
    window_difference,
    windows_and_truth,
)
from workflow_scripts.holdings.evaluation.tables import HEADLINE_TARGET, read_forecasts
from workflow_scripts.holdings.forecasts.stages import STAGES
from workflow_scripts.holdings.report.page import render
from workflow_scripts.holdings.report.run_facts import PANELS, Fact
from workflow_scripts.holdings.report.runs_figure import plot_curve, plot_differences
from workflow_scripts.holdings.report.runs_page import METRIC_COLUMNS, Compared, differing_settings, runs_page
from workflow_scripts.holdings.report.summary import correct_comparisons, headline
from workflow_scripts.holdings.report.tables import words
from workflow_scripts.plumbing.errors import InputError, fail
from workflow_scripts.plumbing.files import read_csv, read_json, write_csv, write_text
from workflow_scripts.plumbing.flat_settings import is_below
from workflow_scripts.settings.checks import OF_WINDOWS
from workflow_scripts.settings.config import COMPARISONS, OWN_SLICES

RESULTS = Path("results")
# A run is finished when it has these.
FINISHED = ("config.yaml", "summary/metrics.csv", "summary/origins.csv")
# Settings that decide which windows are tested and what is true of them; below them, those that do not.
CHOOSE_WINDOWS = (*OF_WINDOWS, "seed", "splits", "sample", "prompts.target")
OF_TRAINING = ("sample.sft", "sample.grpo", "splits.sft", "splits.grpo")


@dataclass(frozen=True)
class FinishedRun:
    """The files of a finished run that are compared."""

    name: str

    @property
    def folder(self) -> Path:
        """Below which it all lies."""
        return RESULTS / self.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))

    @cached_property
    def origins(self) -> pd.DataFrame:
        """Where its forecasters come from, by firm type."""
        return read_csv(self.folder / "summary/origins.csv")

    @property
    def firm_types(self) -> list[str]:
        """In their order."""
        return self.config["firm_types"]

    @property
    def forecasters(self) -> list[str]:
        """All but the baselines, in the order of its tables."""
        return list(self.origins[self.origins["kind"] != "baseline"]["forecaster"].unique())

    def forecasts(self, firm_type: str) -> pd.DataFrame:
        """Its long table of forecasts."""
        return read_forecasts(self.folder / firm_type / "evaluation/forecasts.csv")

    def tested(self, firm_type: str) -> RunForecasts:
        """What takes part in a comparison."""
        return RunForecasts(self.forecasts(firm_type), self.origins[self.origins["firm_type"] == firm_type])

    def metrics(self, forecasters: Sequence[str], settings: pd.Series) -> pd.DataFrame:
        """Its rows of `Compared.runs`."""
        rows = headline(read_csv(self.folder / "summary/metrics.csv"), HEADLINE_TARGET)
        rows = rows[rows["forecaster"].isin(forecasters)]
        own = pd.DataFrame({"run": self.name, **settings.to_dict()}, index=rows.index)
        return rows[["firm_type"]].join(own).join(rows[["forecaster", "n_windows", *METRIC_COLUMNS]])

    def versions(self, forecaster: str) -> Mapping[str, str]:
        """Versions of the packages that drew its answers; none of what no model answered."""
        paths = sorted(self.folder.glob(f"*/completions/{forecaster}.json"))
        return read_json(paths[0])["versions"] if paths else {}


def finished_runs(names: Sequence[str]) -> list[FinishedRun]:
    """The runs of these names; InputError where one is not there or not finished."""
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise InputError(f"--runs {' '.join(names)}: name two runs or more, each once")
    there = sorted(path.parent.parent.name for path in RESULTS.glob("*/summary/metrics.csv"))
    for name in names:
        for file in FINISHED:
            if not (RESULTS / name / file).is_file():
                raise InputError(
                    f"{RESULTS / name / file} does not exist: there is no finished run {name}. Finished are: "
                    f"{', '.join(there) or 'none'}"
                )
    return [FinishedRun(name) for name in names]


def window_settings(settings: pd.DataFrame, names: tuple[str, str]) -> list[str]:
    """Of the settings that differ between two runs, those that decide on the test windows."""
    first, second = (settings.loc[name] for name in names)
    keys = [key for key in settings.columns if first[key] != second[key]]
    return [key for key in keys if is_below(key, CHOOSE_WINDOWS) and not is_below(key, OF_TRAINING)]


def check_windows(runs: Sequence[FinishedRun], settings: pd.DataFrame, firm_type: str) -> None:
    """Raise InputError unless all runs have the windows and the truth of the first.

    The message names the settings that decide on windows and differ, or says that none does.
    """
    first, *others = runs
    expected = windows_and_truth(first.forecasts(firm_type))
    for other in others:
        names = (first.name, other.name)
        found = window_difference(expected, windows_and_truth(other.forecasts(firm_type)), names)
        if not found:
            continue
        keys = window_settings(settings, names)
        values = [f"{key} ({' and '.join(settings.at[name, key] or 'not set' for name in names)})" for key in keys]
        why = (
            f"They differ in {', '.join(values)}, which decides on the test windows"
            if keys
            else "No setting that decides on the test windows differs, so that the panel, or the code that samples it, "
            "has changed between the runs; make the older one again"
        )
        raise InputError(
            f"{firm_type}: {first.name} and {other.name} were not tested on the same windows. {found}. {why}."
        )


def compared_runs(runs: Sequence[FinishedRun], against: str) -> Compared:
    """All tables of the comparison; InputError where the runs cannot be compared."""
    configs = {run.name: run.config for run in runs}
    forecasters = [name for name in runs[0].forecasters if all(name in run.forecasters for run in runs)]
    if not forecasters:
        own = "; ".join(f"{run.name} has {', '.join(run.forecasters)}" for run in runs)
        raise InputError(f"the runs have no stage and no forecaster of your own in common: {own}")
    firm_types = [name for name in runs[0].firm_types if all(name in run.firm_types for run in runs)]
    if not firm_types:
        own = "; ".join(f"{run.name} has {', '.join(run.firm_types)}" for run in runs)
        raise InputError(f"the runs have no firm type in common: {own}")
    settings, confidence = differing_settings(configs), configs[against]["evaluation"]["confidence"]
    judged = ([name for name in forecasters if name in STAGES] or forecasters)[-1]
    forecasters = [*(name for name in forecasters if name != judged), judged]
    tables = []
    for firm_type in firm_types:
        check_windows(runs, settings, firm_type)
        tested = {run.name: run.tested(firm_type) for run in runs}
        found = compare_runs(tested, forecasters, against, confidence)
        found.insert(0, "firm_type", firm_type)
        tables.append(found)
    rows = [run.metrics(forecasters, settings.loc[run.name]) for run in runs]
    metrics = pd.concat(rows, ignore_index=True)
    return Compared(
        against=against,
        forecaster=judged,
        settings=settings,
        runs=metrics[metrics["firm_type"].isin(firm_types)],
        comparisons=correct_comparisons(pd.concat(tables, ignore_index=True), confidence),
    )


def left_out(runs: Sequence[FinishedRun], compared: Compared) -> Iterator[str]:
    """What not all runs have, other versions behind the answers, and results that may be of earlier settings."""
    for run in runs:
        written, scored = ((run.folder / name).stat().st_mtime_ns for name in FINISHED[:2])
        if written > scored:
            yield (
                f"{run.name}: config.yaml is newer than summary/metrics.csv. If the run was broken off since, its "
                "results are those of other settings than the page says; give its command again, and compare then"
            )
    against = next(run for run in runs if run.name == compared.against)
    for what, names in (("firm types", "firm_types"), ("forecasters", "forecasters")):
        some = {name for run in runs for name in getattr(run, names)}
        every = {name for name in some if all(name in getattr(run, names) for run in runs)}
        if apart := sorted(some - every):
            yield f"{what} that not all of the runs have are left out: {', '.join(map(words, apart))}"
    expected = against.versions(compared.forecaster)
    for run in runs:
        found = run.versions(compared.forecaster)
        if differing := [name for name in expected if found.get(name) != expected[name]]:
            told = ", ".join(f"{name} {found.get(name, 'none')} and {expected[name]}" for name in differing)
            yield f"{run.name} answered with other versions than {against.name} ({told}): a difference may be theirs"


@dataclass(frozen=True)
class Curve:
    """A figure over a grid: its horizontal axis, the number of each run on it, and the line that the run is on."""

    axis: str
    places: Mapping[str, float]
    lines: Mapping[str, str]

    def rows(self, runs: Sequence[FinishedRun], forecaster: str) -> pd.DataFrame:
        """The rows of `plot_curve`: the headline's skill of each run."""
        tables = []
        for run in runs:
            for firm_type in run.firm_types:
                skill = read_csv(run.folder / firm_type / "evaluation/skill.csv")
                kept = skill[(skill["metric"] == CAPPED_MAE) & (skill["target"] == HEADLINE_TARGET)]
                kept = kept[kept["forecaster"] == forecaster][["skill", "interval_low", "interval_high"]]
                names = {"firm_type": firm_type, "run": run.name, "x": self.places[run.name]}
                tables.append(pd.DataFrame({**names, "line": self.lines[run.name]}, index=kept.index).join(kept))
        return pd.concat(tables, ignore_index=True)


def compare(names: Sequence[str], against: str, out: Path, curve: Curve | None = None) -> Path:
    """Write page, tables and figures of these runs to the folder `out`; returns the page."""
    runs = finished_runs(names)
    if against not in names:
        raise InputError(f"--against {against}: name one of {', '.join(names)}")
    compared = compared_runs(runs, against)
    first = next(run for run in runs if run.name == against)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(out / "runs.csv", compared.runs)
    write_csv(out / "comparisons.csv", compared.comparisons)
    short = compared.shortened().comparisons
    primary = short[short["family"] == PRIMARY]
    plot_differences(primary, out / "differences")
    for stale in out.glob("curve.*"):
        stale.unlink()
    if curve:
        plot_curve(curve.rows(runs, compared.forecaster), curve.axis, out / "curve")
    facts = [Fact("Panel", [PANELS.get(first.config["panel"], PANELS[OWN_SLICES])])]
    confidence = first.config["evaluation"]["confidence"]
    page = runs_page(compared, confidence, out, list(left_out(runs, compared)), facts)
    write_text(out / "compare.html", render(page))
    for answer in page.answers:
        print(answer.text)
    return out / "compare.html"


def main() -> None:
    """Compare, and say where the page is; ends with the reason where the runs cannot be compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, nargs="+", help="names of finished runs")
    parser.add_argument("--against", help="the run that the others are compared with (the first)")
    parser.add_argument("--out", help=f"folder of the page (results/{COMPARISONS}/ and the names of the runs)")
    args = parser.parse_args()
    out = Path(args.out or RESULTS / COMPARISONS / "_".join(args.runs))
    try:
        print(f"compare_runs: {compare(args.runs, args.against or args.runs[0], out)}")
    except InputError as error:
        fail(error)


if __name__ == "__main__":
    main()
