"""From the dictionary that Snakemake has read to a checked `Config`: types, unknown keys, bounds, cross-checks.

Every fault is one line that names the key, what is wrong and the remedy; all faults of a kind are told at once.
"""

import difflib
import functools
import json
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.settings.checks import check_config
from workflow_scripts.settings.config import Config, key_of, seed_run


def read_config(content: Mapping[str, Any]) -> Config:
    """The configuration of a run; InputError naming key and remedy for what is unknown, missing or out of bounds."""
    unknown = list(_unknown_keys(content, Config))
    if unknown:
        raise InputError("; ".join(unknown))
    typed = _typed(content, Config)
    endless = list(_not_finite(typed))
    if endless:
        raise InputError("; ".join(endless))
    config = _with_seeds(_validated(typed), "seed" in typed)
    check_config(config)
    return config


def _with_seeds(config: Config, says_seed: bool) -> Config:
    """`seeds` written out: this run has the first one, and is averaged with the runs of the others."""
    if not config.seeds:
        return config
    first, *others = config.seeds
    if len(set(config.seeds)) < len(config.seeds):
        raise InputError(f"seeds: {config.seeds} has a seed more than once; name it once")
    if says_seed and config.seed != first:
        raise InputError(f"seed is {config.seed}, and the first of seeds {first}; leave seed out")
    runs = [seed_run(config.run, seed) for seed in others]
    if config.evaluation.seed_runs not in ([], runs):
        raise InputError("evaluation.seed_runs follows from seeds; leave one of the two out")
    return replace(config, seed=first, evaluation=replace(config.evaluation, seed_runs=runs))


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """Annotations of a settings class by key of the config file, bounds and sentences included."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {key_of(one.name): hints[one.name] for one in fields(cls)}


def alternatives(hint: Any) -> list[Any]:
    """The types that an annotation allows: of `Annotated[int | None, ...]` these are int and None."""
    if get_origin(hint) is Annotated:
        return alternatives(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [one for part in get_args(hint) for one in alternatives(part)]
    return [hint]


def section_class(hint: Any) -> type | None:
    """The settings class of a section, None for a plain setting."""
    return next((one for one in alternatives(hint) if isinstance(one, type) and is_dataclass(one)), None)


def mapped_class(hint: Any) -> type | None:
    """The settings class of the values of a mapping whose keys the user chooses, None where there is none."""
    for one in alternatives(hint):
        if get_origin(one) is dict and (section := section_class(get_args(one)[-1])):
            return section
    return None


def _unknown_keys(content: Any, cls: type, path: str = "") -> Iterator[str]:
    """What to say of each key that a section does not have, with the nearest one that it has."""
    if not isinstance(content, Mapping):
        return
    hints = hints_of(cls)
    for key, value in content.items():
        if key not in hints:
            nearest = difflib.get_close_matches(str(key), hints, n=1) or _elsewhere(str(key))
            hint = f"did you mean {path}{nearest[0]}?" if nearest and nearest[0] in hints else ""
            hint = hint or (f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(hints)}")
            yield f"{path}{key} is no setting; {hint}"
        elif section := section_class(hints[key]):
            yield from _unknown_keys(value, section, f"{path}{key}.")
        elif (section := mapped_class(hints[key])) and isinstance(value, Mapping):
            for name, one in value.items():
                yield from _unknown_keys(one, section, f"{path}{key}.{name}.")


def _not_finite(value: Any, path: str = "") -> Iterator[str]:
    """What to say of each number that is NaN or infinite: a lower bound lets infinity pass."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{path}: {value} is not allowed; write a finite number"
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, one in parts:
        yield from _not_finite(one, f"{path}.{key}" if path else str(key))


def _elsewhere(name: str) -> list[str]:
    """Where a key stands that was written one level too high, as `grpo.beta` for `beta`."""
    return [
        f"{section}.{name}"
        for section, hint in hints_of(Config).items()
        if (cls := section_class(hint)) and name in hints_of(cls)
    ][:1]


def _typed(value: Any, hint: Any) -> Any:
    """A value, with its texts turned into the types of the annotation.

    Snakemake gives nested values of `--config 'grpo={"beta": 0.04}'` as text. Only text where no text is allowed, or a
    written-out null where null is allowed, is read as YAML; the bounds then judge it.
    """
    kinds = alternatives(hint)
    section = section_class(hint)
    if section is not None and isinstance(value, Mapping):
        hints = hints_of(section)
        return {key: _typed(one, hints[key]) for key, one in value.items()}
    container = next((one for one in kinds if get_args(one) and get_origin(one) is not Literal), None)
    if container is not None and isinstance(value, Mapping | list):
        inner = get_args(container)[-1]
        if isinstance(value, Mapping):
            return {key: _typed(one, inner) for key, one in value.items()}
        return [_typed(one, inner) for one in value]
    is_text = any(one is str or one is Any or get_origin(one) is Literal for one in kinds)
    if isinstance(value, str) and (not is_text or (value == "null" and type(None) in kinds)):
        try:
            return _number(yaml.safe_load(value))
        except yaml.YAMLError:
            return value
    return value


def _number(value: Any) -> Any:
    """YAML reads 1e-4, which lacks the point, as text; people mean the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _validated(content: Mapping[str, Any]) -> Config:
    """The content as settings, with defaults for what is left out."""
    # Its import costs a tenth of a second, which only the start of Snakemake pays.
    from pydantic import TypeAdapter, ValidationError

    renamed = {{key_of(one.name): one.name for one in fields(Config)}.get(key, key): v for key, v in content.items()}
    try:
        # As JSON: only there does a strict reading accept a mapping as a section, and still refuse text as a number.
        return TypeAdapter(Config).validate_json(json.dumps(renamed, default=str), strict=True)
    except ValidationError as error:
        faults = [_fault(one["loc"], one["type"], one["msg"], one["input"]) for one in error.errors()]
        raise InputError("; ".join(dict.fromkeys(faults))) from None


_WORDS = {
    "is_day": "is not a day of the calendar, written as YYYY-MM-DD",
    "is_run_name": "is no name of a folder",
    "is_forecaster_name": "is no name of a forecaster; use letters, digits, _ and -, the first a letter or a digit",
    "is_steps_or_share": "is neither a whole number of steps nor a share below 1",
}


def _fault(location: Sequence[Any], kind: str, message: str, value: Any) -> str:
    """One sentence on a value that is missing or not allowed."""
    names = [key_of(str(part)) for part in location if not str(part).startswith(("function", "list[", "nullable"))]
    path = ".".join(name for name in names if name not in ("str", "ImportSettings", "ReplaySettings", "[key]"))
    if kind == "missing":
        return f"{path} is missing; add it"
    for name, words in _WORDS.items():
        if name in message:
            return f"{path}: {value!r} {words}"
    if kind == "dataclass_type":
        return f"{path}: {json.dumps(value, default=str)} is no section; write keys with values, as in '{path}={{...}}'"
    return f"{path}: {json.dumps(value, default=str)} is not allowed; {message[0].lower()}{message[1:]}"
