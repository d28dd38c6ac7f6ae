"""Paired comparisons of one firm type, and the skill of every forecaster with its interval."""

from workflow_scripts import cli
from workflow_scripts.holdings.baselines import BASELINES
from workflow_scripts.holdings.comparison import BootstrapSettings, compare_forecasts, skill_intervals
from workflow_scripts.holdings.evaluation import read_forecasts
from workflow_scripts.holdings.files import write_csv
from workflow_scripts.holdings.sampling import random_stream

# The stages with each other, each with no-change, and the last one with every baseline. Each pair more costs power,
# because the summary corrects for all of them.
PAIRS = (
    ("base", "sft"),
    ("sft", "grpo"),
    ("base", "grpo"),
    ("no_change", "base"),
    ("no_change", "sft"),
    *((baseline, "grpo") for baseline in BASELINES),
)


def main(args) -> str:
    """Write the comparisons to `--out` and the skills to `--skill`."""
    joined = read_forecasts(args.forecasts)
    for path, name, compute in (
        (args.out, "bootstrap", lambda rng: compare_forecasts(joined, PAIRS, args.settings, rng)),
        (args.skill, "skill", lambda rng: skill_intervals(joined, args.settings, rng)),
    ):
        table = compute(random_stream(args.seed, args.firm_type, name))
        table.insert(0, "firm_type", args.firm_type)
        write_csv(path, table)
    return f"compare_forecasts {args.firm_type}: {len(PAIRS)} pairs, {args.settings.bootstrap_draws:,} draws"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        forecasts=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(BootstrapSettings),
        seed=cli.INTEGER,
        out=cli.TEXT,
        skill=cli.TEXT,
    )
