"""Make the runs of a grid, each only as far as it differs from an earlier one, and set them side by side.

The grid file names axes and their values (docs/compare.md, config/grids/). Every combination becomes a usual run,
`<run>-<axis><value>-...`, that takes what is the same from the earlier run it has most in common with (`base_run`). At
last all are compared with the first. Further arguments go to Snakemake: --cores 2, --profile slurm, -n.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.plumbing.errors import InputError, fail
from workflow_scripts.plumbing.flat_settings import is_below
from workflow_scripts.settings.compare_runs import CHOOSE_WINDOWS, OF_TRAINING, RESULTS, Curve, compare
from workflow_scripts.settings.config import COMPARISONS
from workflow_scripts.settings.config_files import merged, read_content
from workflow_scripts.settings.reading import read_config
from workflow_scripts.settings.several_runs import start_all

KEYS = {"axes", "curve"}
Settings = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """Axes: name -> label of each value -> settings by their whole key. `curve`: the axis of the figure, or none."""

    axes: dict[str, dict[str, Settings]]
    curve: str = ""

    def combinations(self) -> list[dict[str, str]]:
        """Label by axis of each run; the last axis changes fastest."""
        return [dict(zip(self.axes, labels, strict=True)) for labels in itertools.product(*self.axes.values())]

    def settings(self, combination: Mapping[str, str]) -> Settings:
        """The settings of a run by their whole key."""
        found: Settings = {}
        for axis, label in combination.items():
            found |= self.axes[axis][label]
        return found


def label_of(value: Any) -> str:
    """A value as a part of a run's name.

    >>> label_of(1.0e-6), label_of("Qwen/Qwen2.5-7B"), label_of(True)
    ('1e-06', 'Qwen-Qwen2.5-7B', 'True')
    """
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)


def read_grid(path: str | Path) -> Grid:
    """The grid of a file; InputError for what it cannot mean."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {error}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("axes"), Mapping) or not content["axes"]:
        raise InputError(f"{path}: there are no axes; write axes: {{grpo.learning_rate: [1.0e-6, 3.0e-6]}}")
    if unknown := sorted(set(content) - KEYS):
        raise InputError(f"{path}: {', '.join(unknown)} is no key of a grid; there are {' and '.join(sorted(KEYS))}")
    axes: dict[str, dict[str, Settings]] = {}
    for key, values in content["axes"].items():
        if isinstance(values, list):
            name, found = key.split(".")[-1], {label_of(value): {key: value} for value in values}
        elif isinstance(values, Mapping) and all(isinstance(one, Mapping) for one in values.values()):
            name, found = key, {label_of(label): dict(settings) for label, settings in values.items()}
        else:
            raise InputError(
                f"{path}: axes.{key} is neither a list of values of this setting nor labels with settings, as "
                "100: {sample.sft.per_type_limit: 100}"
            )
        if not values or len(found) < len(values):
            raise InputError(f"{path}: axes.{key} has no value, or two that read alike")
        if name in axes:
            raise InputError(f"{path}: two axes are called {name}; name one of them, with labels and settings")
        axes[name] = found
    grid = Grid(axes, content.get("curve", ""))
    _check_curve(grid, path)
    _check_windows(grid, path)
    return grid


def _check_curve(grid: Grid, path: str | Path) -> None:
    if grid.curve and grid.curve not in grid.axes:
        raise InputError(f"{path}: curve: {grid.curve} is no axis; there are {', '.join(grid.axes)}")
    for label in grid.axes[grid.curve] if grid.curve else ():
        if not re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?", label) or not float(label) > 0:
            raise InputError(f"{path}: curve: {grid.curve} needs numbers above 0, and {label} is none")


def _check_windows(grid: Grid, path: str | Path) -> None:
    """Runs with other test windows could not be compared; which windows a target needs is seen then."""
    for axis, values in grid.axes.items():
        keys = {key for settings in values.values() for key in settings} - {"prompts.target"}
        if choosing := sorted(key for key in keys if is_below(key, CHOOSE_WINDOWS) and not is_below(key, OF_TRAINING)):
            hint = "; seeds in the config file trains several seeds" if "seed" in choosing else ""
            raise InputError(
                f"{path}: axes.{axis} sets {', '.join(choosing)}, which decides on the test windows, so that its runs "
                f"could not be compared{hint}"
            )


def nested(settings: Settings) -> dict[str, Any]:
    """Settings by their whole key as a config file has them.

    >>> nested({"grpo.beta": 0.1, "seed": 2})
    {'grpo': {'beta': 0.1}, 'seed': 2}
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        *sections, name = key.split(".")
        one: dict[str, Any] = {name: value}
        for section in reversed(sections):
            one = {section: one}
        found = merged(found, one)
    return found


def grid_runs(grid: Grid, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each run has of its own beside the config file; InputError where one of them would be refused."""
    runs: list[dict[str, Any]] = []
    chosen = grid.combinations()
    for place, combination in enumerate(chosen):
        name = "-".join([str(config["run"]), *(f"{axis}{label}" for axis, label in combination.items())])
        own = {"run": name, **nested(grid.settings(combination))}
        # The nearest, of equals the latest: what it shares with this run are the axes that stand first.
        shared = [sum(combination[axis] == other[axis] for axis in combination) for other in chosen[:place]]
        if shared:
            own["base_run"] = runs[max(range(place), key=lambda one: (shared[one], one))]["run"]
        try:
            read_config(merged(config, own))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        runs.append(own)
    return runs


def curve_of(grid: Grid, runs: Sequence[Mapping[str, Any]]) -> Curve | None:
    """The figure over the grid, where it has one: a line per combination of the other axes."""
    if not grid.curve:
        return None
    places, lines = {}, {}
    for run, combination in zip(runs, grid.combinations(), strict=True):
        places[run["run"]] = float(combination[grid.curve])
        others = [f"{axis.replace('_', ' ')} {label}" for axis, label in combination.items() if axis != grid.curve]
        lines[run["run"]] = ", ".join(others) or "the runs"
    return Curve(grid.curve, places, lines)


def main() -> None:
    """Make and compare; ends with the status of the first run that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", required=True, help="the file of the axes")
    parser.add_argument("--configfile", required=True, nargs="+", help="the configuration that all runs share")
    args, further = parser.parse_known_args()
    try:
        config, grid = read_content(args.configfile), read_grid(args.grid)
        runs = grid_runs(grid, config)
        start_all(runs, args.configfile, further, "make_grid")
        if {"-n", "--dry-run", "--dryrun"} & set(further):
            sys.exit()
        names = [run["run"] for run in runs]
        out = RESULTS / COMPARISONS / f"{config['run']}-{Path(args.grid).stem}"
        print(f"make_grid: {compare(names, names[0], out, curve_of(grid, runs))}")
    except InputError as error:
        fail(error)


if __name__ == "__main__":
    main()
