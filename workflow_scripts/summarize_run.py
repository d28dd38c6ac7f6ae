"""Collect the tables of all firm types, correct the comparisons, draw the skill figures, write the report.

The report is one HTML file without outside references and scripts: what the primary comparisons answer, in sentences; a
figure, warnings, what was run; then chapters (`holdings/report/chapters.py`). Prints the headline, which is of the
active change.
"""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, RELATIVE_RANK_IC
from workflow_scripts.holdings.evaluation.tables import CAPPED_SKILL, HEADLINE_TARGET
from workflow_scripts.holdings.report.answer_figure import answer_table, plot_answer
from workflow_scripts.holdings.report.answers import answers, caution, question
from workflow_scripts.holdings.report.chapters import Run, chapters
from workflow_scripts.holdings.report.dictionary import data_dictionary
from workflow_scripts.holdings.report.page import Page, figure_part, render
from workflow_scripts.holdings.report.plots import plot_skill
from workflow_scripts.holdings.report.run_facts import RunSettings, run_facts
from workflow_scripts.holdings.report.run_inputs import Inputs
from workflow_scripts.holdings.report.summary import (
    check_seed_runs,
    correct_comparisons,
    headline,
    over_seeds,
    run_warnings,
)
from workflow_scripts.holdings.texts.targets import TargetName
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, read_json, write_csv, write_text

ABOUT = (
    "Forecasts of the next quarter's changes of institutional holdings, on the test quarters, every forecaster on "
    "identical windows. An answer that cannot be read counts as a forecast of no change."
)
ORACLE_NOTE = (
    "The panel is simulated: nothing here says how real managers can be forecast. The oracle knows the law of the "
    "active change, so that its error is what nobody can forecast; prices move far less than real ones, and no stock "
    "is split."
)
MANIFESTS = "adapters/*/manifest.json"
JSON_FILES = ("panel_report.json", "training/*.json", "samples/*.json", MANIFESTS)
# Columns of the headline that are printed.
SHOWN = [
    *("firm_type", "forecaster", "n_windows", CAPPED_MAE, CAPPED_SKILL, RELATIVE_RANK_IC),
    *("MAE", "RankIC", "parsed_share", "valid_share"),
]


@dataclass(frozen=True)
class Settings:
    """The run's name, what was trained on, the confidence, the names of the runs of other seeds, what else is told."""

    run: str
    target: TargetName
    confidence: float
    seed_runs: list[str]
    told: RunSettings


def read_seeds(metrics: pd.DataFrame, seed: int, folders: list[Path]) -> pd.DataFrame:
    """`over_seeds` of this run, whose folder comes first, and of the others."""
    configs = {folder.name: yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) for folder in folders}
    if len(configs) > 1:
        check_seed_runs(configs)
    others = {configs[folder.name]["seed"]: read_csv(folder / "summary/metrics.csv") for folder in folders[1:]}
    return over_seeds({seed: metrics, **others})


def summary_tables(inputs: Inputs, settings: Settings, folders: list[Path]) -> dict[str, pd.DataFrame]:
    """The tables over all firm types, by the name of their file."""
    metrics = inputs.table("evaluation/metrics.csv")
    samples = [
        {k: v for k, v in read_json(path).items() if not isinstance(v, list)} for path in inputs.of("samples/*.json")
    ]
    return {
        "metrics": metrics,
        "comparisons": correct_comparisons(inputs.table("evaluation/comparisons.csv"), settings.confidence),
        "combinations": inputs.table("evaluation/combinations.csv"),
        "metrics_by_period": inputs.table("evaluation/metrics_by_period.csv"),
        "metrics_over_seeds": read_seeds(metrics, settings.told.seed, folders),
        "rewards": inputs.table("evaluation/rewards_*.csv"),
        "preflight": inputs.table("preflight/*.csv"),
        "audit": inputs.table("audit/*.csv"),
        "samples": pd.DataFrame(samples),
        "distributions": inputs.table("evaluation/distributions.csv"),
        "origins": inputs.table("evaluation/origins.csv"),
    }


def dictionary_of(inputs: Inputs, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The data dictionary of the summary's tables and of the evaluation's, which are the same for every firm type."""
    described = {f"summary/{name}.csv": table.columns for name, table in tables.items()}
    for path in inputs.of("evaluation/*.csv"):
        if not path.match("rewards_*.csv"):
            described.setdefault(f"evaluation/{path.name}", read_csv(path, rows=0).columns)
    return data_dictionary(described)


def report_page(inputs: Inputs, settings: Settings, tables: Mapping[str, pd.DataFrame], out: Path, seeds: bool) -> Page:
    """The page of the report, from the files, the tables and the figures that lie below `out`."""
    read = {name: list(map(read_json, inputs.of(name))) for name in JSON_FILES}
    panels, signs, samples = (read[name] for name in JSON_FILES[:3])
    comparisons = tables["comparisons"]
    simulated = "oracle" in set(tables["metrics"]["forecaster"])
    run = Run(inputs, tables, out, settings.target, seeds, samples, panels)
    return Page(
        title=f"{settings.run}: can next quarter's holdings be forecast?",
        about=[text for text in (f"{ABOUT} {ORACLE_NOTE if simulated else ''}".strip(), question(comparisons)) if text],
        answers=answers(comparisons),
        caution=caution(comparisons, settings.confidence),
        figure=figure_part(out / "answer.png"),
        warnings=run_warnings(panels, signs, tables["metrics"], tables["origins"]),
        facts=run_facts(
            settings.told,
            settings.target,
            panels,
            samples,
            read[MANIFESTS],
            list(tables["origins"]["base_model"].dropna().unique()),
        ),
        chapters=chapters(run, signs),
    )


def main(args: Namespace) -> str:
    """Write tables, figures and report below the folder `--out`; returns the headline table as text."""
    out, inputs, settings = Path(args.out), Inputs(args.inputs), args.settings
    runs = out.parent.parent
    folders = [out.parent, *(runs / name for name in settings.seed_runs)] if settings.seed_runs else []
    tables = summary_tables(inputs, settings, folders)
    for name, table in tables.items():
        write_csv(out / f"{name}.csv", table)
    skill = inputs.table("evaluation/skill.csv")
    answer = answer_table(skill, tables["comparisons"])
    plot_skill(skill, out / "skill")
    plot_answer(answer, out / "answer")
    described = {**tables, "skill": skill, "answer": answer}
    write_csv(out / "data_dictionary.csv", dictionary_of(inputs, described))

    page = report_page(inputs, settings, tables, out, bool(folders))
    write_text(out / "report.html", render(page))
    shown = headline(tables["metrics"], HEADLINE_TARGET)[SHOWN]
    text = shown.to_string(index=False, float_format="{:.3f}".format, na_rep="-")
    return "\n".join([*(f"WARNING: {warning}" for warning in page.warnings), f"{HEADLINE_TARGET}:", text])


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        inputs={**cli.FILES, "help": "the tables, reports and figures of all firm types"},
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
