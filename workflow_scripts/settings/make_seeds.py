"""Train a run with each of its `seeds`; its summary then has mean, standard deviation and each seed's value.

The run itself has the first seed. Each other one is a usual run of its own, `<run>-seed<seed>`, made before it. Unless
the panel is simulated with the seed, it is checked, and its windows are found, once. Further arguments go to Snakemake:
--cores 2, --profile slurm, -n.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from workflow_scripts.plumbing.errors import InputError, fail
from workflow_scripts.settings.config import SIMULATED, Config, seed_run
from workflow_scripts.settings.config_files import read_content
from workflow_scripts.settings.reading import read_config
from workflow_scripts.settings.several_runs import start_all


def seed_overrides(config: Config) -> list[Mapping[str, Any]]:
    """What each run has of its own beside the config file, the one of the first seed last."""
    if len(config.seeds) < 2:
        raise InputError("seeds: name two seeds or more in the config file, such as seeds: [1, 2, 3]")
    others = [{"run": seed_run(config.run, seed), "seed": seed, "seeds": []} for seed in config.seeds[1:]]
    own: dict[str, Any] = {"run": config.run}
    if config.panel != SIMULATED and config.base_run is None:
        for one in (*others[1:], own):
            one["base_run"] = others[0]["run"]
    return [*others, own]


def main() -> None:
    """Run Snakemake for each seed; ends with the status of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", required=True, nargs="+", help="the configuration, with its seeds")
    args, further = parser.parse_known_args()
    try:
        runs = seed_overrides(read_config(read_content(args.configfile)))
    except InputError as error:
        fail(error)
    start_all(runs, args.configfile, further, "make_seeds")


if __name__ == "__main__":
    main()
