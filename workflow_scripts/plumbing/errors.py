"""Errors that a user can mend, and how they are found again in a log."""

# Begins the message with which a job ends.
ERROR = "error: "
# A message longer than a screen is cut at its beginning.
LINES = 30


class InputError(ValueError):
    """Bad input; the message names file, column, row and remedy, and is shown without a traceback."""


def last_message(log: str) -> str:
    """The last message of a job's log: from its `error: ` on, else its end, at most `LINES` lines."""
    lines = log.strip().splitlines()
    begin = max((number for number, line in enumerate(lines) if line.startswith(ERROR)), default=0)
    return "\n".join(lines[begin:][-LINES:])
