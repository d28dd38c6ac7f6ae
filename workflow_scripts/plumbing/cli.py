"""What all entry modules share: options, settings given as JSON, and how errors are shown."""

import argparse
import json
import os
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

import pyarrow as pa

from workflow_scripts.plumbing.errors import InputError, fail
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
        fail(error)
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{os.strerror(error.errno)}; make room, then run the same command again")


class _NoPandas:
    """A finder of modules for which pandas is not installed."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def without_pandas() -> None:
    """Keep pyarrow from importing pandas in a stage that uses none: the import takes longer than all other start-up.

    pyarrow looks for pandas once, when the first array is made, and does without where there is none. What cannot do
    without, as `to_pandas`, looks again and finds it.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas)
        try:
            pa.array([])
        finally:
            sys.meta_path.remove(_NoPandas)


def read_settings(cls: type[Settings], content: Mapping[str, Any]) -> Settings:
    """A settings dataclass, with those of its fields, from what `settings/uses.py` gives a rule; in dictionaries, too.

    The values have been checked when the configuration was read. Raises InputError for a field that the class does not
    have, and for one that has no default and is not given.
    """
    hints = typing.get_type_hints(cls)
    unknown = sorted(content.keys() - hints.keys())
    needed = [one.name for one in fields(cls) if one.default is MISSING and one.default_factory is MISSING]  # type: ignore[arg-type]
    missing = [name for name in needed if name not in content]
    if unknown or missing:
        faults = [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        raise InputError(f"settings of {cls.__module__}.{cls.__name__}: {'; '.join(faults)}")
    values = {}
    for name, value in content.items():
        kinds = (hints[name], *typing.get_args(hints[name]))
        inner = next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)
        if inner is None or not isinstance(value, Mapping):
            values[name] = value
        elif typing.get_origin(hints[name]) is dict:
            values[name] = {key: read_settings(inner, one) for key, one in value.items()}
        else:
            values[name] = read_settings(inner, value)
    return cls(**values)


def settings_option(cls: type) -> dict:
    """Keyword arguments of an option that takes a settings dataclass as JSON."""

    def parse(text: str) -> Any:
        try:
            return read_settings(cls, json.loads(text))
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return {"type": parse, "metavar": "JSON"}


TEXT: dict = {}
INTEGER: dict = {"type": int}
JSON: dict = {"type": json.loads, "metavar": "JSON"}
FILES: dict = {"nargs": "+"}
# For files that some jobs do not have.
OPTIONAL_FILES: dict = {"nargs": "*", "default": []}
# The user's names of stocks, if there are some.
TICKERS: dict = {**OPTIONAL_FILES, "help": "CSV permno,ticker,company"}
