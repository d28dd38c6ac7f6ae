"""Checkpoints of a training: which are whole, by digests of our own.

The trainer checks nothing when it resumes: a file that a full disk has cut short ends every attempt, and weights with
flipped bits would be published. Digests are therefore written down as soon as a checkpoint rests, in a folder beside
the checkpoints, because the trainer deletes old ones while we write. Until then, and for the checkpoint of a training
that a hard kill has orphaned, the checks are those of the formats: safetensors have a known length, and what torch
saves is a zip, with a checksum for each of its parts.
"""

import contextlib
import json
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import file_digest, is_whole_safetensors, read_json, write_json

# What torch saves: optimizer, scheduler, random states, arguments, and the shards of DeepSpeed.
TORCH_SUFFIXES = (".pt", ".pth", ".bin")
# The trainer's processes write one after the other; a checkpoint without a younger file is complete.
REST_SECONDS = 10.0


def newest_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint with the most steps below `folder`, None where there is none.

    Whole means: every file has the digest that was written down, or, before that, adapter weights, optimizer (of torch
    or DeepSpeed), scheduler, random states and a readable trainer state, none of them damaged as far as their formats
    tell. A damaged one is skipped, never repaired.
    """
    return next((checkpoint for checkpoint in _newest_first(folder) if is_whole(checkpoint)), None)


def remember_checkpoints(folder: Path, rest: float = REST_SECONDS) -> None:
    """Write down the digests of every whole checkpoint below `folder` that has not changed for `rest` seconds."""
    for checkpoint in _newest_first(folder):
        # The trainer may delete an old one meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if _memory(checkpoint).is_file() or _last_change(checkpoint) > time.time() - rest:
                continue
            if is_whole(checkpoint):
                write_json(_memory(checkpoint), {name: file_digest(checkpoint / name) for name in _names(checkpoint)})
    for memory in _memory(folder / "any").parent.glob("*.json"):
        if not (folder / memory.stem).is_dir():
            memory.unlink(missing_ok=True)


def delete_damaged(folder: Path) -> list[str]:
    """Delete the checkpoints that are not whole, and return their names: the trainer would write over their files."""
    damaged = [checkpoint for checkpoint in folder.glob("checkpoint-*") if not is_whole(checkpoint)]
    for checkpoint in damaged:
        shutil.rmtree(checkpoint)
        _memory(checkpoint).unlink(missing_ok=True)
    return sorted(checkpoint.name for checkpoint in damaged)


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint can be resumed from and published."""
    try:
        if _memory(checkpoint).is_file():
            digests = read_json(_memory(checkpoint))
            return all(file_digest(checkpoint / name) == digest for name, digest in digests.items())
        return _is_complete(checkpoint) and all(map(_is_whole_file, map(checkpoint.joinpath, _names(checkpoint))))
    except (OSError, InputError):
        return False


def _is_complete(checkpoint: Path) -> bool:
    """Whether all is there without which a training cannot go on as if it had never stopped."""
    if _step(checkpoint) is None:
        return False
    # DeepSpeed writes shards of the optimizer into a folder, and its name into `latest` when all are there.
    latest = checkpoint / "latest"
    optimizer = checkpoint / latest.read_text().strip() if latest.is_file() else checkpoint / "optimizer.pt"
    parts = (optimizer, *map(checkpoint.joinpath, ("scheduler.pt", "adapter_config.json", "adapter_model.safetensors")))
    return all(part.exists() for part in parts) and any(checkpoint.glob("rng_state*.pth"))


def _is_whole_file(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return is_whole_safetensors(path)
    if path.suffix not in TORCH_SUFFIXES:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False


def _newest_first(folder: Path) -> Iterator[Path]:
    steps = {checkpoint: _step(checkpoint) for checkpoint in folder.glob("checkpoint-*")}
    found = [(step, checkpoint) for checkpoint, step in steps.items() if step is not None]
    return (checkpoint for _, checkpoint in sorted(found, reverse=True))


def _step(checkpoint: Path) -> int | None:
    """Optimizer steps by the trainer's state, which is written last; None for a half-written one."""
    try:
        return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _memory(checkpoint: Path) -> Path:
    return checkpoint.parent.with_name(f"{checkpoint.parent.name}.digests") / f"{checkpoint.name}.json"


def _names(checkpoint: Path) -> list[str]:
    return sorted(str(path.relative_to(checkpoint)) for path in checkpoint.rglob("*") if path.is_file())


def _last_change(checkpoint: Path) -> float:
    return max(path.stat().st_mtime for path in (checkpoint, *checkpoint.rglob("*")))
