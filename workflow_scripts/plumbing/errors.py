"""The error that a user can act on."""


class InputError(ValueError):
    """Bad input; the message names file, column, row and remedy, and is shown without a traceback."""
