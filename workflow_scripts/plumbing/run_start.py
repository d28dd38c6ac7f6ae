"""What a run is started with: its settings and the project's code, set aside for its jobs; what is wrong with a target.

A run on a cluster takes days. Jobs that read the config file and the modules when they begin would mix what stood there
at the start with what was edited since, and Snakemake would record that all of it is as it was at the start.
"""

import contextlib
import difflib
import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

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


def possible_files(patterns: Iterable[str], values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The files of output patterns, whose wildcards take all their values; a pattern with another wildcard has none.

    >>> list(possible_files(["{firm_type}/{stage,sft|grpo}.csv"], {"firm_type": ["banks"], "stage": ["base", "sft"]}))
    ['banks/base.csv', 'banks/sft.csv']
    """
    for pattern in patterns:
        names = sorted(set(re.findall(r"\{(\w+)", pattern)))
        plain = re.sub(r"\{(\w+).*?\}", r"{\1}", pattern)
        if values.keys() >= set(names):
            for chosen in itertools.product(*(values[name] for name in names)):
                yield plain.format_map(dict(zip(names, chosen, strict=True)))


def config_files_of(run: str, root: Path) -> str:
    """What `--configfile` takes for a run: the file below `config/` that names it, else the record among its results.

    A recipe stands over the production config. Empty where nothing names the run.
    """
    for path in sorted((root / "config").rglob("*.y*ml")):
        with contextlib.suppress(yaml.YAMLError):
            content = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
            if isinstance(content, dict) and str(content.get("run")) == run:
                name = os.path.relpath(path)
                return f"config/config.yaml {name}" if path.parent.name == "recipes" else name
    record = Path("results") / run / "config.yaml"
    return str(record) if record.is_file() else ""


class Rule(Protocol):
    """What is asked of a rule of Snakemake."""

    name: str
    output: Sequence[object]

    def has_wildcards(self) -> bool:
        """Whether its outputs have wildcards."""

    def is_producer(self, requested_output: str) -> bool:
        """Whether it makes a file."""


@dataclass(frozen=True)
class RunFiles:
    """A run, the folder of its workflow, and the values that the wildcards of its files take."""

    run: str
    root: Path
    values: Mapping[str, Sequence[str]]


def target_faults(targets: Sequence[str], named: Sequence[str], rules: Sequence[Rule], run: RunFiles) -> list[str]:
    """What to say of targets that no rule makes, and of rules or files named in options such as `--until`."""
    by_name = {rule.name: rule for rule in rules}
    wrong = [
        target
        for target in dict.fromkeys([*targets, *named])
        if target not in by_name and not any(rule.is_producer(target) for rule in rules)
    ]
    lists = [name for name in targets if name in by_name and by_name[name].has_wildcards()]
    if not wrong and not lists:
        return []
    files = {
        rule.name: [path for path in possible_files(map(str, rule.output), run.values) if rule.is_producer(path)]
        for rule in rules
    }
    # Rules with outputs can be named in an option, but are no targets.
    ends = [rule.name for rule in rules if not rule.has_wildcards() and not rule.output]
    everything = {path for paths in files.values() for path in paths}
    return [
        *(wrong_target(one, by_name if one in named else ends, everything, run) for one in wrong),
        *(
            f"{name} makes many files; name one of them, such as {files[name][0]}"
            if files[name]
            else f"{name} has nothing to make in this run: its configuration names nothing for it"
            for name in lists
        ),
    ]


def wrong_target(target: str, names: Collection[str], files: Collection[str], run: RunFiles) -> str:
    """What to say of a target that no rule makes, given the names that there are and the files that a run can make."""
    plain = os.path.relpath(target)
    if plain != target and plain in files:
        return f"{target}: write it as {plain}"
    parts, own = Path(plain).parts, f"results/{run.run}"
    if parts[:1] == ("results",) and len(parts) > 1 and parts[1] != run.run:
        if words := config_files_of(parts[1], run.root):
            return f"{target} belongs to another run than {run.run}; add --configfile {words}"
        here = "/".join((own, *parts[2:]))
        hint = f", did you mean {here}?" if here in files else "; name its config file with --configfile"
        return f"{target} belongs to another run than {run.run}, and no file in config/ has run: {parts[1]}{hint}"
    firm_types = {Path(path).parts[2] for path in files if Path(path).parts[3:] == parts[3:]}
    if len(parts) > 3 and firm_types and parts[2] not in firm_types:
        return f"{target}: {parts[2]} is not among this run's firm_types, {', '.join(sorted(firm_types))}"
    nearest = difflib.get_close_matches(plain, [*names, *sorted(files)], n=1)
    hint = f", did you mean {nearest[0]}?" if nearest else "."
    return (
        f"{target} is no target{hint} There are {', '.join(sorted(names))}, and the files below {own}/ "
        "(results/README.md). Targets stand before --configfile and --config"
    )
