"""Waiting for what another process does, by its progress and not by the clock."""

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

# Seconds after which a process of the tests hangs, however busy the machine is.
LONGEST = 1200
T = TypeVar("T")


def wait_for(ready: Callable[[], T], seconds: int = 300, progress: Callable[[], object] = lambda: None) -> T:
    """Wait until something is so, and return it; while `progress` gives another value, the seconds begin anew."""
    seen, ends = progress(), time.monotonic() + seconds
    while not (found := ready()):
        if (now := progress()) != seen:
            seen, ends = now, time.monotonic() + seconds
        if time.monotonic() > ends:
            raise TimeoutError(f"not so after {seconds} s without progress")
        time.sleep(0.05)
    return found


def bytes_of(paths: Iterable[Path]) -> int:
    """Bytes of the files that are there, as progress: a busy machine makes jobs slow, not silent."""
    total = 0
    for path in paths:
        # Whoever writes them may delete one meanwhile.
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
