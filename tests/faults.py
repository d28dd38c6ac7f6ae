"""What tests of faults share: a disk that is full, and what must be there when a disturbed run is over."""

import filecmp
import subprocess
from pathlib import Path

from workflow_scripts.plumbing.files import read_json, read_jsonl

# What trainings and generation decide; all else of a firm type's folder is the same bytes from run to run.
TRAINED = ("adapters", "merged", "completions", "evaluation", "training", "predictions/base.csv", "predictions/sft.csv",
           "predictions/grpo.csv")  # fmt: skip


def deterministic_files(folder: Path) -> list[str]:
    """Names of the files of a firm type that no training decides."""
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [name for name in names if not name.startswith(TRAINED)]


def differences(expected: Path, found: Path, names: list[str]) -> list[str]:
    """The names whose files are not there, or not the same bytes."""
    _, different, missing = filecmp.cmpfiles(expected, found, names, shallow=False)
    return sorted(different + missing)


def is_finished_training(run_folder: Path, firm_type: str, stage: str, steps: int) -> None:
    """Assert that a stage has all its steps, each once, and one adapter."""
    adapter = run_folder / firm_type / "adapters" / stage
    assert read_json(adapter / "manifest.json")["steps"] == steps
    logged = [int(row["global_step/max_steps"].split("/")[0]) for row in read_jsonl(adapter / "training_log.jsonl")]
    assert logged == sorted(set(logged)), "no step twice"
    assert logged[-1] == steps
    assert len(list((run_folder / "store" / firm_type / stage).glob("*/result"))) == 1, "one adapter"


class FullDisk:
    """A file system of its own on a folder, full until `make_room`; `is_mounted` is false where that is not allowed."""

    def __init__(self, folder: Path, megabytes: int = 16) -> None:
        self.folder, self.megabytes = folder, megabytes
        self.is_mounted = False

    def __enter__(self) -> "FullDisk":
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "tmpfs", str(self.folder)]
        try:
            self.is_mounted = subprocess.run(command, capture_output=True).returncode == 0
        except FileNotFoundError:
            pass
        if self.is_mounted:
            (self.folder / ".filler").write_bytes(b"0" * ((self.megabytes << 20) - 4096))
        return self

    def make_room(self) -> None:
        (self.folder / ".filler").unlink()

    def __exit__(self, *_) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
