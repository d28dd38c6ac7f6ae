"""The schema for editors and the table of all settings, written from the settings classes.

    python -m workflow_scripts.settings.pages

writes config/config.schema.yaml and docs/settings.md; a test fails where they differ from the classes.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
import yaml
from annotated_doc import Doc
from pydantic import TypeAdapter

from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.files import write_text
from workflow_scripts.settings.config import Config, key_of
from workflow_scripts.settings.reading import alternatives, hints_of, mapped_class, section_class

SCHEMA = ROOT / "config/config.schema.yaml"
TABLE = ROOT / "docs/settings.md"
_INTRODUCTION = """# All settings

Written from the settings classes, which stand beside the code that uses them, by
`python -m workflow_scripts.settings.pages`. [config/README.md](../config/README.md) explains what belongs together. A
setting that a config file leaves out has the default that stands here, which is that of the
[published recipe](methods.md#the-published-recipe); `results/<run>/config.yaml` is the complete record of a run.
"""
_HEAD = "# Generated from the settings classes by `python -m workflow_scripts.settings.pages`; for editors.\n"


def sentence(hint: Any) -> str:
    """The sentence that explains a setting; ValueError where a setting has none."""
    if get_origin(hint) is Annotated:
        for note in get_args(hint)[1:]:
            if isinstance(note, Doc):
                return note.documentation
    raise ValueError(f"{hint} has no sentence; add Doc(...) to its annotation")


def schema_text() -> str:
    """JSON schema of a config file, as YAML: unknown keys are refused, every key is described."""
    schema = TypeAdapter(Config).json_schema()
    schema["properties"] = {key_of(name): one for name, one in schema["properties"].items()}
    definitions = {cls.__name__: cls for cls in _classes(Config)}
    for name, part in [("Config", schema), *schema["$defs"].items()]:
        part.pop("title", None)
        part["additionalProperties"] = False
        for key, hint in hints_of(definitions[name]).items():
            part["properties"][key].pop("title", None)
            part["properties"][key]["description"] = sentence(hint)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of a run"}
    return _HEAD + yaml.safe_dump(head | schema, sort_keys=False, allow_unicode=True, width=120)


def _classes(cls: type) -> Iterator[type]:
    """A settings class and those of its sections."""
    yield cls
    for hint in hints_of(cls).values():
        if section := section_class(hint) or mapped_class(hint):
            yield from _classes(section)


def table_text() -> str:
    """The page of all settings: one table per section, with setting, kind and bounds, default, meaning."""
    rows = "| setting | kind | default | meaning |\n|---|---|---|---|\n"
    parts = [_INTRODUCTION, rows + "".join(_rows(Config, ""))]
    for section, hint in hints_of(Config).items():
        if cls := section_class(hint) or mapped_class(hint):
            title = section if section_class(hint) else f"{section}.<name>"
            parts.append(f"## `{title}`\n\n{_plain(cls.__doc__ or '')}\n\n{rows}{''.join(_rows(cls, section))}")
    return "\n".join(parts)


def _plain(text: str) -> str:
    """A text in which Markdown takes no `<run>` for a tag of HTML."""
    return text.strip().replace("<", "\\<")


def _rows(cls: type, path: str) -> Iterator[str]:
    for one in fields(cls):
        key, hint = key_of(one.name), hints_of(cls)[key_of(one.name)]
        inner = section_class(hint)
        if inner and path:
            yield from (row.replace("| `", f"| `{key}.", 1) for row in _rows(inner, path))
        elif not inner:
            yield f"| `{key}` | {_kind(hint)} | {_default(one)} | {_plain(sentence(hint))} |\n"


def _default(one: Field) -> str:
    if one.default is not MISSING:
        value = one.default
    elif one.default_factory is not MISSING:
        value = one.default_factory()
    else:
        return "none: must be given"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _kind(hint: Any) -> str:
    """Type, choices and bounds in words."""
    words = " or ".join(_type_words(one) for one in alternatives(hint))
    bounds = [_bound(note) for note in _notes(hint)]
    return ", ".join([words, *filter(None, bounds)])


def _notes(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from get_args(hint)[1:]
        yield from _notes(get_args(hint)[0])


def _type_words(kind: Any) -> str:
    names = {int: "integer", float: "number", bool: "true or false", str: "text", type(None): "null", Any: "anything"}
    if kind in names:
        return names[kind]
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if is_dataclass(kind):
        return "a section"
    inner = get_args(kind)
    if len(inner) == 2:
        return "mapping to " + " or ".join(_type_words(one) for one in alternatives(inner[1]))
    return "list of " + " or ".join(_type_words(one) for one in alternatives(inner[0]))


def _bound(note: Any) -> str:
    for kind, words, name in (
        (annotated_types.Ge, "at least", "ge"),
        (annotated_types.Gt, "above", "gt"),
        (annotated_types.Le, "at most", "le"),
        (annotated_types.Lt, "below", "lt"),
    ):
        if isinstance(note, kind):
            return f"{words} {getattr(note, name)}"
    return "not empty" if isinstance(note, annotated_types.MinLen) else ""


def main() -> None:
    """Write both pages."""
    write_text(SCHEMA, schema_text())
    write_text(TABLE, table_text())


if __name__ == "__main__":
    main()
