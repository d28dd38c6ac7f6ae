"""Errors that a user can mend, and how they are found again in a log."""

import sys
from typing import NoReturn

# Begins the message with which a job ends.
ERROR = "error: "
# A message longer than a screen is cut at its beginning.
LINES = 30


class InputError(ValueError):
    """Bad input; the message names file, column, row and remedy, and is shown without a traceback."""


def fail(*messages: object) -> NoReturn:
    """End the process with status 1, each message on a line of its own."""
    sys.exit("\n".join(f"{ERROR}{message}" for message in messages))


def last_message(log: str) -> str:
    """The last message of a job's log: from its `error: ` on, else its end, at most `LINES` lines."""
    lines = log.strip().splitlines()
    begin = max((number for number, line in enumerate(lines) if line.startswith(ERROR)), default=0)
    return "\n".join(lines[begin:][-LINES:])
