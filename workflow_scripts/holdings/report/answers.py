"""The first screen in words: what the run was made to find out, and what its primary comparisons say.

Every sentence is put together from the rows of the primary family (`summary.correct_comparisons`): which firm types
are better, worse, or not shown to be either, by how much with the interval, and what difference could have been found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workflow_scripts.holdings.evaluation.comparison import ERRORS, PRIMARY
from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, RELATIVE_RANK_IC
from workflow_scripts.holdings.forecasts.baselines import NO_CHANGE
from workflow_scripts.holdings.forecasts.stages import STAGES
from workflow_scripts.holdings.report.numbers import number, per_cent
from workflow_scripts.holdings.report.tables import words

# What the candidate is compared with, in the order of the page.
BEST_BASELINE, NOBODY, STAGE = "best baseline", "no change", "stage before"
RIVALS = {
    BEST_BASELINE: "the baseline that was best before the test quarters",
    NOBODY: "no change",
    STAGE: "the stage before it",
}
# What is compared, and how an advantage is called.
ADVANTAGES = {CAPPED_MAE: "a smaller error", RELATIVE_RANK_IC: "a better ranking"}
VERDICTS = ("better", "worse", "not shown", "same", "undefined")
# A difference of this share of the rival's error is worth finding; the sentence says where it could not be found.
WORTH_FINDING = 0.05
NO_QUESTION = (
    "This run compares no trained stage with anything, so that it has no primary comparison. What the other "
    "forecasters are against each other stands in the tables below, corrected for their number."
)
# Why there is no test: of a ranking, and of an error.
NO_TEST = ("forecasts that are alike within a quarter rank nothing", "too few quarters or managers")
RANK_DECIMALS = 3


@dataclass(frozen=True)
class Answer:
    """What is said of one rival and metric: the sentence, and the tone of what it says (good, bad, open)."""

    text: str
    tone: str


def role_of(baseline: str) -> str:
    """What a baseline of a primary comparison stands for."""
    if baseline == NO_CHANGE:
        return NOBODY
    return STAGE if baseline in STAGES else BEST_BASELINE


def primary_rows(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The rows of the primary family with `role`, and `kind`: the verdict, or `same` where the forecasts are alike.

    Two forecasters whose errors never differ have a difference of 0 without any spread. That is no absence of evidence.
    """
    rows = comparisons[comparisons["family"] == PRIMARY].copy()
    alike = (rows["difference"] == 0) & (rows["standard_error"] == 0)
    return rows.assign(role=rows["baseline"].map(role_of), kind=rows["verdict"].where(~alike, "same"))


def question(comparisons: pd.DataFrame) -> str:
    """What the run was made to find out; empty without a primary comparison."""
    rows = primary_rows(comparisons)
    if not len(rows):
        return ""
    candidates = " and ".join(dict.fromkeys(map(words, rows["candidate"])))
    rivals = listed([RIVALS[role] for role in RIVALS if role in set(rows["role"])])
    return (
        f"Asked: does {candidates} forecast what managers trade in the next quarter (the active change) better than "
        f"each of its rivals: {rivals}?"
    )


def answers(comparisons: pd.DataFrame) -> list[Answer]:
    """A sentence per candidate, metric and rival of the primary comparisons; one that says so where there is none."""
    rows = primary_rows(comparisons)
    if not len(rows):
        return [Answer(NO_QUESTION, "open")]
    # The rivals in their order, and so the metrics.
    places = (rows["metric"].map(list(ADVANTAGES).index), rows["role"].map(list(RIVALS).index))
    rows = rows.assign(metric_place=places[0], role_place=places[1])
    groups = rows.groupby(["candidate", "metric_place", "role_place"], sort=True)
    return [_answer(group, group["role"].iloc[0]) for _, group in groups]


def caution(comparisons: pd.DataFrame, confidence: float) -> list[str]:
    """How to take the sentences: the correction, and how few quarters and managers some of them rest on."""
    rows = primary_rows(comparisons)
    if not len(rows):
        return []
    tests = int(rows["p_value"].notna().sum())
    lines = [
        f"Intervals hold {per_cent(confidence)} % each, clustered by quarter and by manager; better and worse are said "
        f"after Holm's correction for all {tests} tests of this question. Could have been found: in four of five such "
        "samples, were it the true difference. Not shown does not mean equal."
    ]
    tested = rows[rows["p_value"].notna()]
    for flag, what in (("few_quarters", "quarters"), ("few_managers", "managers")):
        few = tested[tested[flag]]
        if len(few):
            types = listed([words(name) for name in few["firm_type"].unique()])
            lines.append(f"Fewer than 10 {what} are behind the sentences on {types}: do not trust their intervals.")
    other = rows[rows["same_base_model"] == "no"]
    if len(other):
        lines.append("Some of these pairs sit on different base models, so that a difference is one of models, too.")
    return lines


def _answer(rows: pd.DataFrame, role: str) -> Answer:
    """The sentence on one rival by one metric, over all firm types."""
    rival = " or ".join(dict.fromkeys(map(words, rows["baseline"]))) if role == STAGE else RIVALS[role]
    return sentence(rows, words(rows["candidate"].iloc[0]), rival, tell_rivals=role == BEST_BASELINE)


def sentence(rows: pd.DataFrame, candidate: str, rival: str, *, tell_rivals: bool = False) -> Answer:
    """What the rows of `primary_rows` say of a candidate and a rival by one metric, one row per firm type.

    `candidate` and `rival` are what both are called. `tell_rivals`: each firm type has a rival of its own, to be named.
    """
    metric, of = rows["metric"].iloc[0], len(rows)
    groups = {kind: rows[rows["kind"] == kind] for kind in VERDICTS}
    told = {
        kind: listed([_told(row, metric, tell_rivals) for row in group.itertuples()]) for kind, group in groups.items()
    }
    types = {kind: listed(list(map(words, group["firm_type"]))) for kind, group in groups.items()}
    better, worse, unclear, same, undefined = (len(groups[kind]) for kind in VERDICTS)
    if same == of:
        same_thing = "makes exactly the same errors as" if metric in ERRORS else "ranks exactly like"
        return Answer(f"{candidate} {same_thing} {rival}: {types['same']}.", "open")
    if undefined == of:
        whether = f"Whether {candidate} has {ADVANTAGES[metric]} than {rival} cannot be tested"
        return Answer(f"{whether} ({types['undefined']}): {NO_TEST[metric in ERRORS]}.", "open")
    parts = [f"{candidate} has {ADVANTAGES[metric]} than {rival} in {_count(better, of)}"]
    parts[0] += f": {told['better']}." if better else "."
    if worse:
        parts.append(f"It is worse in {_count(worse, of)}: {told['worse']}.")
    if unclear:
        parts.append(f"Neither is shown in {_count(unclear, of)}: {told['not shown']}.")
        if metric in ERRORS and (_findable(groups["not shown"]) > WORTH_FINDING).all():
            where = "in any of these" if unclear > 1 else "there"
            parts.append(f"A difference of {per_cent(WORTH_FINDING)} % could not have been found {where}.")
    if same:
        parts.append(
            f"Both {'make exactly the same errors' if metric in ERRORS else 'rank alike'} for {types['same']}."
        )
    if undefined:
        parts.append(f"There is no test for {types['undefined']}: {NO_TEST[metric in ERRORS]}.")
    tone = "good" if better and not worse else "bad" if worse and not better else "open"
    return Answer(" ".join(parts), tone)


def _findable(rows: pd.DataFrame) -> pd.Series:
    """True differences of errors that four of five such samples would find, as shares of the rival's error."""
    return rows["detectable"] / rows["baseline_value"]


def _told(row: Any, metric: str, tell_rivals: bool) -> str:
    """A firm type with its difference and interval, as `banks (error -6.1 % [-9.0, -3.2])`.

    A difference of errors is told as a share of the rival's error, one of correlations as it is.
    """
    values = np.array([row.difference, row.interval_low, row.interval_high, row.detectable])
    if metric in ERRORS and not row.baseline_value > 0:
        return f"{words(row.firm_type)} (the other makes no error)"
    if metric in ERRORS:
        *texts, findable = (per_cent(value) for value in values / row.baseline_value)
        name, unit = "error", " %"
    else:
        *texts, findable = (number(value, RANK_DECIMALS) for value in values)
        name, unit = "RankIC", ""
    middle, low, high = (f"+{text}" if value > 0 else text for text, value in zip(texts, values, strict=False))
    against = f" against {words(row.baseline)}" if tell_rivals else ""
    found = f"; {findable}{unit} could have been found" if row.kind == "not shown" and np.isfinite(values[-1]) else ""
    return f"{words(row.firm_type)}{against} ({name} {middle}{unit} [{low}, {high}]{found})"


def _count(number_of: int, of: int) -> str:
    """`1 of 4 firm types`; of one type alone, whether it is that one."""
    if of == 1:
        return "the one firm type" if number_of else "no firm type"
    return f"{number_of or 'none'} of {of} firm types"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last
