"""The store: where training results live until the declared outputs are published from them.

Snakemake deletes the declared outputs of a failed or restarted job, so checkpoints and finished
results live beside them, below `{store}/{fingerprint}`. The fingerprint covers everything that can
change the result. A finished folder is never trained again: it is published in seconds.
"""

import contextlib
import fcntl
import importlib.metadata
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import (
    file_digest,
    json_digest,
    read_json,
    whole_file,
    write_json,
)

MANIFEST = "manifest.json"
LOCK = ".lock"
TRAINER_PACKAGES = ("ms-swift", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers")
FINGERPRINT_LENGTH = 16


def trainer_versions(*also: str) -> dict[str, str]:
    """Installed versions of the packages that decide a training's result, and of the optional ones that it uses."""
    versions = {package: importlib.metadata.version(package) for package in TRAINER_PACKAGES}
    for package in also:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def open_entry(store: str | Path, identity: dict) -> Path:
    """The store's folder of this identity, created with `identity.json` where it is new."""
    folder = Path(store) / json_digest(identity)[:FINGERPRINT_LENGTH]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "identity.json").is_file():
        write_json(folder / "identity.json", identity)
    return folder.resolve()


@contextlib.contextmanager
def alone_in(entry: Path, label: str) -> Iterator[None]:
    """Hold a folder: two trainings in one would write each other's checkpoints.

    A second process waits, as after a hard kill of Snakemake, whose jobs run on; the lock ends with its holder,
    however that ends.
    """
    entry.mkdir(parents=True, exist_ok=True)
    with (entry / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{label}: waits for another process that works in {entry}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            # Some cluster file systems are mounted without locks; Snakemake starts no job twice by itself.
            print(f"{label}: WARNING: {entry} cannot be locked ({error}); start no second run of it", flush=True)
        # The trainer inherits the lock: it may outlive a hard kill of ours while it saves its checkpoint.
        os.set_inheritable(file.fileno(), True)
        yield


def is_finished(entry: Path) -> bool:
    """Whether the entry holds a whole result: a manifest, written last, and files of its digests."""
    result = entry / "result"
    try:
        files = read_json(result / MANIFEST)["files"]
    except (FileNotFoundError, InputError):
        return False
    return all((result / name).is_file() and file_digest(result / name) == digest for name, digest in files.items())


def _copy(source: Path, target: Path) -> None:
    with whole_file(target) as temporary:
        shutil.copyfile(source, temporary)


def finish(entry: Path, files: dict[str, Path], manifest: dict) -> None:
    """Copy `files` (name -> source) into the entry's `result`, then write the manifest."""
    result = entry / "result"
    result.mkdir(exist_ok=True)
    for name, source in files.items():
        _copy(source, result / name)
    digests = {name: file_digest(result / name) for name in sorted(files)}
    write_json(result / MANIFEST, {**manifest, "finished_at": time.time(), "files": digests})


def publish(entry: Path, folder: str | Path) -> None:
    """Copy a finished result to the declared output folder, file by file under a temporary name.

    Hard links would be faster, but an edit of the published file would then reach into the store.
    """
    result = entry / "result"
    # The manifest comes last. What a hard kill has left beside the files is not copied.
    for name in (*read_json(result / MANIFEST)["files"], MANIFEST):
        _copy(result / name, Path(folder) / name)


PUBLISHED, UNPUBLISHED, FINISHED, RESUMABLE, OUTDATED, RUNNING, KEPT = (
    "published",
    "finished, nothing published yet",
    "finished, another one is published",
    "unfinished, can be resumed",
    "unfinished, older than what is published",
    "running",
    "completions, kept",
)
STALE_STATES = (FINISHED, OUTDATED)
# The result is there and needed; its checkpoints are not needed any more.
COMPLETE_STATES = (PUBLISHED, UNPUBLISHED)


@dataclass(frozen=True)
class StoreEntry:
    """One folder of the store: whose it is, what state it is in, its size in bytes."""

    firm_type: str
    stage: str
    folder: Path
    state: str
    size: int


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder; what a link points to lies elsewhere."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def store_entries(run_folder: str | Path) -> list[StoreEntry]:
    """Everything in the store of a run, by firm type, stage and fingerprint."""
    run_folder = Path(run_folder)
    entries = []
    for folder in sorted(path.parent for path in run_folder.glob("store/*/*/*/identity.json")):
        firm_type, stage = folder.parts[-3:-1]
        published = run_folder / firm_type / "adapters" / stage / MANIFEST
        state = KEPT if stage == "completions" else _state(folder, published)
        entries.append(StoreEntry(firm_type, stage, folder, state, folder_size(folder)))
    return entries


def _state(folder: Path, published: Path) -> str:
    if not _is_free(folder):
        return RUNNING
    # Without a published adapter (Snakemake deletes the outputs of a failed job) everything may still be needed.
    manifest: dict[str, Any] = (
        read_json(published) if published.is_file() else {"fingerprint": None, "finished_at": 0.0}
    )
    if is_finished(folder):
        if manifest["fingerprint"] in (None, folder.name):
            return PUBLISHED if manifest["fingerprint"] else UNPUBLISHED
        return FINISHED
    # The manifest's own time, because publishing again makes the file new, not the training.
    newest = max(path.lstat().st_mtime for path in folder.rglob("*"))
    return OUTDATED if newest < manifest["finished_at"] else RESUMABLE


def _is_free(folder: Path) -> bool:
    """Whether no process trains in an entry now."""
    lock = folder / LOCK
    # Looking must leave no trace: the age of an entry is that of its files.
    if not lock.is_file():
        return True
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Held, or on a file system without locks: then nobody can know, and nothing may be deleted.
            return False
    return True
