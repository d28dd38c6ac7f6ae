"""A checkout of the project in a folder of its own, tiny input for it, and Snakemake in it."""

import contextlib
import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import yaml

from tests.forks import snakemake_in_a_fork
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.files import PART, json_digest

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
# In the environment of every run: it must be found nowhere else.
SECRET = "hf_" + "NobodyMayReadThis" * 2
TINY = {
    "run": "tiny",
    "simulation": {"managers": 8, "stocks": 20, "stocks_per_manager": 6, "first_year": 2014},
    "sample": {name: {"per_type_limit": 16} for name in ("sft", "grpo", "test")},
    "demo_model": {"steps": 12, "batch": 4, "windows_per_type": 200},
    "sft": {"max_steps": 2, "per_device_train_batch_size": 4, "save_steps": 1, "logging_steps": 1},
    "grpo": {"max_steps": 2, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "save_steps": 1,
             "max_completion_length": 24},
    "generation": {"max_tokens": 24},
}  # fmt: skip


def merged(base: dict, changes: dict) -> dict:
    result = copy.deepcopy(base)
    for key, value in changes.items():
        result[key] = merged(result.get(key, {}), value) if isinstance(value, dict) else value
    return result


def tiny_config(**changes) -> dict:
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    return merged(merged(demo, TINY), changes)


@dataclass
class Project:
    """A checkout of its own; `run`, `plan` and `told` call Snakemake in it."""

    root: Path
    # Snakemake's own lines, which name every job that runs.
    environment = os.environ | {"HF_TOKEN": SECRET, "VERBOSE": "1"}
    # Jobs keep what they compile, as a user's do, whatever the shell of the tests says.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [SNAKEMAKE, *arguments]
        return subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)

    def run(self, config: dict, *targets: str) -> subprocess.CompletedProcess:
        return self.snakemake(*self.arguments(config, *targets))

    def plan(self, config: dict, *targets: str) -> dict[str, int]:
        """Jobs per rule that a run would start."""
        result = self.told(*self.arguments(config, *targets, "-n"))
        assert result.returncode == 0, result.stdout + result.stderr
        return job_counts(result.stdout + result.stderr)

    def told(self, *arguments: str) -> subprocess.CompletedProcess:
        """What Snakemake says where it begins no job: the same as `snakemake`, several times as fast."""
        return snakemake_in_a_fork(self.root, self.environment, arguments)

    def arguments(self, config: dict, *targets: str) -> list[str]:
        """The arguments of a run."""
        return [*targets, "--cores", "2", "--configfile", str(self.write(config))]

    def write(self, config: dict) -> Path:
        # A name of its own, so that several plans can be made at a time.
        path = self.root / f"tiny-{json_digest(config)[:12]}.json"
        path.write_text(json.dumps(config))
        return path

    def results(self, path: str) -> Path:
        return self.root / "results/tiny" / path


def files_with(text: str, folder: Path) -> list[Path]:
    """The files below a folder that hold a text, hidden ones included."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def job_counts(output: str) -> dict[str, int]:
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
    if table is None:
        assert "Nothing to be done" in output, output
        return {}
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE)}


def checkout(folder: Path) -> Project:
    """The files that git knows or would add, as a fresh clone would have them."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        source = ROOT / name
        if source.is_symlink() or source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name, follow_symlinks=False)
    return Project(folder)


def copy_of(project: Project, folder: Path) -> Project:
    """A copy of a project with its results and Snakemake's memory."""
    shutil.copytree(project.root, folder / "copy", symlinks=True, ignore=_passing)
    return Project(folder / "copy")


class Copies:
    """Copies of a project, to edit modules of `workflow_scripts` in: each has one thread at a time."""

    def __init__(self, projects: Iterable[Project]):
        self._free: SimpleQueue[Project] = SimpleQueue()
        for project in projects:
            self._free.put(project)

    @contextlib.contextmanager
    def lent(self, *modules: str) -> Iterator[Project]:
        """A copy that nobody else has; afterwards these modules are as they were, with their times."""
        project, before = self._free.get(), []
        try:
            for path in (project.root / "workflow_scripts" / module for module in modules):
                before.append((path, path.read_bytes(), path.stat()))
            yield project
        finally:
            for path, code, stat in before:
                path.write_bytes(code)
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            self._free.put(project)


def _passing(folder: str, names: list[str]) -> set[str]:
    """What plans that are made at the same time write, delete or change in place: no copy needs it."""
    passing = {"iocache", "locks"} if Path(folder).name == ".snakemake" else set()
    return {name for name in names if name in passing or name.endswith(PART)}
