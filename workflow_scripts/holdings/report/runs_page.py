"""The page that sets several runs side by side: sentences first, then a table per firm type."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.holdings.evaluation.comparison import METRICS, PRIMARY
from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, RELATIVE_RANK_IC
from workflow_scripts.holdings.evaluation.tables import CAPPED_SKILL
from workflow_scripts.holdings.report.answers import ADVANTAGES, Answer, caution, listed, primary_rows, sentence
from workflow_scripts.holdings.report.chapters import FORMULAS
from workflow_scripts.holdings.report.dictionary import MUSD
from workflow_scripts.holdings.report.numbers import per_cent
from workflow_scripts.holdings.report.page import Chapter, Page, Part, figure_part
from workflow_scripts.holdings.report.run_facts import Fact
from workflow_scripts.holdings.report.summary import MIN_PARSED, marked
from workflow_scripts.holdings.report.tables import Table, table, words
from workflow_scripts.plumbing.flat_settings import flat_settings

# What every two runs differ in, and what makes no forecast another one: names of runs, and where stages are taken from.
APART = ("run", "base_run", "seeds", "evaluation.seed_runs")
# Beside the settings, what a row of a table of runs has.
METRIC_COLUMNS = (CAPPED_MAE, CAPPED_SKILL, RELATIVE_RANK_IC, "MAE", "parsed_share")
# Of more runs than these only those are told of which a difference is shown.
TOLD_RUNS = 3
DIFFERENCE_COLUMNS = ("difference", "interval_low", "interval_high", "p_holm", "verdict", "detectable")
OTHERS_COLUMNS = ("forecaster", "target", "metric", "candidate", "baseline_value", "candidate_value")
UNITS = {metric.name: metric.unit for metric in METRICS}
MARKS = "*: fewer than 10 quarters or managers; \N{DAGGER}: on another base model."


@dataclass(frozen=True)
class Compared:
    """Runs side by side: tables over all firm types.

    `settings` are the `differing_settings`. `runs` has a row per firm type, run and forecaster: these settings, each in
    a column, and METRIC_COLUMNS. `comparisons` are those of `compare_runs`, corrected. The page judges `forecaster`.
    """

    against: str
    forecaster: str
    settings: pd.DataFrame
    runs: pd.DataFrame
    comparisons: pd.DataFrame

    @property
    def beginning(self) -> str:
        """The beginning, up to a dash, that the names of all runs share; empty where there is none."""
        runs = list(self.settings.index)
        parts = zip(*(run.split("-") for run in runs), strict=False)
        start = "".join(f"{part[0]}-" for part in itertools.takewhile(lambda part: len(set(part)) == 1, parts))
        return start if all(run.startswith(start) for run in runs) else ""

    def shortened(self) -> "Compared":
        """The same, its runs called without the beginning that they share."""
        cut = len(self.beginning)
        return replace(
            self,
            against=self.against[cut:],
            settings=self.settings.rename(index=lambda run: run[cut:]),
            runs=self.runs.assign(run=self.runs["run"].str[cut:]),
            comparisons=self.comparisons.assign(
                **{side: self.comparisons[side].str[cut:] for side in ("baseline", "candidate")}
            ),
        )


def differing_settings(configs: Mapping[str, Mapping]) -> pd.DataFrame:
    """The settings that are not the same in all runs: a row per run (its index), a column per key, values as text."""
    flat = {run: flat_settings(config) for run, config in configs.items()}
    keys = sorted({key for found in flat.values() for key in found} - set(APART))
    values = {key: [_text(found.get(key)) for found in flat.values()] for key in keys}
    differing = {key: texts for key, texts in values.items() if len(set(texts)) > 1}
    return pd.DataFrame(differing, index=pd.Index(flat, name="run"))


def _text(value: object) -> str:
    """A setting as a config file would have it; empty for none."""
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "[]"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def setting_lines(settings: pd.DataFrame) -> list[str]:
    """A line per run: what it has of its own."""
    lines = []
    for run, row in settings.iterrows():
        values = [f"{key} {value or 'not set'}" for key, value in row.items()]
        lines.append(f"{run}: {', '.join(values) or 'no setting differs'}")
    return lines


def run_answers(compared: Compared) -> list[Answer]:
    """A sentence per run and headline metric, over all firm types; of many runs only where a difference is shown."""
    rows = primary_rows(compared.comparisons)
    runs = list(rows["candidate"].unique())
    groups = dict(iter(rows.groupby(["candidate", "metric"], sort=False)))
    if len(runs) <= TOLD_RUNS:
        return [sentence(groups[run, metric], run, compared.against) for run in runs for metric in ADVANTAGES]
    answers = []
    for metric, advantage in ADVANTAGES.items():
        clear = [run for run in runs if groups[run, metric]["kind"].isin(["better", "worse"]).any()]
        answers += [sentence(groups[run, metric], run, compared.against) for run in clear]
        if unclear := [run for run in runs if run not in clear]:
            text = f"Neither {advantage} than {compared.against} nor a worse one is shown of {listed(unclear)}."
            answers.append(Answer(text, "open"))
    return answers


def run_notes(compared: Compared) -> list[str]:
    """What to know before a difference is put down to a setting."""
    notes, own = [], compared.settings.loc[compared.against]
    differing = (compared.settings.drop(index=compared.against) != own).sum(axis=1)
    if len(alike := list(differing.index[differing == 0])):
        notes.append(
            f"{listed(alike)} {'has' if len(alike) == 1 else 'have'} the settings of {compared.against}: a difference "
            "is one of code or machines."
        )
    if len(several := list(differing.index[differing > 1])):
        notes.append(
            f"{listed(several)} {'differs' if len(several) == 1 else 'differ'} from {compared.against} in several "
            "settings, and so by all of them together."
        )
    if "seed" not in compared.settings:
        notes.append(
            "Each run is one training with one seed. Another seed gives another adapter: the intervals tell of other "
            "managers and quarters, not of other trainings."
        )
    return notes


def silent_runs(compared: Compared) -> list[Answer]:
    """What comes first: of which runs many answers could not be read, so that their error is partly no change's."""
    rows = compared.runs[compared.runs["forecaster"] == compared.forecaster]
    silent = rows[rows["parsed_share"] < MIN_PARSED].groupby("run", sort=False)
    told = [
        f"{run} {listed([f'{per_cent(one.parsed_share)} % ({words(one.firm_type)})' for one in found.itertuples()])}"
        for run, found in silent
    ]
    if not told:
        return []
    text = "Answers that could not be read count as no change, whose error can be smaller than that of a model that"
    return [Answer(f"{text} speaks. Read was, of {'; '.join(told)}.", "bad")]


def _tables(compared: Compared, firm_type: str) -> list[Table]:
    """The table of a firm type by error, then by ranking: one row per run, the run of the comparison first."""
    keys = list(compared.settings.columns)
    runs, found = (
        frame[(frame["firm_type"] == firm_type) & (frame["forecaster"] == compared.forecaster)]
        for frame in (compared.runs, marked(compared.comparisons))
    )
    found = found[found["family"] == PRIMARY]
    tables = []
    for metric, columns in ((CAPPED_MAE, METRIC_COLUMNS), (RELATIVE_RANK_IC, (RELATIVE_RANK_IC,))):
        pairs = found[found["metric"] == metric][["candidate", *DIFFERENCE_COLUMNS]]
        shown = runs[["run", *keys, *columns]].merge(pairs, left_on="run", right_on="candidate", how="left")
        place = (shown["run"] != compared.against).to_numpy()
        # First what is asked.
        order = [name for name in ("run", *keys, metric, *DIFFERENCE_COLUMNS, *columns) if name in shown]
        shown = shown.iloc[np.argsort(place, kind="stable")][list(dict.fromkeys(order))]
        units = {"MAE": MUSD, "difference": UNITS[metric], "interval_low": UNITS[metric], "detectable": UNITS[metric]}
        title = words(firm_type) if metric == CAPPED_MAE else f"{words(firm_type)}: ranking"
        few = shown["verdict"].str.contains("[*\N{DAGGER}]", na=False).any()
        options = {"note": MARKS if few else "", "folded": metric != CAPPED_MAE, "name": f"{firm_type}_{metric}"}
        tables.append(table(title, shown, units=units, ranked=True, spread=("setting", keys), **options))
    return tables


def _others(compared: Compared) -> Table:
    """Every other comparison: stages before the last, dollars, the whole change."""
    rows = compared.comparisons[compared.comparisons["family"] != PRIMARY]
    shown = rows[["firm_type", *OTHERS_COLUMNS, *DIFFERENCE_COLUMNS]]
    note = "Values and differences have the unit of their metric. Corrected together, apart from the tables above."
    return table("Every other comparison", shown, name="others", folded=True, note=note)


def _facts(compared: Compared, facts: Sequence[Fact]) -> list[Fact]:
    short, beginning = compared.shortened(), compared.beginning
    shared = [f"all names begin with {beginning}, which is left out here"] * bool(beginning)
    rows = compared.comparisons[compared.comparisons["family"] == PRIMARY]
    rows = rows[rows["metric"] == CAPPED_MAE].drop_duplicates("firm_type")
    windows = [
        f"{words(row.firm_type)}: {row.n_windows:,} windows, {row.n_quarters} quarters, {row.n_managers:,} managers"
        for row in rows.itertuples()
    ]
    return [
        Fact("Runs", [*shared, *setting_lines(short.settings)]),
        Fact("Judged", [f"the answers of {words(compared.forecaster)} of each run"]),
        Fact("Test", ["the same in all runs, to the last digit", *windows]),
        *facts,
        Fact("Files", ["runs.csv and comparisons.csv beside this page"]),
    ]


def runs_page(compared: Compared, confidence: float, out: Path, warnings: Sequence[str], facts: Sequence[Fact]) -> Page:
    """The page, whose figures lie below `out`; `warnings` and `facts` are those that its tables do not say."""
    whole, compared = compared, compared.shortened()
    against, others = compared.against, [run for run in compared.settings.index if run != compared.against]
    parts: list[Part] = [
        one for firm_type in compared.runs["firm_type"].unique() for one in _tables(compared, str(firm_type))
    ]
    curve = [figure_part(out / "curve.png")] if (out / "curve.png").is_file() else []
    chapters = [Chapter("Over the grid", curve)] * bool(curve)
    chapters += [
        Chapter("Results by type", parts),
        Chapter("Everything else", [_others(compared)]),
        Chapter("How to read this", [FORMULAS]),
    ]
    return Page(
        title=f"{against} beside {' and '.join(others) if len(others) < 3 else f'{len(others)} other runs'}",
        about=[
            "Runs side by side, on identical test windows: manager, stock, quarter, position and truth were compared "
            "before anything else. An answer that cannot be read counts as a forecast of no change.",
            f"Asked: does {words(compared.forecaster)} of another run forecast what managers trade in the next quarter "
            f"(the active change) better than that of {against}?",
        ],
        answers=[*silent_runs(compared), *run_answers(compared)],
        caution=[*caution(compared.comparisons, confidence), *run_notes(compared)],
        figure=figure_part(out / "differences.png"),
        warnings=warnings,
        facts=_facts(whole, facts),
        chapters=chapters,
    )
