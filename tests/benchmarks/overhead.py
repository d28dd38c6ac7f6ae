"""What the workflow costs beside its work: jobs, process starts, and seconds in which no stage computes.

    make benchmark-overhead                                # the demo
    python -m tests.benchmarks.overhead --tiny --types 7   # all firm types on the tests' tiny input

Runs the workflow once in a temporary checkout, with a `sitecustomize` on the path that notes the start and the end of
every Python process, then plans it again (`-n all`) and runs it again with nothing to do (`all`).

- start-up: for each job the time of its entry module's `--help`, which imports everything and computes nothing, and for
  each process of ms-swift that of its imports alone (they come after the parsing of options)
- Snakemake alone: wall time in which no process of a job was running
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

from tests.project import SNAKEMAKE, Project, checkout, tiny_config
from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.plumbing.code_digest import ROOT

NOTES = """
import atexit, json, os, sys, time
def note(event, path={path!r}):
    line = json.dumps([event, os.getpid(), time.time(), sys.orig_argv[1:4]]) + "\\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)
note("start")
atexit.register(note, "end")
"""
# What a process of ms-swift imports before it does anything, by command.
SWIFT = "from swift.pipelines import sft_main, rlhf_main, export_main"
GENERATION = "import torch; from swift.infer_engine import TransformersEngine"


def timed(command: list, folder: Path, times: int = 3) -> float:
    """Median wall time of a command in seconds."""
    seconds = []
    for _ in range(times):
        started = time.monotonic()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds)


def entry_of(words: list[str]) -> str:
    """What a Python process was: an entry module, ms-swift, Snakemake or another."""
    names = [word for word in words if word.startswith(("workflow_scripts.", "swift.cli."))]
    if names:
        return names[0]
    return "snakemake" if any("snakemake" in word for word in words) else "other"


def union(spans: list[tuple[float, float]]) -> float:
    """Seconds covered by at least one span."""
    total, reached = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def measure(project: Project, config: dict) -> None:
    """Run, and print the figures."""
    path, notes = project.write(config), project.root / "processes.jsonl"
    (project.root / "notes").mkdir()
    (project.root / "notes/sitecustomize.py").write_text(NOTES.format(path=str(notes)))
    command = [SNAKEMAKE, "all", "--cores", "2", "--configfile", str(path)]
    plan = project.plan(config)
    started = time.monotonic()
    environment = project.environment | {"PYTHONPATH": str(project.root / "notes")}
    result = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True)
    wall = time.monotonic() - started
    if result.returncode:
        sys.exit(result.stdout + result.stderr)
    starts, ends, kinds = {}, {}, {}
    for line in notes.read_text().splitlines():
        event, process, at, words = json.loads(line)
        (starts if event == "start" else ends)[process] = at
        kinds.setdefault(process, entry_of(words))
    spans = [(starts[p], ends[p]) for p, kind in kinds.items() if kind.startswith("workflow_scripts.") and p in ends]
    counts = Counter(kinds.values())
    jobs = {rule: count for rule, count in plan.items() if rule != "all"}
    startup = {rule: timed([sys.executable, "-m", f"workflow_scripts.{rule}", "--help"], ROOT) for rule in jobs}
    swift, generation = (timed([sys.executable, "-c", code], ROOT) for code in (SWIFT, GENERATION))
    ours = sum(startup[rule] * count for rule, count in jobs.items())
    theirs = swift * sum(n for kind, n in counts.items() if kind.startswith("swift.cli."))
    theirs += generation * jobs["generate_completions"]
    busy = sum(end - start for start, end in spans)
    print(f"rules {len(jobs)}, jobs {sum(jobs.values())}, Python processes {sum(counts.values())} "
          f"({sum(n for kind, n in counts.items() if kind.startswith('swift.cli.'))} of ms-swift, "
          f"{counts['snakemake']} Snakemake), shells and tees {2 * sum(jobs.values())}")  # fmt: skip
    print(f"wall {wall:.0f} s; jobs {busy:.0f} s, of it start-up {ours:.0f} s of our modules and {theirs:.0f} s of "
          f"torch and ms-swift; Snakemake alone {wall - union(spans):.1f} s")  # fmt: skip
    for rule, seconds in sorted(startup.items(), key=lambda item: -item[1] * jobs[item[0]])[:8]:
        print(f"  {rule:<22} {jobs[rule]:>3} jobs x {seconds:.2f} s start-up")
    print(f"plan (-n all) {timed([*command, '-n'], project.root):.1f} s, nothing to do (all) "
          f"{timed(command, project.root):.1f} s; jobs in the plan {sum(project.plan(config).values())}")  # fmt: skip


def main() -> None:
    """Measure in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="the tests' tiny input instead of the demo's sizes")
    parser.add_argument("--types", type=int, help="number of firm types, in place of the config's own")
    args = parser.parse_args()
    config = tiny_config() if args.tiny else yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        firm_types = list(FIRM_TYPES[: args.types]) if args.types else config["firm_types"]
        measure(checkout(Path(folder)), config | {"firm_types": firm_types})


if __name__ == "__main__":
    main()
