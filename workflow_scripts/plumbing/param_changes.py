"""Why a job runs again, in a line: which settings changed, from what to what.

Snakemake shows all params before and all params now; those of `write_config` are two whole configurations.
"""

import ast
import json
from collections.abc import Collection, Mapping
from typing import Any

from workflow_scripts.plumbing.flat_settings import flat_settings

# A value in a line, and the changes in one; what is cut off stands in the configuration.
LONGEST_VALUE, MOST_CHANGES = 60, 10
CODE = "code of "
MISSING = object()


def param_changes(before: Collection[str], now: Collection[str]) -> str:
    """What differs between two sets of params, those that both have left out; each is written as Python writes it.

    Settings, which are JSON, are compared key by key. The digest at the end of a module's code is not shown.

    >>> param_changes([repr('{"a": {"b": 1}, "c": 2}')], [repr('{"a": {"b": 3}, "c": 2}')])
    'a.b: 1 -> 3'
    """
    old, new = ([_read(text) for text in texts] for texts in (before, now))
    old_settings, new_settings = ([one for one in values if isinstance(one, dict)] for values in (old, new))
    found = {
        line: None
        for one in old_settings
        for other in new_settings
        for line in _differences(flat_settings(one), flat_settings(other))
    }
    words, new_words = ([str(one) for one in values if not isinstance(one, dict)] for values in (old, new))
    found |= {one.rpartition(" ")[0]: None for one in sorted(new_words) if one.startswith(CODE)}
    plain = [", ".join(sorted(one for one in texts if not one.startswith(CODE))) for texts in (words, new_words)]
    if any(plain):
        found[" -> ".join(map(_cut, plain))] = None
    lines = list(found)
    more = [f"and {len(lines) - MOST_CHANGES} more"] * (len(lines) > MOST_CHANGES)
    return "; ".join([*lines[:MOST_CHANGES], *more]) or "a param is new, or gone"


def _read(text: str) -> Any:
    """The value of a param; settings as a dictionary."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value if isinstance(value, dict) else str(value)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {_shown(before.get(name, MISSING))} -> {_shown(now.get(name, MISSING))}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name, MISSING) != now.get(name, MISSING)
    ]


def _shown(value: Any) -> str:
    return "(none)" if value is MISSING else _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
