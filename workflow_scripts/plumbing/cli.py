"""What all entry modules share: options, settings given as JSON, and how errors are shown."""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import FULL

Settings = TypeVar("Settings")


def run(main: Callable[[argparse.Namespace], str], doc: str | None, **options: dict) -> None:
    """Parse `--named options` (underscores become dashes), call `main`, print its one-line result.

    An option without `type` or `default` is a required string. An InputError, or a full disk, ends the process
    with a message and status 1; any other exception is a bug and keeps its traceback.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, settings in options.items():
        settings = {"required": "default" not in settings, **settings}
        parser.add_argument(f"--{name.replace('_', '-')}", **settings)
    args = parser.parse_args()
    try:
        print(main(args), flush=True)
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{os.strerror(error.errno)}; make room, then run the same command again")


def json_settings(cls: type[Settings]) -> Callable[[str], Settings]:
    """Option type that reads a JSON object into a settings dataclass; unknown fields are refused."""

    def parse(text: str) -> Settings:
        values = json.loads(text)
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise argparse.ArgumentTypeError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
        return cls(**values)

    return parse


TEXT: dict = {}
INTEGER: dict = {"type": int}
# A value as JSON: also text that is empty or begins with a dash reaches the option whole.
JSON: dict = {"type": json.loads, "metavar": "JSON"}
FILES: dict = {"nargs": "+"}


def settings_option(cls: type) -> dict:
    """Keyword arguments of an option that takes a settings dataclass as JSON."""
    return {"type": json_settings(cls), "metavar": "JSON"}
