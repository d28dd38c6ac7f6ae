"""Waiting for what another process does, by its progress and not by the clock."""

import time
from collections.abc import Callable


def wait_for(ready: Callable[[], bool], seconds: int = 300, progress: Callable[[], object] = lambda: None) -> None:
    """Wait until something is so; as long as `progress` gives another value, the seconds begin anew."""
    seen, ends = progress(), time.monotonic() + seconds
    while not ready():
        if (now := progress()) != seen:
            seen, ends = now, time.monotonic() + seconds
        if time.monotonic() > ends:
            raise TimeoutError(f"not so after {seconds} s without progress")
        time.sleep(0.05)
