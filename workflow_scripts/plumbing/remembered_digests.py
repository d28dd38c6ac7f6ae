"""Digests that are worked out once: of large files, panels and model weights of gigabytes, and of code.

Code is remembered by its bytes (code_digest.py). Of a large file, what it was when it was read (its size, times and
inode) is remembered with its digest. A file that has since been written, replaced, moved or copied over has another
time of change (ctime), which no user can set back: `cp -p`, `rsync -t` and `mv` keep the time of modification only.
"""

import re
import time
from pathlib import Path

from workflow_scripts.plumbing.files import file_digest, json_digest, write_text

# Below the folder in which the workflow runs; deleting it costs reading the files once more.
MEMORY = Path(".snakemake/content_digests")
# Smaller files are read so fast that remembering their digests gains nothing.
SMALL = 1_000_000
# A file written twice within one tick of the file system's clock has the same times; one that old is at rest.
REST_SECONDS = 2.0


def content_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, remembered for large files below `MEMORY`.

    Safe beside other processes and machines: a digest is a file of its own, written whole. Where the memory cannot be
    written, the file is read each time. OSError if `path` cannot be read.
    """
    path = Path(path).resolve()
    before = _state(path)
    if path.stat().st_size < SMALL:
        return file_digest(path)
    memory = MEMORY / json_digest([str(path), before])
    known = recall(memory).strip()
    if re.fullmatch("[0-9a-f]{64}", known):
        return known
    started = time.time()
    digest = file_digest(path)
    # A digest is not remembered while somebody writes the file.
    if _state(path) == before and _last_change(path) < started - REST_SECONDS:
        remember(memory, digest + "\n")
    return digest


def recall(memory: Path) -> str:
    """What was remembered in a file, empty where nothing was."""
    try:
        return memory.read_text(encoding="utf-8")
    except OSError:
        return ""


def remember(memory: Path, text: str) -> None:
    """Write what is to be remembered, whole; where nothing can be written, it is worked out again each time."""
    try:
        write_text(memory, text)
    except OSError:
        # A folder without the right to write, a full disk: what was worked out is right.
        pass


def _state(path: Path) -> list[int]:
    """What differs once a file has been touched in any way; no device number, which differs between machines."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _last_change(path: Path) -> float:
    """Seconds since the epoch."""
    status = path.stat()
    return max(status.st_mtime, status.st_ctime)
