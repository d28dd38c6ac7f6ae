"""How often the comparisons say "different" where nothing differs (size), and where something does (power).

    make benchmark-inference                                     made-up labels, heavy-tailed as those of real panels
    make benchmark-inference DATASET=results/x/banks/datasets/test.jsonl    the labels, quarters and managers of a run

Size: errors of two equally good forecasters differ by an effect per quarter, per manager, and per window; test at 5 %.
Power: a candidate's absolute error is no-change's times a factor whose mean is 1 - gain, with effects of its own per
quarter, manager and window; the share of rounds in which it is called better at 5 % over a family of FAMILY tests.
Beside the two-way test of `inference.py` stand the larger of two one-way tests and one that takes windows for
independent.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

from tests.benchmarks.evaluation import test_rows
from workflow_scripts.holdings.evaluation.comparison import compare_forecasts, compared_cases
from workflow_scripts.holdings.evaluation.inference import (
    MANAGER,
    QUARTER,
    estimate,
    jackknife_variance,
    ratio_without,
    two_way_clusters,
)
from workflow_scripts.holdings.evaluation.tables import HEADLINE_TARGET, join_predictions
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.plumbing.files import read_jsonl

LEVEL = 0.05
# GRPO against three rivals by two metrics, less no-change's ranking, for seven firm types.
FAMILY = 35
GAINS = (0.05, 0.1, 0.2)
# Standard deviations of what a candidate's factor has in common in a quarter, with a manager, and of a single window's.
EFFECTS = (0.05, 0.1, 0.5)


@dataclass(frozen=True)
class Design:
    """Windows over quarters and managers, and the standard deviations of their effects beside 1 of a window's own.

    `skew` is the exponent of the managers' sizes, 1 / place^skew: 0 for managers of one size.
    """

    name: str
    quarters: int
    managers: int
    skew: float
    quarter_sd: float
    manager_sd: float
    windows: int = 1000


DESIGNS = tuple(
    Design(f"{quarters} quarters, {managers} managers, {effects}", quarters, managers, skew, *sds)
    for quarters, managers, skew in ((8, 25, 1.0), (25, 25, 0.0), (27, 150, 1.0))
    for effects, sds in {
        "no effects": (0.0, 0.0),
        "quarters": (0.3, 0.0),
        "managers": (0.0, 0.3),
        "both": (0.3, 0.3),
    }.items()
)


def rejections(design: Design, rounds: int, seed: int) -> dict[str, float]:
    """Share of rounds that reject a mean of 0 at LEVEL, by test."""
    generator = np.random.default_rng(seed)
    sizes = 1.0 / np.arange(1, design.managers + 1) ** design.skew
    count = {"two-way": 0, "larger of one-way": 0, "independent": 0}
    for _ in range(rounds):
        quarter = generator.integers(design.quarters, size=design.windows)
        manager = generator.choice(design.managers, design.windows, p=sizes / sizes.sum())
        values = (
            design.quarter_sd * generator.normal(size=design.quarters)[quarter]
            + design.manager_sd * generator.normal(size=design.managers)[manager]
            + generator.normal(size=design.windows)
        )
        mean = values.mean()
        without = ratio_without(values, np.ones(design.windows), two_way_clusters(quarter, manager))
        one_way = [
            2 * scipy.stats.t.sf(abs(mean) / np.sqrt(jackknife_variance(mean, rest)), len(rest) - 1)
            for rest in (without[QUARTER], without[MANAGER])
        ]
        count["two-way"] += estimate(mean, without).p_value() < LEVEL
        count["larger of one-way"] += max(one_way) < LEVEL
        count["independent"] += abs(mean) > 1.96 * scipy.stats.sem(values)
    return {name: number / rounds for name, number in count.items()}


def effects(generator: np.random.Generator, labels: np.ndarray, sd: float) -> np.ndarray:
    """A draw per label, given to its windows."""
    names, index = np.unique(labels, return_inverse=True)
    return sd * generator.normal(size=len(names))[index]


def power(rows: list[dict], gain: float, rounds: int, seed: int) -> dict[str, float]:
    """Share of rounds in which a candidate with that true gain over no-change is called better, by metric."""
    generator = np.random.default_rng(seed)
    rows = [row for row in rows if row["label_active"] is not None and row["holding_t"] > 0]
    ids = [row["window_id"] for row in rows]
    held, true, quarter, manager = (
        np.array([row[name] for row in rows]) for name in ("holding_t", "label_active", "quarter", "mgrno")
    )
    found: dict[str, int] = {}
    for _ in range(rounds):
        labels = (quarter, manager, np.arange(len(rows)))
        factor = 1 - gain + sum(effects(generator, one, sd) for one, sd in zip(labels, EFFECTS, strict=True))
        forecasts = {"no_change": 0 * true, "candidate": true * (1 - factor)}
        joined = join_predictions(rows, {k: prediction_table(ids, held, v) for k, v in forecasts.items()})
        table = compare_forecasts(compared_cases(joined), [("no_change", "candidate")], [], 1 - LEVEL)
        for row in table[table["target"] == HEADLINE_TARGET].itertuples():
            better = row.p_value < LEVEL / FAMILY and row.difference < 0
            found[row.metric] = found.get(row.metric, 0) + better
    return {name: number / rounds for name, number in found.items()}


def show(title: str, rows: list[str], compute: Callable[[int], dict[str, float]]) -> None:
    """Print a table as it comes."""
    for number, name in enumerate(rows):
        shares = compute(number)
        if not number:
            print(f"\n{title:<45}" + "".join(f"{column:>24}" for column in shares))
        print(f"{name:<45}" + "".join(f"{share:>24.3f}" for share in shares.values()), flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="datasets/test.jsonl of a run; made-up windows without it")
    parser.add_argument("--rounds", type=int, default=500)
    arguments = parser.parse_args()
    names = [design.name for design in DESIGNS]
    show("size at 5 %", names, lambda i: rejections(DESIGNS[i], arguments.rounds, seed=1))
    rows = read_jsonl(arguments.dataset) if arguments.dataset else test_rows(1000, np.random.default_rng(1))
    largest = pd.Series([abs(row["label_active"] or 0.0) for row in rows]).sort_values(ascending=False)
    top = largest.head(len(rows) // 20).sum() / largest.sum()
    print(f"\n{len(rows):,} windows; the largest 5 % have {top:.0%} of the dollars that were traded")
    gains = [f"a true gain of {gain:.0%}" for gain in GAINS]
    show(
        f"called better, 5 % over {FAMILY} tests", gains, lambda i: power(rows, GAINS[i], arguments.rounds // 5, seed=1)
    )


if __name__ == "__main__":
    main()
