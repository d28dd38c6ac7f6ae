"""Take from another run what it has made, so that a run makes only what differs between the two.

What a rule has made is linked together with what Snakemake remembers of it, the name of the run replaced. Snakemake
then decides what of it is valid, as after a change of settings within one run: by parameters, code and inputs of each
job. What it finds outdated is deleted before the first job (`let_go`), so that nothing of the other run stands under
this run's name. Of the store finished trainings are linked, and completions copied, because a job appends to them.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.plumbing.files import whole_file

RESULTS = Path("results")
# What a run says of itself, or what is the run's own record: never another one's.
OWN = {
    "config.yaml",
    "summary",
    "logs",
    "benchmarks",
    "store",
    "probes",
    "forecast",
    "forecasts",
    "ledger.csv",
    "replay",
}
# The names of `training/store.py` and `training/generation.py`, which come after this package.
COMPLETIONS, RESULT, IDENTITY, WRITTEN_LAST = "completions", "result", "identity.json", "result/manifest.json"


@dataclass(frozen=True)
class Memory:
    """Where Snakemake keeps what it knows of a file: its record, and the mark of one that is not finished."""

    record: Callable[[str], Path]
    unfinished: Callable[[str], Path]


def take(run: str, base: str, memory: Memory) -> int:
    """Link what `base` has made and `run` has not; returns how many outputs that were."""
    own, other, taken = RESULTS / run, RESULTS / base, 0
    for source in list(_outputs(other, memory)):
        target = own / source.relative_to(other)
        if target.exists() or target.is_symlink():
            continue
        # A file without a record would pass for made by this run: the record comes first.
        record = memory.record(str(target))
        record.parent.mkdir(parents=True, exist_ok=True)
        text = memory.record(str(source)).read_text(encoding="utf-8")
        with whole_file(record) as temporary:
            temporary.write_text(renamed(text, base, run), encoding="utf-8")
        _link_all(source, target)
        taken += 1
    for entry in other.glob(f"store/*/*/*/{IDENTITY}"):
        _take_entry(entry.parent, own / entry.parent.relative_to(other))
    return taken


def renamed(text: str, base: str, run: str) -> str:
    """A record with the paths below the results of `base` as those of `run`.

    >>> renamed('"results/a/x", "data/results/a/x", "results/ab/x"', "a", "b")
    '"results/b/x", "data/results/a/x", "results/ab/x"'
    """
    return re.sub(rf"(?<![\w./-])results/{re.escape(base)}/", f"results/{run}/", text)


def let_go(run: str, base: str, outputs: Iterable[str]) -> None:
    """Delete those outputs that are still the other run's: they are about to be made."""
    for path in map(Path, outputs):
        with contextlib.suppress(OSError, ValueError):
            source = RESULTS / base / path.relative_to(RESULTS / run)
            if not _is_same(path, source):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _outputs(folder: Path, memory: Memory) -> Iterator[Path]:
    """Files and folders of a run that Snakemake knows as finished outputs."""
    # The store can hold many files.
    tops = [top for top in folder.iterdir() if top.name not in OWN]
    for path in sorted(path for top in tops for path in (top, *top.rglob("*"))):
        if OWN & {*path.relative_to(folder).parts} or not memory.record(str(path)).is_file():
            continue
        if not memory.unfinished(str(path)).is_file():
            yield path


def _is_same(one: Path, other: Path) -> bool:
    """Whether two files, or the first files of two folders, are links of one file, or a copy with its times."""
    if one.is_dir():
        files = sorted(path for path in one.rglob("*") if path.is_file())
        return bool(files) and _is_same(files[0], other / files[0].relative_to(one))
    first, second = one.stat(), other.stat()
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def _link_all(source: Path, target: Path) -> None:
    """Link a file, or all files of a folder, which appear together; copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    if source.is_dir():
        shutil.copytree(source, temporary, copy_function=_link, symlinks=True)
    else:
        _link(str(source), str(temporary))
    temporary.rename(target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _take_entry(source: Path, target: Path) -> None:
    """A finished training, or completions, of the store; nothing where the run has that entry."""
    is_kept = source.parent.name == COMPLETIONS or (source / WRITTEN_LAST).is_file()
    if target.exists() or not is_kept:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    temporary.mkdir()
    for path in sorted(source.iterdir()):
        if path.name == RESULT:
            shutil.copytree(path, temporary / RESULT, copy_function=_link)
        elif path.name == IDENTITY or (source.parent.name == COMPLETIONS and path.suffix == ".jsonl"):
            shutil.copy2(path, temporary / path.name)
    temporary.rename(target)
