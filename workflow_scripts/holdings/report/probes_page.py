"""The page of the probes: a verdict in words per firm type and stage, then every statistic."""

from collections.abc import Sequence

import pandas as pd

from workflow_scripts.holdings.evaluation.probes import BY_NAME, NOT_ANSWERED, NOT_JUDGED, remembering
from workflow_scripts.holdings.report.answers import Answer
from workflow_scripts.holdings.report.page import Chapter, Page, render
from workflow_scripts.holdings.report.tables import table, words
from workflow_scripts.holdings.texts.probe_answers import DIGITS

ABOUT = (
    "Probes of a part of the test windows. Intervals are clustered by quarter and by manager; a finding says more "
    "than not shown where its p-value, after Holm's correction over all rows of the firm type, allows it. What is "
    "not shown can still be there: read the interval. Stocks are named by {named_by}, managers by their number. "
    "docs/probes.md explains each statistic."
)
SHOWN = ["stage", "probe", "statistic", "n_windows", "estimate", "lower", "upper", "reference", "p_holm", "finding"]


def verdict(table: pd.DataFrame) -> str:
    """What a table of one stage says on memory, with the number that it rests on.

    An absence is told with the interval: few windows show nothing, whatever there is.
    """
    digits = table[(table["probe"] == DIGITS) & (table["statistic"] == "rank")].iloc[0]
    rank = (
        f"rank of the true last digits {digits['estimate']:.3f}, {digits['lower']:.3f} to {digits['upper']:.3f}, "
        f"{digits['reference']:.1f} by chance, {digits['n_windows']} windows"
    )
    if remembering(table):
        return f"memory of the test windows is shown ({rank})"
    if digits["finding"] in (NOT_JUDGED, NOT_ANSWERED):
        return "memory of the answers " + NOT_JUDGED
    return f"no memory of the test windows is shown ({rank})"


def departures(table: pd.DataFrame) -> list[str]:
    """The findings of one stage that say more than "not shown", each with its estimate and interval."""
    lines = []
    for row in table.itertuples():
        one = BY_NAME[row.probe, row.statistic]
        if one.reference is not None and row.finding not in (one.same, NOT_JUDGED, NOT_ANSWERED):
            interval = f"{row.estimate:.3f}, {row.lower:.3f} to {row.upper:.3f}; {one.reference:g} by chance"
            lines.append(f"{row.finding} ({row.probe}, {row.statistic} {interval})")
    return lines


def probes_page(run: str, named_by: str, tables: Sequence[pd.DataFrame]) -> str:
    """The whole page from a table of `probe_table` per firm type; every text is escaped.

    `named_by` is how stocks are named in questions: ticker or permno.
    """
    verdicts: list[Answer] = []
    chapters: list[Chapter] = []
    for of_type in tables:
        firm_type = of_type["firm_type"].iloc[0]
        for stage, rows in of_type.groupby("stage", sort=False):
            tone = "bad" if remembering(rows) else "open"
            verdicts.append(Answer(f"{words(firm_type)}, {words(stage)}: {verdict(rows)}.", tone))
            verdicts += [Answer(f"{words(firm_type)}, {words(stage)}: {line}.", "open") for line in departures(rows)]
        shown = table("Every statistic", of_type[SHOWN], name=f"probes_{firm_type}")
        chapters.append(Chapter(words(firm_type), [shown]))
    return render(Page(f"{run}: does it know, or remember?", [ABOUT.format(named_by=named_by)], verdicts, chapters))
