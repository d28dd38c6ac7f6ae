"""Disturb a run at random moments, go on with the same command, and compare with a run that nobody disturbed.

    python -m tests.chaos --kills 50 [--seed 1]     # make chaos KILLS=50

Works in a folder of its own that it deletes, on the tests' tiny input (one firm type), with the real ms-swift. Before
each further start nothing is cleaned up, and nothing is waited for: after a hard kill of Snakemake its jobs run on
beside their successors. Fails if a run cannot go on, if a deterministic file differs, a training lacks a step or has
two adapters, or anything stays incomplete.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.faults import deterministic_files, differences, is_finished_training
from tests.project import SNAKEMAKE, Project, checkout, tiny_config
from tests.waiting import wait_for

CONFIG = tiny_config(firm_types=["banks"])
# Seconds after a start within which the fault comes; the start of ms-swift alone takes about ten.
LONGEST = 25.0


def _jobs(main: psutil.Process) -> list[psutil.Process]:
    """Python processes of the jobs: ours, and the trainers that they have started."""
    found = []
    for process in main.children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(word.startswith(("workflow_scripts.", "swift.cli.")) for word in words[:3]):
            found.append(process)
    return found


def kill_snakemake(main: psutil.Process, chance: random.Random) -> bool:
    """kill -9 of Snakemake alone."""
    main.kill()
    return True


def kill_everything(main: psutil.Process, chance: random.Random) -> bool:
    """kill -9 of Snakemake and all that it has started, as when the machine goes down."""
    for process in [*main.children(recursive=True), main]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return True


def kill_a_job(main: psutil.Process, chance: random.Random) -> bool:
    """kill -9 of one process of a job."""
    for process in chance.sample(running := _jobs(main), len(running)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            return True
    return False


def press_ctrl_c(main: psutil.Process, chance: random.Random) -> bool:
    """SIGINT to the whole group, as a terminal sends it."""
    os.killpg(main.pid, signal.SIGINT)
    return True


def ask_to_end(main: psutil.Process, chance: random.Random) -> bool:
    """SIGTERM to Snakemake and all jobs, as a scheduler sends it."""
    os.killpg(main.pid, signal.SIGTERM)
    return True


# Each says whether there was anything to disturb.
FAULTS: tuple[Callable[[psutil.Process, random.Random], bool], ...] = (
    kill_snakemake, kill_everything, kill_a_job, press_ctrl_c, ask_to_end,
)  # fmt: skip


def disturb(project: Project, kills: int, seed: int, say: Callable[[str], None] = print) -> Counter:
    """Disturb a run `kills` times, then let it finish; returns how often each fault was made.

    Where a start gets to the end, all results are deleted, and the run begins anew.
    """
    chance, made = random.Random(seed), Counter()
    path = str(project.write(CONFIG))
    while (number := sum(made.values())) < kills:
        # Each kind in turn, so that few kills still are of several kinds.
        fault = FAULTS[(number + seed) % len(FAULTS)]
        process = _start(project, path)
        moment = chance.uniform(1.0, LONGEST)
        try:
            status = process.wait(moment)
        except subprocess.TimeoutExpired:
            made[fault.__name__] += fault(psutil.Process(process.pid), chance)
            # After a killed job the others go on (keep-going).
            status = process.wait(600)
        else:
            assert status == 0, _output(project)
        say(
            f"{sum(made.values())}/{kills} {fault.__name__} after {moment:.1f} s: status {status}, {_progress(project)}"
        )
        if status == 0:
            _wait_for_orphans(project)
            shutil.rmtree(project.results("."))
    for _ in range(3):
        if _start(project, path).wait(1200) == 0:
            _wait_for_orphans(project)
            return made
    raise AssertionError(f"the run does not go on:\n{_output(project)}")


def _start(project: Project, config: str) -> subprocess.Popen:
    """The same command again, after `--unlock` where a killed Snakemake has left its lock."""
    command = [SNAKEMAKE, "--cores", "2", "--configfile", config]
    if any(project.root.glob(".snakemake/locks/*")):
        subprocess.run([*command, "--unlock"], cwd=project.root, capture_output=True, check=True)
    with (project.root / "chaos.log").open("a") as log:
        return subprocess.Popen(
            command, cwd=project.root, env=project.environment, stdout=log, stderr=log, start_new_session=True
        )


def _wait_for_orphans(project: Project) -> None:
    """Until no process works in the project's folder: jobs outlive a Snakemake that was killed."""

    def left() -> list[int]:
        return [one.pid for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(project.root)]

    wait_for(lambda: not left(), progress=left)


def _output(project: Project) -> str:
    return (project.root / "chaos.log").read_text()[-6000:]


def _progress(project: Project) -> str:
    done = [line for line in _output(project).splitlines() if " steps (" in line]
    return done[-1] if done else "no step done"


def check(reference: Path, project: Project) -> None:
    """Assert that the disturbed run is complete, and the same where it must be."""
    expected, found = reference / "banks", project.results("banks")
    names = {str(path.relative_to(expected)) for path in expected.rglob("*") if path.is_file()}
    missing = sorted(name for name in names if not (found / name).is_file())
    assert missing == []
    assert differences(expected, found, deterministic_files(expected)) == []
    assert differences(reference / "panel", project.results("panel"), ["banks.parquet"]) == []
    for stage in ("sft", "grpo"):
        is_finished_training(project.results("."), "banks", stage, CONFIG[stage]["max_steps"])
    assert project.plan(CONFIG) == {}, "nothing stays incomplete"


def main() -> None:
    """Run the reference and the disturbed run, compare, and print what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        reference, project = (checkout(Path(folder, name)) for name in ("reference", "disturbed"))
        result = reference.run(CONFIG)
        if result.returncode:
            sys.exit(result.stdout + result.stderr)
        started = time.monotonic()
        made = disturb(project, args.kills, args.seed, lambda line: print(line, flush=True))
        check(reference.results("."), project)
        counts = ", ".join(f"{count} x {name}" for name, count in sorted(made.items()))
        print(f"the same after {counts} in {time.monotonic() - started:,.0f} s")


if __name__ == "__main__":
    main()
