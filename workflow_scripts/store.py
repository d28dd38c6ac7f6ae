"""The store: where training results live until the declared outputs are published from them.

Snakemake deletes the declared outputs of a failed or restarted job, so checkpoints and finished
results live beside them, below `{store}/{fingerprint}`. The fingerprint covers everything that can
change the result. A finished folder is never trained again: it is published in seconds.
"""

import importlib.metadata
import json
import shutil
from pathlib import Path

from workflow_scripts.holdings.files import file_digest, folder_digest, json_digest, read_json, whole_file, write_json

MANIFEST = "manifest.json"
TRAINER_PACKAGES = ("ms-swift", "torch", "transformers", "trl", "peft")
FINGERPRINT_LENGTH = 16


def trainer_versions() -> dict[str, str]:
    """Installed versions of the packages that decide a training's result."""
    return {package: importlib.metadata.version(package) for package in TRAINER_PACKAGES}


def model_identity(model: str) -> str:
    """Digest of a local model folder, or the name of one on a hub (`model.revision` pins its version)."""
    return folder_digest(model) if Path(model).is_dir() else model


def open_entry(store: str | Path, identity: dict) -> Path:
    """The store's folder of this identity, created with `identity.json` where it is new."""
    folder = Path(store) / json_digest(identity)[:FINGERPRINT_LENGTH]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "identity.json").is_file():
        write_json(folder / "identity.json", identity)
    return folder.resolve()


def is_finished(entry: Path) -> bool:
    """Whether the entry holds a whole result: a manifest, written last, and files of its digests."""
    result = entry / "result"
    if not (result / MANIFEST).is_file():
        return False
    files = read_json(result / MANIFEST)["files"]
    return all((result / name).is_file() and file_digest(result / name) == digest for name, digest in files.items())


def finish(entry: Path, files: dict[str, Path], manifest: dict) -> None:
    """Copy `files` (name -> source) into the entry's `result`, then write the manifest."""
    result = entry / "result"
    result.mkdir(exist_ok=True)
    for name, source in files.items():
        shutil.copyfile(source, result / name)
    digests = {name: file_digest(result / name) for name in sorted(files)}
    write_json(result / MANIFEST, {**manifest, "files": digests})


def publish(entry: Path, folder: str | Path) -> None:
    """Copy a finished result to the declared output folder, file by file under a temporary name.

    Hard links would be faster, but an edit of the published file would then reach into the store.
    """
    folder = Path(folder)
    for source in sorted((entry / "result").iterdir()):
        with whole_file(folder / source.name) as temporary:
            shutil.copyfile(source, temporary)


def _is_whole_safetensors(path: Path) -> bool:
    """Whether a safetensors file has all the bytes that its header announces."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                return False
            header = json.loads(file.read(length))
    except (OSError, ValueError):
        return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return path.stat().st_size == 8 + length + max(ends, default=0)


def newest_checkpoint(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps below `folder`, None where there is none.

    Complete means: adapter weights of full length, optimizer, scheduler and a readable trainer state
    (which the trainer writes last). A half-written one is skipped, never repaired.
    """
    found = {}
    for checkpoint in folder.glob("checkpoint-*"):
        try:
            step = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
        except (OSError, ValueError, KeyError):
            continue
        parts = (checkpoint / "optimizer.pt", checkpoint / "scheduler.pt", checkpoint / "adapter_config.json")
        if all(part.is_file() for part in parts) and _is_whole_safetensors(checkpoint / "adapter_model.safetensors"):
            found[step] = checkpoint
    return found[max(found)] if found else None
