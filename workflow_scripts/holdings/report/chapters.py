"""The chapters of a run's report: which tables, figures and texts stand where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from workflow_scripts.holdings.evaluation.comparison import ERRORS, METRICS, PRIMARY
from workflow_scripts.holdings.evaluation.distributions import CRPS, CRPS_SKILL
from workflow_scripts.holdings.evaluation.metrics import AT_K, CAPPED_MAE, RELATIVE_RANK_IC
from workflow_scripts.holdings.evaluation.tables import CAPPED_SKILL, FAULT, HEADLINE_TARGET, OWN
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.forecasters import ORACLE
from workflow_scripts.holdings.report.dictionary import MUSD, SHARE_OF_POSITION
from workflow_scripts.holdings.report.page import Chapter, Figure, Formula, Part, figure_part
from workflow_scripts.holdings.report.plots import STEPS
from workflow_scripts.holdings.report.run_inputs import Inputs
from workflow_scripts.holdings.report.samples import Answered, sample_answers
from workflow_scripts.holdings.report.summary import (
    CHANGE_TITLES,
    FILING_LAG,
    RANKED,
    headline,
    primary_table,
    verdict_table,
)
from workflow_scripts.holdings.report.tables import Table, table, words
from workflow_scripts.holdings.rewards.preflight import TOTAL
from workflow_scripts.holdings.texts.targets import CHANGES, TARGETS, TargetName

MARKS = "*: fewer than 10 quarters or managers; \N{DAGGER}: on another base model."
# The columns of a headline table that are read together: the title of the part, and the columns.
HEADLINE_GROUPS = {
    "error and ranking": (
        "n_windows",
        CAPPED_MAE,
        CAPPED_SKILL,
        "relative_MedAE",
        RELATIVE_RANK_IC,
        f"{RELATIVE_RANK_IC}_t",
    ),
    "in dollars": ("MAE", "skill", "RankIC", "RankIC_t", "n_quarters", "n_quarters_without_IC"),
    "direction and calibration": (
        *("accuracy", "majority_accuracy", "MCC", "calibration_slope", "near_zero_share", "near_zero_share_of_truth"),
    ),
}
LARGEST = "the largest purchases of a quarter"
# What is asked in the words of a metric, and the columns of one comparison.
UNITS = {metric.name: metric.unit for metric in METRICS}
VALUES = ("baseline_value", "candidate_value", "difference", "interval_low", "interval_high", "detectable")
COMPARED = (
    *("candidate", "baseline", "baseline_value", "candidate_value", "difference", "interval_low", "interval_high"),
    *("p_holm", "verdict", "detectable", "n_quarters", "n_managers", "same_base_model"),
)
COMBINED = (
    *("candidate", "baseline", "weight", "interval_low", "interval_high", "p_adds_nothing", "p_baseline_adds_nothing"),
    *("average_difference", "average_low", "average_high"),
)
DISTRIBUTED = (
    *("forecaster", "n_windows", CRPS, CRPS_SKILL, "difference", "interval_low", "interval_high"),
    *("coverage_80", "coverage_80_low", "coverage_80_high", "width_80"),
)
PERIOD_COLUMNS = ("forecaster", "period", "n_windows", CAPPED_MAE, CAPPED_SKILL, RELATIVE_RANK_IC, "MAE", "skill")
# Characters at the end of a completion with a fault; the file has all.
SHOWN_OF_COMPLETION = 300
QUARTERLY = ("metrics_by_quarter", "ic_by_quarter", "metrics_by_size")
TRUTHS = ("forecast_truth", "residuals")
DISTRIBUTIONS = ("distributions", "reliability", "pit")
PANEL_COLUMNS = (
    *(
        "firm_type",
        "rows",
        "managers",
        "stocks",
        "pairs",
        "first_quarter",
        "last_quarter",
        "gaps_between_rows_of_a_pair",
    ),
)
FORMULAS = (
    Formula(
        "Relative error (the headline)",
        "Mean over windows of |forecast - truth| / position at t, each counted as at most 1, of the active change: "
        "what was traded, at the price of t. So no giant position decides, and no doubled one.",
    ),
    Formula(
        "Skill",
        "1 - error of the forecaster / error of no change, on the same windows: 0 is no change, 0.1 is a tenth less "
        "error, 1 is perfect, below 0 is worse than saying nothing.",
    ),
    Formula(
        "RankIC, and its t",
        "Spearman's correlation of forecast and truth within a quarter, then the mean over quarters; t is that mean "
        "over its Newey-West standard error, shown from 10 quarters on.",
    ),
    Formula(
        "Intervals, p and the correction",
        "Errors of one manager or one quarter are alike, so that the standard error is clustered by both "
        "(jackknife), and Student's t has the smaller number of clusters less 1 degrees of freedom. Of many tests "
        "some succeed by chance: Holm's correction makes up for that, in the primary comparisons and, apart from "
        "them, in all others.",
    ),
    Formula(
        "Could be found",
        "The true difference that a test at the level of Holm's first step finds in four of five such samples. Where "
        "it is large, not shown says little.",
    ),
    Formula(
        "CRPS and the 80 % band",
        "The continuous ranked probability score, from quantiles at seven levels, over the position: the absolute "
        "error of a forecast that says how sure it is. The 80 % band reaches from the 10 % to the 90 % quantile.",
    ),
    Formula(
        "What cannot be read",
        "An answer without a number counts as a forecast of no change, for every forecaster on the same windows. "
        "Silence is therefore not punished by much: read the error beside the share of numbers read.",
    ),
)


POLICIES = (
    Formula(
        "What the canned policies answer",
        "oracle: the true change; scaled truth: the group of answers from -1 to 1.5 times it; no change: 0; sign "
        "flip: the true change with the other sign; mean: the split's mean change; thousandfold: 1,000 times the "
        "true change, the wrong unit; huge: a million times the position; sign only: a thousand million with the "
        "true sign; sampled: draws of the size of past changes; malformed: no closing tag; empty: nothing; other "
        "form: the true change in another form than asked for.",
    ),
)


@dataclass(frozen=True)
class Run:
    """What the chapters are made of; `tables` are over all firm types, `out` is the folder of the page, and `seeds`
    says whether there are runs of several seeds.
    """

    inputs: Inputs
    tables: Mapping[str, pd.DataFrame]
    out: Path
    target: TargetName
    seeds: bool
    samples: Sequence[Mapping]
    panels: Sequence[Mapping]

    @property
    def firm_types(self) -> list[str]:
        """In the order of the run."""
        return list(self.tables["metrics"]["firm_type"].unique())


def policies(preflight: pd.DataFrame) -> pd.DataFrame:
    """Mean total reward by firm type, stage and policy, and what its groups of answers would teach."""
    total = preflight[preflight["reward"] == TOTAL]
    return total[["firm_type", "stage", "policy", "mean", "mean_abs_error", "dead_groups", "in_order"]]


def on_one_scale(rewards: pd.DataFrame) -> pd.DataFrame:
    """Mean reward of each stage by firm type, of the rewards whose scale does not move with what they score."""
    fixed = rewards[~rewards["self_scaled"]]
    stages = fixed["stage"].drop_duplicates()
    return fixed.pivot(index=["firm_type", "reward"], columns="stage", values="mean")[stages].reset_index()


def _of(frame: pd.DataFrame, firm_type: str) -> pd.DataFrame:
    return frame[frame["firm_type"] == firm_type].drop(columns="firm_type")


def _named(*names: str) -> str:
    return "_".join(name.replace(" ", "_") for name in names)


def _headline_tables(run: Run, firm_type: str, target: str) -> Iterator[Table]:
    """A table per group of columns, forecasters by their error."""
    rows = _of(headline(run.tables["metrics"], target), firm_type).sort_values(CAPPED_MAE, kind="stable")
    at_k = tuple(name for name in rows if name.startswith(tuple(f"{one}@" for one in AT_K)))
    groups = {**HEADLINE_GROUPS, LARGEST: (*at_k, *RANKED)}
    for title, columns in groups.items():
        main = target == HEADLINE_TARGET and title == next(iter(groups))
        name = _named(firm_type, target, title)
        shown = rows[["forecaster", *columns]]
        if main:
            yield table(words(firm_type), shown, ranked=True, name=name)
        else:
            heading = f"{words(firm_type)}, {words(target)}: {title}"
            yield table(heading, shown, units={"MAE": MUSD}, ranked=True, name=name, folded=True)


def _compared(rows: pd.DataFrame, title: str, name: str, **options: Any) -> Table:
    """Comparisons by one metric, in its unit; the largest gain of a firm type first."""
    metric = rows["metric"].iloc[0]
    gain = rows["difference"] * (-1 if metric in ERRORS else 1)
    ordered = rows.assign(gain=gain).sort_values(["firm_type", "gain"], ascending=[True, False], kind="stable")
    # One forecaster that all rivals are compared with stands in the title.
    hidden = ["candidate"] if rows["candidate"].nunique() == 1 else []
    columns = [column for column in ("firm_type", *COMPARED) if column in rows and column not in hidden]
    return table(title, ordered[columns], units=dict.fromkeys(VALUES, UNITS[metric]), name=name, **options)


def _results(run: Run) -> Iterator[Part]:
    comparisons = run.tables["comparisons"]
    primary = primary_table(comparisons)
    for (candidate, metric), rows in primary.groupby(["candidate", "metric"], sort=False):
        title = f"The question of this run: {words(candidate)} and its rivals, {words(metric)}"
        yield _compared(rows, title, _named("primary", str(candidate), str(metric)))
    if len(primary):
        yield MARKS
    yield (
        f"{CHANGE_TITLES[HEADLINE_TARGET]}. Forecasters from the least relative error to the largest; the best of each "
        "column is bold."
    )
    for firm_type in run.firm_types:
        yield from list(_headline_tables(run, firm_type, HEADLINE_TARGET))[:1]
    yield figure_part(run.out / "skill.png")
    for firm_type in run.firm_types:
        yield from list(_headline_tables(run, firm_type, HEADLINE_TARGET))[1:]
    for target in CHANGES:
        if target != HEADLINE_TARGET:
            yield f"{CHANGE_TITLES[target]}."
            for firm_type in run.firm_types:
                yield from _headline_tables(run, firm_type, target)
    yield from _more_results(run)


def _more_results(run: Run) -> Iterator[Part]:
    tables, comparisons = run.tables, run.tables["comparisons"]
    yield (
        "Does a forecaster add anything to the baseline that was best before the test quarters? The weight is its "
        "own in the best combination of both: at 0 it adds nothing, at 1 the baseline adds nothing to it. The "
        "average is that of both forecasts. Not corrected for several questions."
    )
    for firm_type in run.firm_types:
        rows = _of(tables["combinations"], firm_type)
        if len(rows):
            rows = rows.sort_values("average_difference", kind="stable")[list(COMBINED)]
            yield table(f"{words(firm_type)}: combinations", rows, name=_named(firm_type, "combinations"), folded=True)
    verdicts = verdict_table(comparisons)
    if len(verdicts):
        yield table(
            "All verdicts by the relative error",
            verdicts,
            note=MARKS,
            spread=("verdict", run.firm_types),
            name="verdicts",
            folded=True,
        )
    secondary = comparisons[comparisons["family"] != PRIMARY]
    for (target, metric), rows in secondary.groupby(["target", "metric"], sort=False):
        title = f"All other comparisons: {words(target)}, {words(metric)} ({UNITS[str(metric)]})"
        yield _compared(rows, title, _named("comparisons", str(target), str(metric)), folded=True)
    own = tables["origins"][tables["origins"]["source"].notna()]
    if len(own):
        yield table("Forecasters of your own", own, name="own_forecasters")
    for firm_type in run.firm_types:
        rows = _of(headline(tables["metrics"], HEADLINE_TARGET, OWN), firm_type)
        note = "Each forecaster on the windows that it answered itself, as published code scores: not comparable."
        columns = ["forecaster", *HEADLINE_GROUPS["error and ranking"]]
        title = f"{words(firm_type)}: own windows only"
        yield table(title, rows[columns], note=note, name=_named(firm_type, "own_windows"), folded=True)
    periods = tables["metrics_by_period"]
    for (firm_type, target), rows in periods.groupby(["firm_type", "target"], sort=False):
        title = f"{words(firm_type)}, {words(target)}: before and after the knowledge cut-off"
        shown = rows[[name for name in PERIOD_COLUMNS if name in rows]]
        yield table(title, shown, units={"MAE": MUSD}, name=_named(str(firm_type), str(target), "periods"), folded=True)
    if run.seeds:
        yield table("Mean and spread over seeds", tables["metrics_over_seeds"], name="over_seeds", folded=True)


def _figures(run: Run, names: Sequence[str]) -> Iterator[Figure]:
    """The figures of these names, firm types beside each other."""
    for name in names:
        for path in run.inputs.of(f"evaluation/{name}.png"):
            yield figure_part(path, words(path.parents[1].name))


def _distributions(run: Run) -> Iterator[Part]:
    yield (
        "Forecasts that say how sure they are: models whose answers are quantiles (prompts.answer) or are sampled "
        "(generation.samples), what baselines were wrong by before the test quarters, quantiles of your own. The "
        f"difference is that of the {words(CRPS)} from no change's."
    )
    for firm_type in run.firm_types:
        rows = _of(run.tables["distributions"], firm_type)
        for target, of_target in rows.groupby("target", sort=False):
            ordered = of_target.sort_values(CRPS, kind="stable")[list(DISTRIBUTED)]
            title, units = f"{words(firm_type)}, {words(target)}", {"difference": SHARE_OF_POSITION}
            units |= dict.fromkeys(("interval_low", "interval_high"), SHARE_OF_POSITION)
            yield table(title, ordered, units=units, ranked=True, name=_named(firm_type, "distributions"))
    yield from _figures(run, DISTRIBUTIONS)


def _training(run: Run, signs: Sequence[Mapping]) -> Iterator[Part]:
    for sign in signs:
        found = "; ".join(sign["warnings"]) or "no sign of a sick training"
        yield f"{words(sign['firm_type'])} {words(sign['stage'])}: {found}."
    for path in run.inputs.of("training/*.png"):
        yield figure_part(path, f"{words(path.parents[1].name)}, {words(path.stem)}")


def _rewards(run: Run) -> Iterator[Part]:
    rewards, preflight = run.tables["rewards"], run.tables["preflight"]
    if len(rewards):
        one = on_one_scale(rewards)
        title = "Mean rewards of the test answers, on scales that are the same for all stages"
        yield table(title, one, spread=("mean", list(one)[2:]), name="rewards_on_one_scale")
        note = "Where their own errors are the scale, stages cannot be compared."
        columns = [
            "firm_type",
            "stage",
            "reward",
            "self_scaled",
            "count",
            "mean",
            "std",
            "zero_share",
            "min",
            "q50",
            "max",
        ]
        yield table("All rewards of the test answers", rewards[columns], note=note, name="rewards", folded=True)
    if len(preflight):
        yield POLICIES
        yield (
            "Before GRPO is queued, canned policies are paid: who forecasts better must earn more, and groups of "
            "answers must differ. Of rewards that are scaled by the errors that they score the mean is no measure "
            "between policies."
        )
        for firm_type in run.firm_types:
            rows = _of(policies(preflight), firm_type).sort_values("mean", ascending=False, kind="stable")
            yield table(f"{words(firm_type)}: what the rewards pay", rows, name=_named(firm_type, "preflight"))


def _samples(run: Run) -> Iterator[Part]:
    yield (
        "Chosen by what became of them, to show what the model does when it is right and when it is wrong: no proof of "
        "anything. Of several answers to a prompt the first is shown, beside the forecast of all."
    )
    label = TARGETS[run.target].label
    for firm_type in run.firm_types:
        found = (
            run.inputs.of(f"{firm_type}/{name}") for name in ("datasets/test.jsonl", "completions/*", "predictions/*")
        )
        for files in zip(*found, strict=True):
            yield from sample_answers(Answered(firm_type, *files), label)


def _data(run: Run) -> Iterator[Part]:
    panels = pd.DataFrame([{name: one[name] for name in PANEL_COLUMNS} for one in run.panels])
    yield table("The panel", panels, name="panel")
    if len(run.tables["samples"]):
        yield table("How many windows were left to sample from", run.tables["samples"], name="windows")
    yield FILING_LAG


def _coverage(run: Run) -> Iterator[Part]:
    coverage = run.inputs.table("evaluation/coverage.csv")
    # Those that cannot fail to answer are left out.
    funnel = coverage[(coverage["step"] != FAULT) & ~coverage["forecaster"].isin([*BASELINES, ORACLE])]
    wide = funnel.pivot(index=["firm_type", "forecaster"], columns="step", values="share").reset_index()
    steps = [name for name in STEPS if name in wide]
    wide = wide[["firm_type", "forecaster", *steps]]
    title = "Share of the answers that come as far as each step"
    yield table(title, wide, spread=("share", steps), name="coverage")
    yield from _figures(run, ["coverage"])
    faults = coverage[coverage["step"] == FAULT].drop(columns="step")
    if len(faults):
        yield table("What is wrong with the answers: share of them", faults, name="faults")
    examples = run.inputs.table("evaluation/faults_*.csv")
    if len(examples):  # not in a run without a model
        examples["completion"] = examples["completion"].fillna("").str[-SHOWN_OF_COMPLETION:]
        yield table("Examples of answers with a fault", examples, name="fault_examples", folded=True)


def _audit(run: Run) -> Iterator[Part]:
    audit = run.tables["audit"]
    yield (
        "What was looked for in the windows, texts and baselines before anything was trained on them; a run stops "
        "where a count that must be 0 is not. Whether a model remembers the test windows from its own past is "
        "another question: snakemake probe asks it, on a page of its own."
    )
    if len(audit):
        found = audit[audit["count"] > 0]
        refused = int((found["must_be_zero"]).sum())
        yield (
            f"{len(audit)} checks: {int(audit['must_be_zero'].sum())} of them must find nothing, of which {refused} "
            f"found something; of the others, which only tell, {len(found) - refused} did."
        )
        if len(found):
            yield table("What was found", found, name="audit_found")
        yield table("All checks", audit, name="audit", folded=True)


def chapters(run: Run, signs: Sequence[Mapping]) -> list[Chapter]:
    """The chapters of the report; one without any part is left out. `signs` are those of the trainings."""
    parts: dict[str, Iterator[Part]] = {
        "Results by type": _results(run),
        "By quarter and by size": _figures(run, QUARTERLY),
        "Forecasts and truth": _figures(run, TRUTHS),
        "Distributions": _distributions(run),
        "Training curves": _training(run, signs),
        "Rewards and preflight": _rewards(run),
        "Sample answers": _samples(run),
        "The data": _data(run),
        "Leakage audit": _audit(run),
        "Coverage": _coverage(run),
        "How to read this": iter([FORMULAS]),
    }
    found = [Chapter(title, list(made)) for title, made in parts.items()]
    # A chapter of texts alone has nothing to tell.
    return [chapter for chapter in found if any(not isinstance(part, str) for part in chapter.parts)]
