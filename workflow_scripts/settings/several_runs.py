"""Start Snakemake for several runs that share a config file, one after the other."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.plumbing.errors import InputError

# Beside what Snakemake remembers of a folder.
FOLDER = Path(".snakemake/several_runs")


def read_content(path: str | Path) -> dict[str, Any]:
    """A config file as it stands; InputError where it is not there, no YAML mapping, or has no run."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {error}") from error
    if not isinstance(content, Mapping) or not content.get("run"):
        raise InputError(f"{path}: the config file has no run; name it there")
    return dict(content)


def merged(content: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A config file with what a run has of its own, as Snakemake merges two files.

    >>> merged({"grpo": {"beta": 0.1, "max_steps": 5}}, {"grpo": {"beta": 0.2}})
    {'grpo': {'beta': 0.2, 'max_steps': 5}}
    """
    result = dict(content)
    for key, value in own.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


def start_all(runs: Sequence[Mapping[str, Any]], configfile: str, further: Sequence[str], label: str) -> None:
    """Run Snakemake for each of `runs`, which say what each has of its own beside the config file.

    Ends the process with the status of the first that fails; given again, the command goes on there.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(runs, 1):
        path = FOLDER / f"{one['run']}.json"
        path.write_text(json.dumps(one), encoding="utf-8")
        snakemake = str(Path(sys.executable).parent / "snakemake")
        command = [snakemake, *further, "--configfile", configfile, str(path)]
        print(f"{label}: run {number} of {len(runs)}, {one['run']}", flush=True)
        if status := subprocess.run(command).returncode:
            sys.exit(status)
