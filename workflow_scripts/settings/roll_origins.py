"""Rolling origin: train again for every test year on all that came before, then evaluate all years together.

For each test year Y a run of its own, `<run>-Y`: SFT learns the quarters up to the GRPO years (from splits.sft.start,
if that is set), GRPO the `--grpo-years` before Y, and Y is the test. At last `<run>` itself puts the test windows of
all these runs together (`evaluation.rolling_runs`). Every run is a usual one: it can be looked at, goes on after a
kill, and does again only what is not valid any more. Further arguments go to Snakemake: --cores 2, --profile slurm, -n.
"""

import argparse
from collections.abc import Sequence

from workflow_scripts.plumbing.errors import InputError, fail
from workflow_scripts.settings.config_files import read_content
from workflow_scripts.settings.several_runs import start_all


def year_splits(year: int, grpo_years: int, start: str | None) -> dict:
    """The splits of a test year; `start` is the first day of SFT, None for the panel's.

    >>> year_splits(2021, 2, None)["grpo"]
    {'start': '2019-01-01', 'end': '2020-12-31'}
    """
    first = year - grpo_years
    return {
        "sft": {"start": start, "end": f"{first - 1}-12-31"},
        "grpo": {"start": f"{first}-01-01", "end": f"{year - 1}-12-31"},
        "test": {"start": f"{year}-01-01", "end": f"{year}-12-31"},
    }


def overrides(config: dict, years: Sequence[int], grpo_years: int) -> list[dict]:
    """What each run has of its own beside the config file, the one of all years last."""
    if len(years) < 2 or list(years) != sorted(set(years)):
        raise InputError(f"--years {' '.join(map(str, years))}: give at least two years, ascending")
    start = (config.get("splits") or {}).get("sft", {}).get("start")
    runs = [{"run": f"{config['run']}-{year}", "splits": year_splits(year, grpo_years, start)} for year in years]
    splits = year_splits(years[0], grpo_years, start)
    splits["test"]["end"] = f"{years[-1]}-12-31"
    pooled = {"run": config["run"], "splits": splits, "evaluation": {"rolling_runs": [run["run"] for run in runs]}}
    return [*runs, pooled]


def main() -> None:
    """Run Snakemake for each year and for all; ends with the status of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", required=True, nargs="+", help="the configuration that all runs share")
    parser.add_argument("--years", required=True, type=int, nargs="+", help="test years, ascending")
    parser.add_argument("--grpo-years", type=int, default=2, help="years before the test that GRPO learns (2)")
    args, further = parser.parse_known_args()
    try:
        runs = overrides(read_content(args.configfile), args.years, args.grpo_years)
    except InputError as error:
        fail(error)
    start_all(runs, args.configfile, further, "roll_origins")


if __name__ == "__main__":
    main()
