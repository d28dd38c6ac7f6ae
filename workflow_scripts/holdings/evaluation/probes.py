"""What the probes show: does a model know, or does it remember? Statistics with intervals, and what they mean.

Each statistic has a reference, its value for a model that remembers nothing; docs/evaluation.md has the formulas and
the literature. Intervals and p-values are clustered by quarter and by manager (`inference.py`).
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation.inference import (
    CLUSTERINGS,
    NOTHING,
    Clusters,
    Estimate,
    estimate,
    mean_estimate,
    mean_without,
    rank_ic_without,
    ratio_without,
    two_way_clusters,
)
from workflow_scripts.holdings.evaluation.metrics import (
    CAP,
    Array,
    capped_errors,
    holm,
    rank_ic_by_quarter,
    rows_by_quarter,
)
from workflow_scripts.holdings.forecasts.predictions import parse_samples, summarize_samples
from workflow_scripts.holdings.panel.quarters import quarter_starts
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.conversations import REFERENCE
from workflow_scripts.holdings.texts.probe_answers import DIGITS, OTHERS, RANKED
from workflow_scripts.holdings.texts.probe_prompts import ASKED, IDENTITY, RECALL, REIDENTIFICATION, SCALE
from workflow_scripts.holdings.texts.targets import TargetName

SIZES = ("small", "middle", "large")
BEFORE, AFTER = "before_cutoff", "after_cutoff"
# Rank of an answer that is as likely as the others.
CHANCE = 0.5
NOT_JUDGED = "cannot be judged: too few windows, quarters or managers, or nothing varies"
NOT_ANSWERED = "cannot be judged: no answer could be read"
_STOCK = re.compile(r'"stock"\s*:\s*"?\s*(?:permno\s+)?([A-Za-z0-9.\-]+)', re.IGNORECASE)


@dataclass(frozen=True)
class Statistic:
    """A statistic of a probe: its value without memory, and the finding where it is below, at or above that.

    Without a reference it is described, not judged. A difference of at most `margin` from it is none: rounding, or what
    skill can add to it. `shows_memory`: above that it shows memory and no skill.
    """

    probe: str
    name: str
    reference: float | None
    below: str = ""
    same: str = ""
    above: str = ""
    margin: float = 0.0
    shows_memory: bool = False


def _identity(part: str, whose: str) -> Statistic:
    return Statistic(
        IDENTITY,
        "_".join(filter(None, ("error_difference", part))),
        0.0,
        f"forecasts of {whose} are better where the stock is named: its name says what the history does not",
        f"no difference shown for {whose} between the named and the hidden stock",
        f"forecasts of {whose} are worse where the stock is named: its name distracts",
    )


STATISTICS = (
    Statistic(
        DIGITS,
        "rank",
        CHANCE,
        "the true last digits are less likely to it than others, which neither memory nor skill explains",
        "no memory of the answers' last digits shown",
        "it REMEMBERS: the true last digits, which nobody can forecast, are likelier to it than others",
        # A model that knows the density of the truth, with errors of a fifth of the position's usual change, has .517.
        margin=0.02,
        shows_memory=True,
    ),
    Statistic(
        DIGITS,
        "error_slope",
        0.0,
        "its forecasts are better where it remembers the last digits: part of its accuracy is memory",
        "no link shown between its accuracy and its memory of the last digits",
        "its forecasts are worse where it remembers the last digits",
    ),
    Statistic(DIGITS, "error_at_chance", None, same="capped relative error at rank 0.5, without the memory"),
    Statistic(
        OTHERS,
        "rank",
        CHANCE,
        "the answers of other windows are likelier to it than the true one",
        "it does not tell the true answer from those of other windows",
        "it tells the true answer from those of other windows: it knows something of the window, or remembers it",
    ),
    Statistic(
        SCALE,
        "elasticity",
        1.0,
        "its forecasts do not follow the dollars of the prompt: a part of them are amounts, habitual or remembered",
        "no departure from forecasts that follow the dollars of the prompt shown",
        "its forecasts grow more than the dollars of the prompt",
        margin=0.05,
    ),
    Statistic(SCALE, "shift", None, same="mean shift of the forecast by the scale alone, as a share of the position"),
    Statistic(
        RECALL,
        "close_share",
        0.0,
        "its answers without a history are close to other positions more often than to the true one",
        "no recall of positions without their history shown",
        "it REMEMBERS: asked without any history, it names the position more often than others' positions",
        # Who knows half of the variance of ln position, by the size of the stock, is 10 % close oftener by .02 to .05.
        margin=0.05,
        shows_memory=True,
    ),
    Statistic(
        RECALL,
        "RankIC",
        0.0,
        "its answers without a history are ordered against the true positions",
        "its answers without a history are not ordered as the true positions are",
        "its answers without a history are ordered as the true positions are: it knows the sizes of stock or manager",
    ),
    Statistic(
        REIDENTIFICATION,
        "right_share",
        0.0,
        "it names the hidden stock less often than by chance",
        "it does not tell which stock is hidden",
        "it tells which stock is hidden: hiding the name does not keep its memory of the stock out",
    ),
    _identity("", "all windows"),
    *(_identity(size, f"{size} stocks") for size in SIZES),
    _identity(BEFORE, "labels before the knowledge cut-off"),
    _identity(AFTER, "labels after the knowledge cut-off"),
)  # fmt: skip
BY_NAME = {(one.probe, one.name): one for one in STATISTICS}


@dataclass(frozen=True)
class Found:
    """A statistic of some windows: its estimate, how many they are, and from how many of them an answer was read."""

    estimate: Estimate
    n_windows: int
    n_answered: int


@dataclass(frozen=True)
class Asked:
    """What a run asks for, and what its probes count: the target, whether a think block comes before it, how close a
    recalled position must be, and the last day of what the base model has read, where it is stated."""

    target: TargetName
    think: bool
    close: float
    knowledge_cutoff: dt.date | None


def deltas(completions: Sequence[dict], rows: Sequence[dict], contract: Contract) -> pd.Series:
    """Forecast changes ($ million of the prompt; the median of several samples) by window, NaN where none was read.

    `rows` are those of one probe (`probe_rows`), `completions` theirs.
    """
    table = summarize_samples(parse_samples(completions, rows, contract)).set_index("window_id")
    found = table["predicted_delta"].reindex([row["window_id"] for row in rows])
    return found.set_axis([row["window"] for row in rows])


def rank_of_truth(log_probabilities: Array, place: int) -> float:
    """Share of the other answers that are less likely than the true one, equal ones by half; in [0, 1].

    >>> rank_of_truth(np.array([-3.0, -1.0, -2.0]), 2)
    0.5
    """
    true, others = log_probabilities[place], np.delete(log_probabilities, place)
    return float(np.mean(others < true) + np.mean(others == true) / 2)


def ranks_of_truth(ranked: Sequence[dict], log_probabilities: Sequence[dict]) -> dict[str, pd.Series]:
    """`rank_of_truth` by set of answers and window; `ranked` are the rows of `answer_rows`."""
    found = {row["window_id"]: np.array(row["log_probabilities"]) for row in log_probabilities}
    return {
        probe: pd.Series(
            {
                row["window"]: rank_of_truth(found[row["window_id"]], row["true_place"])
                for row in ranked
                if row["probe"] == probe
            },
            dtype=float,
        )
        for probe in RANKED
    }


def _clusters(facts: pd.DataFrame) -> Clusters:
    return two_way_clusters(facts["quarter"].to_numpy(), facts["mgrno"].to_numpy())


def mean_found(values: pd.Series, facts: pd.DataFrame) -> Found:
    """Mean of values by window, missing ones left out."""
    kept = values.dropna()
    n = len(kept)
    return Found(mean_estimate(kept.to_numpy(float), _clusters(facts.loc[kept.index])), n, n)


def ratio_found(numerator: Array, denominator: Array, facts: pd.DataFrame) -> Found:
    """sum(numerator) / sum(denominator), shape (n,) each."""
    n = len(numerator)
    if not n or not denominator.sum():
        return Found(NOTHING, n, n)
    value = numerator.sum() / denominator.sum()
    return Found(estimate(value, ratio_without(numerator, denominator, _clusters(facts))), n, n)


def line_found(x: pd.Series, y: pd.Series, facts: pd.DataFrame, at: float) -> tuple[Found, Found]:
    """Slope of y on x by least squares, and the line's value at x = `at`; windows where either is missing left out."""
    kept = x.notna() & y.notna()
    facts = facts.loc[x.index[kept]]
    a, b = x[kept].to_numpy(float) - at, y[kept].to_numpy(float)
    n = len(a)
    if n < 3 or np.ptp(a) == 0:
        return Found(NOTHING, n, n), Found(NOTHING, n, n)
    clusters = _clusters(facts)
    weights = (np.ones(n), a, b, a * a, a * b)
    whole = _line(*(np.array([one.sum()]) for one in weights))
    without = {
        name: _line(*(one.sum() - np.bincount(clusters.of_window[name], one) for one in weights))
        for name in CLUSTERINGS
    }
    slope, level = (estimate(float(whole[i][0]), {name: values[i] for name, values in without.items()}) for i in (0, 1))
    return Found(slope, n, n), Found(level, n, n)


def _line(n: Array, a: Array, b: Array, aa: Array, ab: Array) -> tuple[Array, Array]:
    """Slope and intercept from sums of two variables and their products; NaN where the first does not vary."""
    spread = aa - a * a / np.maximum(n, 1)
    # Rounding leaves dust of a spread that is 0.
    varies = spread > 1e-9 * np.maximum(aa, 1e-300)
    slope = np.where(varies, (ab - a * b / np.maximum(n, 1)) / np.where(varies, spread, 1.0), np.nan)
    return slope, (b - slope * a) / np.maximum(n, 1)


def scale_found(before: pd.Series, after: pd.Series, factor: pd.Series, facts: pd.DataFrame) -> dict[str, Found]:
    """Elasticity of the forecast to the dollars of the prompt, and its shift relative to the position.

    `before` and `after` are forecast changes of the run's prompt and of that times `factor`, by window. The elasticity
    is the slope, through the origin, of ln |after / before| on ln factor, over windows where both have the same sign: 1
    where the forecast follows the dollars, 0 where it stays.
    """
    held, n = facts["holding_t"], int((before.notna() & after.notna()).sum())
    shift = (after / (factor * held) - before / held).abs().clip(upper=CAP).where(held > 0)
    signed = before[before * after > 0].index
    x = np.log(factor[signed].to_numpy(float))
    y = np.log((after / before)[signed].to_numpy(float))
    found = {"elasticity": ratio_found(x * y, x * x, facts.loc[signed]), "shift": mean_found(shift, facts)}
    return {name: replace(one, n_answered=n) for name, one in found.items()}


def recall_found(position: pd.Series, close: float, facts: pd.DataFrame) -> dict[str, Found]:
    """How much oftener an answer is close to its own position than to those of the quarter's other windows, and RankIC.

    `position` is what was answered, $ million by window. Full exits are left out. An answer that could not be read is
    close to nothing, and not ranked.
    """
    facts = facts[facts["label_tp1"] > 0]
    answer, true = position[facts.index].to_numpy(float), facts["label_tp1"].to_numpy()
    excess = _own_less_others(
        lambda i, j: np.abs(answer[i][:, None] - true[j]) <= close * true[j], facts["quarter"].to_numpy()
    )
    read = ~np.isnan(answer)
    ranked, quarter = facts[read], facts["quarter"].to_numpy()[read]
    order = NOTHING
    if read.any():
        clusters, t, a = _clusters(ranked), true[read], answer[read]
        by_quarter = rank_ic_by_quarter(t, a, quarter)
        known = ~np.isnan(by_quarter)
        if known.any():
            without = mean_without(by_quarter, rank_ic_without(t, a, clusters), clusters)
            order = estimate(by_quarter[known].mean(), without)
    n = int(read.sum())
    return {"close_share": _answered(excess, facts, n), "RankIC": Found(order, n, n)}


def reidentification_found(answer: pd.Series, stock: pd.Series, facts: pd.DataFrame) -> dict[str, Found]:
    """How much oftener the named stock is the own window's than that of the quarter's other windows.

    A window in whose answer no stock could be read is wrong.
    """
    named, right = (one[facts.index].to_numpy(str) for one in (answer, stock))
    excess = _own_less_others(lambda i, j: named[i][:, None] == right[j], facts["quarter"].to_numpy())
    return {"right_share": _answered(excess, facts, int((named != "").sum()))}


def _answered(excess: Array, facts: pd.DataFrame, n: int) -> Found:
    """Mean of values by window, (windows,), of which n rest on an answer; nothing where none does."""
    found = mean_found(pd.Series(excess, facts.index), facts)
    return replace(found, n_answered=n) if n else Found(NOTHING, found.n_windows, 0)


def _own_less_others(matches: Callable[[NDArray, NDArray], NDArray], quarter: NDArray) -> Array:
    """Whether a window's answer fits its own truth, less the share of the quarter's other truths that it fits; (n,).

    Its mean is 0 for answers that have nothing to do with their window, whatever they are. NaN in a quarter of one
    window. `matches(i, j)` compares answers i with truths j, shape (i, j).
    """
    excess = np.full(len(quarter), np.nan)
    for rows in rows_by_quarter(quarter).values():
        if len(rows) > 1:
            fits = np.asarray(matches(rows, rows), float)
            own = np.diag(fits)
            excess[rows] = own - (fits.sum(axis=1) - own) / (len(rows) - 1)
    return excess


def named_stock(completion: object) -> str:
    """The stock that an answer names, in capitals; empty where it names none.

    >>> named_stock('<answer>{"stock": "brk.b"}</answer>')
    'BRK.B'
    """
    match = _STOCK.search(completion) if isinstance(completion, str) else None
    return match[1].upper() if match else ""


def identity_found(
    named: pd.Series, hidden: pd.Series, facts: pd.DataFrame, cutoff: dt.date | None
) -> dict[str, Found]:
    """Capped relative error with the named stock less that with the hidden one: all windows, and parts of them.

    `named` and `hidden` are forecast changes by window; one that could not be read counts as no change. Stocks are
    small, middle or large by thirds of their market equity at t; labels are before the cut-off if t+1 ended by then.
    """
    read = named.notna() & hidden.notna()
    difference = _errors(named.fillna(0.0), facts) - _errors(hidden.fillna(0.0), facts)
    third = np.ceil(facts["me"].rank(pct=True) * len(SIZES))
    parts = {"": difference} | {size: difference[third == i] for i, size in enumerate(SIZES, 1)}
    if cutoff:
        is_known = quarter_starts(facts["quarter"] + 2) <= np.datetime64(cutoff) + np.timedelta64(1, "D")
        parts |= {BEFORE: difference[is_known], AFTER: difference[~is_known]}
    found = {name: (mean_found(one, facts), int(read[one.index].sum())) for name, one in parts.items()}
    return {
        "_".join(filter(None, ("error_difference", name))): replace(one, n_answered=n)
        for name, (one, n) in found.items()
    }


def _errors(forecast: pd.Series, facts: pd.DataFrame) -> pd.Series:
    """|forecast - truth| / holding_t by window, at most CAP; NaN where there is no position or no truth."""
    held = facts["holding_t"].where(facts["holding_t"] > 0)
    relative = forecast[facts.index] / held
    return pd.Series(capped_errors((facts["truth"] / held).to_numpy(), relative.to_numpy()), facts.index)


def ranks_found(
    ranks: Mapping[str, pd.Series], forecast: pd.Series, facts: pd.DataFrame
) -> dict[str, dict[str, Found]]:
    """Mean rank of the true answer in each set, and the forecast's error as a line of its rank among the digits."""
    found = {probe: {"rank": mean_found(rank, facts)} for probe, rank in ranks.items()}
    errors = _errors(forecast.fillna(0.0), facts)[ranks[DIGITS].index]
    slope, level = line_found(ranks[DIGITS], errors, facts, CHANCE)
    found[DIGITS] |= {"error_slope": slope, "error_at_chance": level}
    return found


@dataclass(frozen=True)
class StageAnswers:
    """What one stage answered: its forecasts of the run's prompts ($ million by window), its completions of the
    probes' prompts, and the log-probabilities of the ranked answers."""

    forecast: pd.Series
    completions: Sequence[dict]
    log_probabilities: Sequence[dict]


def stage_found(
    questions: Sequence[dict], ranked: Sequence[dict], answers: StageAnswers, facts: pd.DataFrame, asked: Asked
) -> dict[tuple[str, str], Found]:
    """Estimates of one stage by probe and statistic.

    `questions` are the rows of `probe_rows`, `ranked` those of `answer_rows`. `facts` by window: quarter, mgrno,
    holding_t, label_tp1, truth (the target's change), me.
    """
    rows = {probe: [row for row in questions if row["probe"] == probe] for probe in ASKED}
    said: dict[str, list[dict]] = {}
    for row in answers.completions:
        said.setdefault(row["window_id"], []).append(row)

    def read(probe: str, contract: Contract) -> pd.Series:
        completions = [sample for row in rows[probe] for sample in said[row["window_id"]]]
        return deltas(completions, rows[probe], contract)

    forecast, contract = answers.forecast[facts.index], Contract(asked.target, asked.think)
    renamed = read(IDENTITY, contract)
    is_hidden = rows[IDENTITY][0]["identity"] == "hidden"
    factor = pd.Series({row["window"]: row["factor"] for row in rows[SCALE]})
    # Of several samples the first: stocks have no median.
    named = {row["window"]: named_stock(said[row["window_id"]][0]["completion"]) for row in rows[REIDENTIFICATION]}
    stock = {row["window"]: row["stock"].upper() for row in rows[REIDENTIFICATION]}
    found = {
        SCALE: scale_found(forecast, read(SCALE, contract), factor, facts),
        IDENTITY: identity_found(
            *((forecast, renamed) if is_hidden else (renamed, forecast)), facts, asked.knowledge_cutoff
        ),
        RECALL: recall_found(read(RECALL, Contract(REFERENCE, think=False)), asked.close, facts),
        REIDENTIFICATION: reidentification_found(pd.Series(named), pd.Series(stock), facts),
        **ranks_found(ranks_of_truth(ranked, answers.log_probabilities), forecast, facts),
    }
    return {(probe, name): one for probe, statistics in found.items() for name, one in statistics.items()}


def probe_table(found: Mapping[str, Mapping[tuple[str, str], Found]], confidence: float) -> pd.DataFrame:
    """One row per stage and statistic, in the order of STATISTICS, with interval, p-value of the reference and finding.

    `found` by stage. p_holm is corrected over the rows that show memory and, apart from them, over the others; a
    finding says more than "not shown" where it is below 1 - confidence.
    """
    rows = [
        _row(stage, BY_NAME[key], by_statistic[key], confidence)
        for stage, by_statistic in found.items()
        for key in BY_NAME
        if key in by_statistic
    ]
    table = pd.DataFrame(rows)
    table["p_holm"] = np.nan
    shows_memory = np.array([BY_NAME[key].shows_memory for key in zip(table["probe"], table["statistic"], strict=True)])
    for family in (shows_memory, ~shows_memory):
        table.loc[family, "p_holm"] = holm(table.loc[family, "p_value"].to_numpy(float))
    table["finding"] = [_finding(row, 1 - confidence) for row in table.itertuples()]
    return table


def _row(stage: str, one: Statistic, found: Found, confidence: float) -> dict[str, object]:
    value = found.estimate
    lower, upper = value.interval(confidence)
    reference = np.nan if one.reference is None else one.reference
    return {
        "stage": stage,
        "probe": one.probe,
        "statistic": one.name,
        "n_windows": found.n_windows,
        "n_answered": found.n_answered,
        "n_quarters": value.n_quarters,
        "n_managers": value.n_managers,
        "estimate": value.value,
        "lower": lower,
        "upper": upper,
        "reference": reference,
        "p_value": replace(value, value=value.value - reference).p_value(),
    }


def _finding(row: Any, level: float) -> str:
    one = BY_NAME[row.probe, row.statistic]
    if row.n_windows and not row.n_answered:
        return NOT_ANSWERED
    if np.isnan(row.estimate) or (one.reference is not None and np.isnan(row.p_value)):
        return NOT_JUDGED
    if one.reference is None or row.p_holm >= level or abs(row.estimate - one.reference) <= one.margin:
        return one.same
    return one.above if row.estimate > one.reference else one.below


def remembering(table: pd.DataFrame) -> list[str]:
    """The stages that a statistic shows to remember what nobody can know, in the order of the table."""
    marked = {one.above for one in STATISTICS if one.shows_memory}
    return list(dict.fromkeys(table["stage"][table["finding"].isin(marked)]))
