"""Start Snakemake for several runs that share their config files, one after the other."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Beside what Snakemake remembers of a folder.
FOLDER = Path(".snakemake/several_runs")


def start_all(runs: Sequence[Mapping[str, Any]], configfiles: Sequence[str], further: Sequence[str], by: str) -> None:
    """Run Snakemake for each of `runs`, which say what each has of its own beside the config files.

    Ends the process with the status of the first that fails; given again, the command goes on there.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(runs, 1):
        path = FOLDER / f"{one['run']}.json"
        path.write_text(json.dumps(one), encoding="utf-8")
        snakemake = str(Path(sys.executable).parent / "snakemake")
        command = [snakemake, *further, "--configfile", *configfiles, str(path)]
        print(f"{by}: run {number} of {len(runs)}, {one['run']}", flush=True)
        if status := subprocess.run(command).returncode:
            sys.exit(status)
