"""Paired comparisons of one firm type, the skill of every forecaster with its interval, and what models add.

What they add is asked against the baseline that was the best before the test quarters.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.evaluation.baseline_choice import chosen_baseline
from workflow_scripts.holdings.evaluation.combination import combinations
from workflow_scripts.holdings.evaluation.comparison import PRIMARY, compare_forecasts, compared_cases, skill_intervals
from workflow_scripts.holdings.evaluation.conditions import with_base_models
from workflow_scripts.holdings.evaluation.forecaster_pairs import combined_pairs, forecaster_pairs, primary_pairs
from workflow_scripts.holdings.evaluation.tables import read_forecasts
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, write_csv


@dataclass(frozen=True)
class Settings:
    """Confidence of the intervals."""

    confidence: float


def main(args: Namespace) -> str:
    """Write the comparisons, the skills and the combinations to the three files of `--out`."""
    confidence, known = args.settings.confidence, read_csv(args.origins)
    compared = compared_cases(read_forecasts(args.forecasts))
    names = list(known["forecaster"])
    best = chosen_baseline(read_csv(args.choice))
    pairs, primary = forecaster_pairs(names), primary_pairs(names, best)
    comparisons = with_base_models(compare_forecasts(compared, pairs, primary, confidence), known)
    combined = combinations(compared, combined_pairs(names, best), confidence)
    for path, table in zip(args.out, (comparisons, skill_intervals(compared, confidence), combined), strict=True):
        table.insert(0, "firm_type", args.firm_type)
        write_csv(path, table)
    return (
        f"compare_forecasts {args.firm_type}: {(comparisons['family'] == PRIMARY).sum()} primary of {len(comparisons)}"
    )


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        forecasts=cli.TEXT,
        origins={**cli.TEXT, "help": "where the forecasters come from, by evaluate_forecasts"},
        choice={**cli.TEXT, "help": "how the baselines did before the test quarters, by choose_baseline"},
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out={"nargs": 3, "metavar": ("COMPARISONS", "SKILL", "COMBINATIONS")},
    )
