"""The page of the probes: a verdict in words per firm type and stage, then every statistic."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workflow_scripts.holdings.evaluation.probes import BY_NAME, NOT_ANSWERED, NOT_JUDGED, remembering
from workflow_scripts.holdings.report.page import Part, table_part
from workflow_scripts.holdings.texts.probe_answers import DIGITS

PROBES_TEMPLATE = Path(__file__).with_name("probes.html.j2")
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
    """The whole page from a table of `probe_table` per firm type; every text but the tables' own is escaped.

    `named_by` is how stocks are named in questions: ticker or permno.
    """
    verdicts: list[tuple[str, str, list[str]]] = []
    parts: list[Part] = []
    for table in tables:
        firm_type = table["firm_type"].iloc[0]
        for stage, rows in table.groupby("stage", sort=False):
            verdicts.append((f"{firm_type}, {stage}", verdict(rows), departures(rows)))
        parts.append(table_part(firm_type, table[SHOWN]))
    loader = FileSystemLoader(PROBES_TEMPLATE.parent, encoding="utf-8")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.get_template(PROBES_TEMPLATE.name)
    return template.render(run=run, named_by=named_by, verdicts=verdicts, parts=parts)
