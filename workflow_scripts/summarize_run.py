"""Collect the tables of all firm types, correct the comparisons, draw the skill figure, write the report.

The report is one HTML file without outside references: warnings, the comparisons that the run is made for, what the
others show after Holm's correction, metrics of the active change and of the dollar change, coverage, comparisons,
seeds, rewards, leakage audit, windows and figures. Prints the headline, which is of the active change.
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, RELATIVE_RANK_IC
from workflow_scripts.holdings.evaluation.tables import CAPPED_SKILL, FAULT, HEADLINE_TARGET, OWN
from workflow_scripts.holdings.report.dictionary import data_dictionary
from workflow_scripts.holdings.report.page import Part, figures_part, page, table_part
from workflow_scripts.holdings.report.plots import plot_skill
from workflow_scripts.holdings.report.summary import (
    CHANGE_TITLES,
    FILING_LAG,
    TRAINED_ON,
    check_seed_runs,
    correct_comparisons,
    headline,
    over_seeds,
    primary_table,
    run_warnings,
    verdict_table,
)
from workflow_scripts.holdings.rewards.preflight import TOTAL
from workflow_scripts.holdings.texts.targets import CHANGES, TargetName
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, read_json, write_csv, write_text

ORACLE_NOTE = (
    "The panel is simulated: the oracle knows the law of the active change, so that its error of it is what nobody "
    "can forecast. Simulated prices move the positions, far less than real ones do, and nobody can forecast them "
    "either; no stock is split."
)
# Columns of the headline that are printed.
SHOWN = [
    *("firm_type", "forecaster", "n_windows", CAPPED_MAE, CAPPED_SKILL, RELATIVE_RANK_IC),
    *("MAE", "RankIC", "parsed_share", "valid_share"),
]
# Characters at the end of a completion with a fault; the file has all.
SHOWN_OF_COMPLETION = 300
MARKS = "(*: fewer than 10 quarters or managers; \N{DAGGER}: on another base model)"
COMPARISON_COLUMNS = [
    "firm_type", "family", "target", "metric", "baseline", "candidate", "n_quarters", "n_managers", "difference",
    "interval_low", "interval_high", "p_holm", "verdict", "detectable", "same_base_model", "few_quarters",
    "few_managers",
]  # fmt: skip

COMBINATION_COLUMNS = [
    "firm_type", "candidate", "baseline", "weight", "interval_low", "interval_high", "p_adds_nothing",
    "p_baseline_adds_nothing", "baseline_value", "candidate_value", "average_value", "average_difference",
    "average_low", "average_high", "n_quarters", "n_managers",
]  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The run's name, what was trained on, the confidence, and the names of the runs of other seeds."""

    run: str
    target: TargetName
    confidence: float
    seed_runs: list[str]


def policies(preflight: pd.DataFrame) -> pd.DataFrame:
    """Mean total reward by stage, policy and firm type, and what its groups of answers would teach."""
    total = preflight[preflight["reward"] == TOTAL]
    return total.pivot(
        index=["stage", "policy"], columns="firm_type", values=["mean", "dead_groups", "in_order"]
    ).reset_index()


def on_one_scale(rewards: pd.DataFrame) -> pd.DataFrame:
    """Mean reward of each stage by firm type, of the rewards whose scale does not move with what they score."""
    fixed = rewards[~rewards["self_scaled"]]
    stages = fixed["stage"].drop_duplicates()
    return fixed.pivot(index=["firm_type", "reward"], columns="stage", values="mean")[stages].reset_index()


def read_seeds(metrics: pd.DataFrame, folders: list[Path]) -> pd.DataFrame:
    """`over_seeds` of this run, whose folder comes first, and of the others."""
    configs = {folder.name: yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) for folder in folders}
    if len(configs) > 1:
        check_seed_runs(configs)
    return over_seeds([metrics, *(read_csv(folder / "summary/metrics.csv") for folder in folders[1:])])


class Inputs:
    """The files of a run that the summary is made of, found by the end of their paths, in the order given."""

    def __init__(self, paths: list[str]) -> None:
        # A table of the first firm type can stand there twice, once for the dictionary.
        self.paths = [Path(path) for path in dict.fromkeys(paths)]

    def of(self, pattern: str) -> list[Path]:
        """The files whose path ends like `evaluation/metrics.csv` or `samples/*.json`."""
        return [path for path in self.paths if path.match(pattern)]

    def table(self, pattern: str) -> pd.DataFrame:
        """The rows of all these CSV files; no rows, and only the column firm_type, where there are none."""
        tables = [read_csv(path) for path in self.of(pattern)]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["firm_type"])


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
        "metrics_over_seeds": read_seeds(metrics, folders),
        "rewards": inputs.table("evaluation/rewards_*.csv"),
        "preflight": inputs.table("preflight/*.csv"),
        "audit": inputs.table("audit/*.csv"),
        "samples": pd.DataFrame(samples),
        "origins": inputs.table("evaluation/origins.csv"),
    }


def dictionary_of(inputs: Inputs, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The data dictionary of the summary's tables and of the evaluation's, which are the same for every firm type."""
    described = {f"summary/{name}.csv": table.columns for name, table in tables.items()}
    for path in inputs.of("evaluation/*.csv"):
        if not path.match("rewards_*.csv"):
            described.setdefault(f"evaluation/{path.name}", read_csv(path, rows=0).columns)
    return data_dictionary(described)


def report_parts(inputs: Inputs, tables: dict[str, pd.DataFrame], out: Path, seeds: bool) -> list[Part]:
    """What the page shows, in its order."""
    changes = sorted(CHANGES, key=lambda name: name != HEADLINE_TARGET)
    metrics, comparisons, periods = (tables[name] for name in ("metrics", "comparisons", "metrics_by_period"))
    rewards, preflight = tables["rewards"], tables["preflight"]
    coverage = inputs.table("evaluation/coverage.csv")
    own = tables["origins"][tables["origins"]["source"].notna()]
    faults = coverage[coverage["step"] == FAULT].drop(columns="step")
    examples = inputs.table("evaluation/faults_*.csv")
    if len(examples):  # not in a run without a model
        examples["completion"] = examples["completion"].fillna("").str[-SHOWN_OF_COMPLETION:]
    funnel = coverage[coverage["step"] != FAULT]
    funnel = funnel.pivot(index=["firm_type", "forecaster"], columns="step", values="share").reset_index()
    return [
        table_part(
            "What the run was made to find out: the last stage against no change, the baseline that was best before "
            "the test quarters, and the stage before it, on the active change; corrected for each other (Holm). "
            f"Of {CAPPED_MAE} less is better. detectable: the true difference that would be found in four of five "
            f"such samples {MARKS}",
            primary_table(comparisons),
        ),
        table_part(
            f"All models against the others by {CAPPED_MAE}; what is not in the table above is corrected over the rest "
            f"of comparisons.csv {MARKS}",
            verdict_table(comparisons),
            folded=True,
        ),
        table_part(
            "Does a forecaster add anything to the baseline that was best before the test quarters? weight: of the "
            "forecaster in the best combination of both (0: it adds nothing; 1: the baseline adds nothing to it); "
            f"average: of both forecasts, by {CAPPED_MAE}, against the baseline. Not corrected for several questions",
            tables["combinations"][COMBINATION_COLUMNS],
        ),
        *([table_part("Forecasters of your own", own)] if len(own) else []),
        *(table_part(CHANGE_TITLES[name], headline(metrics, name)) for name in changes),
        table_part(
            "Each forecaster on the windows that it answered itself, as published code scores: not comparable, because "
            "each has windows of its own",
            headline(metrics, changes[0], OWN),
            folded=True,
        ),
        figures_part("", [out / "skill.png"]),
        *([table_part("Before and after the knowledge cut-off", periods, folded=True)] if len(periods) else []),
        table_part("Coverage: share of samples", funnel),
        *([table_part("What is wrong with the completions: share of samples", faults)] if len(faults) else []),
        *([table_part("Examples of completions with a fault", examples, folded=True)] if len(examples) else []),
        table_part(
            "Paired comparisons, with errors clustered by quarter and by manager",
            comparisons[COMPARISON_COLUMNS],
            folded=True,
        ),
        *(
            [table_part("Mean and standard deviation over seeds", tables["metrics_over_seeds"], folded=True)]
            if seeds
            else []
        ),
        *(
            [
                table_part(
                    "Mean rewards of the test completions, on scales that are the same for all stages",
                    on_one_scale(rewards),
                ),
                table_part(
                    "All rewards of the test completions; where self_scaled, their own errors are the scale, and "
                    "stages cannot be compared",
                    rewards,
                    folded=True,
                ),
            ]
            if len(rewards)
            else []
        ),
        *(
            [
                table_part(
                    "What the rewards pay to canned policies, on average (of mse_holdings and external_holdings, which "
                    "are scaled by the errors that they score, no measure between policies), and what groups of "
                    "answers would teach",
                    policies(preflight),
                )
            ]
            if len(preflight)
            else []
        ),
        table_part("Leakage audit", tables["audit"], folded=True),
        Part(text=FILING_LAG),
        table_part("Windows", tables["samples"]),
        figures_part("Figures", inputs.of("evaluation/*.png")),
    ]


def main(args: Namespace) -> str:
    """Write tables, figure and report below the folder `--out`; returns the headline table as text."""
    out, inputs, settings = Path(args.out), Inputs(args.inputs), args.settings
    runs = out.parent.parent
    folders = [out.parent, *(runs / name for name in settings.seed_runs)] if settings.seed_runs else []
    tables = summary_tables(inputs, settings, folders)
    for name, table in tables.items():
        write_csv(out / f"{name}.csv", table)
    skill = inputs.table("evaluation/skill.csv")
    plot_skill(skill, out / "skill")
    write_csv(out / "data_dictionary.csv", dictionary_of(inputs, {**tables, "skill": skill}))

    metrics = tables["metrics"]
    panels, trainings = (list(map(read_json, inputs.of(name))) for name in ("panel_report.json", "training/*.json"))
    warnings = run_warnings(panels, trainings, metrics, tables["origins"])
    note = ORACLE_NOTE if "oracle" in set(metrics["forecaster"]) else ""
    parts = report_parts(inputs, tables, out, bool(folders))
    write_text(
        out / "report.html",
        page(settings.run, f"{TRAINED_ON[settings.target]} ({settings.target})", note, warnings, parts),
    )
    text = headline(metrics, HEADLINE_TARGET)[SHOWN].to_string(index=False, float_format="{:.3f}".format, na_rep="-")
    return "\n".join([*(f"WARNING: {warning}" for warning in warnings), f"{HEADLINE_TARGET}:", text])


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        inputs={**cli.FILES, "help": "the tables, reports and figures of all firm types"},
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
