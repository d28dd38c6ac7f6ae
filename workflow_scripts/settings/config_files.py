"""The settings in one config file, or in several that are laid over one another, as Snakemake merges them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.plumbing.errors import InputError


def read_content(paths: Sequence[str | Path]) -> dict[str, Any]:
    """The settings of config files, unchecked, a later file over those before it.

    InputError where a file cannot be read or holds no settings, and where none names the run.
    """
    content: dict[str, Any] = {}
    for path in paths:
        try:
            read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read ({error}); name a YAML file") from error
        if not isinstance(read, Mapping):
            raise InputError(f"{path} holds no settings; write keys with values")
        content = merged(content, read)
    if not content.get("run"):
        raise InputError(f"{' '.join(map(str, paths))}: the config file has no run; name it there")
    return content


def merged(content: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them: sections key by key, any other value as a whole.

    >>> merged({"grpo": {"beta": 0.1, "max_steps": 5}}, {"grpo": {"beta": 0.2}})
    {'grpo': {'beta': 0.2, 'max_steps': 5}}
    """
    result = dict(content)
    for key, value in own.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result
