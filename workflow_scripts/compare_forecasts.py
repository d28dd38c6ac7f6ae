"""Paired comparisons of one firm type, and the skill of every forecaster with its interval."""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.evaluation.comparison import BootstrapSettings, compare_forecasts, skill_intervals
from workflow_scripts.holdings.evaluation.conditions import with_base_models
from workflow_scripts.holdings.evaluation.forecaster_pairs import forecaster_pairs
from workflow_scripts.holdings.evaluation.tables import read_forecasts
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, write_csv
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """The bootstraps."""

    seed: int
    bootstrap: BootstrapSettings


def main(args: Namespace) -> str:
    """Write the comparisons to `--out` and the skills to `--skill`."""
    settings = args.settings.bootstrap
    joined, known = read_forecasts(args.forecasts), read_csv(args.origins)
    pairs = forecaster_pairs(list(known["forecaster"]))
    for path, name, compute in (
        (args.out, "bootstrap", lambda rng: with_base_models(compare_forecasts(joined, pairs, settings, rng), known)),
        (args.skill, "skill", lambda rng: skill_intervals(joined, settings, rng)),
    ):
        table = compute(random_stream(args.settings.seed, args.firm_type, name))
        table.insert(0, "firm_type", args.firm_type)
        write_csv(path, table)
    return f"compare_forecasts {args.firm_type}: {len(pairs)} pairs, {settings.bootstrap_draws:,} draws"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        forecasts=cli.TEXT,
        origins={**cli.TEXT, "help": "where the forecasters come from, by evaluate_forecasts"},
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
        skill=cli.TEXT,
    )
