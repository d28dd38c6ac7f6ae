"""Jobs that a cluster has forgotten: Snakemake would wait for them for ever.

A slurmctld that is restarted without its state or without accounting, or that forgets ended jobs sooner than they are
asked after (MinJobAge), answers as if it had never known them.
"""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Collection

# Seconds between two looks, and in how many looks on end a job must be unknown.
EVERY, LOOKS = 60, 3


def jobs_known_to_slurm() -> set[str] | None:
    """Ids of our jobs in any state that SLURM still knows; None where it does not answer."""
    command = ["squeue", "--me", "--noheader", "--states=all", "--format=%A"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=EVERY)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return set(result.stdout.split()) if result.returncode == 0 else None


def watch(
    awaited: Callable[[], Collection[str]],
    known: Callable[[], Collection[str] | None],
    tell: Callable[[list[str], bool], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Look for ever which of the jobs that are `awaited` are not `known`.

    Calls `tell` with the ids that have become lost and with whether no other job is awaited. A look without an answer,
    or in which Snakemake itself is asking and awaits nothing, says nothing.
    """
    unknown: Counter[str] = Counter()
    while True:
        wait(EVERY)
        ids, answer = list(awaited()), known()
        if answer is None or not ids:
            continue
        unknown = Counter({job: unknown[job] + 1 for job in ids if job not in answer})
        lost = [job for job in ids if unknown[job] >= LOOKS]
        new = [job for job in lost if unknown[job] == LOOKS]
        if new:
            tell(new, len(lost) == len(ids))
