"""A watchdog over a trainer: one that logs nothing any more is ended, and leaves the stacks of its threads.

A training can hang for ever without an error: a collective operation whose partner is gone, a network file system, a
driver. The job would then pay for its GPU until its time limit.
"""

import contextlib
import resource
import signal
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from workflow_scripts.plumbing.errors import InputError

# Python then prints the stacks of all threads when it is told to abort, whatever it hangs in.
STACKS_ON_ABORT = {"PYTHONFAULTHANDLER": "1"}
STACK_SECONDS = 30


class StalledError(InputError):
    """A trainer has logged nothing for too long."""


class Watchdog:
    """Raises StalledError when it is called with the path of a log that has not grown for `minutes`; 0 for never."""

    def __init__(self, minutes: float, label: str) -> None:
        self.minutes, self.label = minutes, label
        self.size, self.since = -1, time.monotonic()

    def __call__(self, log: Path) -> None:
        """Look at the log."""
        size = log.stat().st_size
        if size != self.size:
            self.size, self.since = size, time.monotonic()
        elif self.minutes and time.monotonic() - self.since > 60 * self.minutes:
            raise StalledError(
                f"{self.label}: logged nothing for {self.minutes:g} minutes (stall_minutes) and was ended; where it "
                f"hung stands at the end of {log}. The next attempt goes on from the newest checkpoint"
            )


def abort_with_stacks(pid: int) -> None:
    """End a process and those that it has started, one after the other: their stacks must not mix in the one log.

    Each prints its stacks where STACKS_ON_ABORT was set.
    """
    family = []
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    # All stand still until it is their turn: a launcher would end the others when the first is gone.
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    deadline = time.monotonic() + STACK_SECONDS
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGABRT)
            process.resume()
            # Its parent stands still and cannot take note of its end.
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(0.05)
            # One that waits in the kernel hears nothing.
            process.kill()


def without_core_dump() -> None:
    """In the trainer's process: aborting it must not write its memory to the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
