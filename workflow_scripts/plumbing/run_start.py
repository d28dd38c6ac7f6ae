"""What a run is started with: its settings and the project's code, set aside for its jobs.

A run on a cluster takes days. Jobs that read the config file and the modules when they begin would mix what stood there
at the start with what was edited since, and Snakemake would record that all of it is as it was at the start.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.plumbing.code_digest import PACKAGE
from workflow_scripts.plumbing.files import json_digest, read_json, whole_folder, write_json

# Below the folder in which the workflow runs. A start takes a megabyte where the code is new, else some kilobytes.
STARTS = Path(".snakemake/starts")
# In the folder of a start.
CODE, STARTED_CONFIG, RULES = "code", "config.json", "rules.json"


def set_aside(root: Path, config: Mapping[str, Any]) -> Path:
    """The folder of a start: `code` with the package of `root`, the resolved `config.json`, digests of the rules.

    The same settings, code and rules give the same folder.
    """
    sources = {str(path.relative_to(root)): path.read_bytes() for path in _package_files(root)}
    code = STARTS.resolve() / f"code-{json_digest({name: text.hex() for name, text in sources.items()})[:16]}"
    if not code.is_dir():
        with whole_folder(code) as temporary:
            for name, text in sources.items():
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).write_bytes(text)
    rules = rule_texts(root)
    start = STARTS.resolve() / json_digest([code.name, config, rules])[:16]
    if not start.is_dir():
        with whole_folder(start) as temporary:
            write_json(temporary / STARTED_CONFIG, config)
            write_json(temporary / RULES, rules)
            (temporary / CODE).symlink_to(Path("..") / code.name)
    return start


def _package_files(root: Path) -> Iterator[Path]:
    """The modules of the package and the files beside them, in the order of their names."""
    return (path for path in sorted((root / PACKAGE).rglob("*")) if path.is_file() and path.suffix != ".pyc")


def rule_texts(root: Path) -> dict[str, str]:
    """Digest of the Snakefile and of each file of rules."""
    return {
        str(path.relative_to(root)): json_digest(path.read_text(encoding="utf-8"))
        for path in (root / "Snakefile", *sorted((root / "rules").glob("*.smk")))
    }


def edited_rules(root: Path, start: Path) -> list[str]:
    """The files of rules that are no longer as they were at a start, in order."""
    before, now = read_json(start / RULES), rule_texts(root)
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def note_first_start(run: str) -> None:
    """Remember when a run was started here for the first time."""
    STARTS.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), (STARTS / f"{run}.first").open("x"):
        pass


def made_since_first_start(run: str, patterns: Iterable[str]) -> list[str]:
    """Files of a run's output patterns that are not older than its first start here; none where it has not begun.

    `patterns` have wildcards in braces, as Snakemake writes them. Older files were copied from elsewhere.
    """
    first = STARTS / f"{run}.first"
    if not first.is_file():
        return []
    since = first.stat().st_mtime_ns
    found = {path for pattern in patterns for path in Path().glob(re.sub(r"\{.*?\}", "*", pattern))}
    return sorted(str(path) for path in found if path.lstat().st_mtime_ns >= since)
