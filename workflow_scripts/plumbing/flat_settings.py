"""The settings of a resolved configuration by their whole key, as `grpo.learning_rate`."""

from collections.abc import Iterable, Mapping
from typing import Any


def flat_settings(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Value of each setting by its whole key; a list is one value.

    >>> flat_settings({"seed": 1, "grpo": {"beta": 0.1}})
    {'seed': 1, 'grpo.beta': 0.1}
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat_settings(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def is_below(key: str, names: Iterable[str]) -> bool:
    """Whether a setting is one of these, or stands in one of these sections.

    >>> is_below("sample.test.per_type_limit", ["sample.test"]), is_below("seeds", ["seed"])
    (True, False)
    """
    return f"{key}.".startswith(tuple(f"{name}." for name in names))
