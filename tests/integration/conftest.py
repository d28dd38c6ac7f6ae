"""Trainings by hand with the real ms-swift, in a store of their own, on the data of the finished run."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.project import tiny_config
from tests.waiting import LONGEST, bytes_of, wait_for
from workflow_scripts.plumbing.files import read_json, read_jsonl
from workflow_scripts.settings.reading import read_config
from workflow_scripts.settings.uses import settings_of


@dataclass
class Training:
    """One training by hand, in a store of its own."""

    root: Path
    folder: Path
    command: list[str]

    def start(self, *more: str) -> subprocess.Popen:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*self.command, *more],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, *more: str) -> str:
        process = self.start(*more)
        output, _ = process.communicate(timeout=LONGEST)
        assert process.returncode == 0, output
        return output

    def start_until(self, step: int) -> subprocess.Popen:
        """Start, and wait for the checkpoint of a step."""
        process = self.start()

        def is_there() -> bool:
            assert process.poll() is None, process.stdout.read()
            return any(self.folder.glob(f"store/*/checkpoints/checkpoint-{step}/trainer_state.json"))

        wait_for(is_there, progress=lambda: bytes_of(self.folder.glob("store/**/*")))
        return process

    def stop_after(self, step: int, number: int) -> None:
        """Start, wait for the checkpoint of a step, and send a signal to our process alone."""
        process = self.start_until(step)
        process.send_signal(number)
        process.wait(LONGEST)
        assert process.returncode != 0, "a stopped training must not look finished"
        assert not (self.folder / "adapter").exists()

    def check(self, steps: int) -> dict:
        manifest = read_json(self.folder / "adapter/manifest.json")
        assert manifest["steps"] == steps
        logged = [row["global_step/max_steps"] for row in read_jsonl(self.folder / "adapter/training_log.jsonl")]
        assert logged == [f"{step}/{steps}" for step in range(1, steps + 1)], "every step once, none missing"
        return manifest


@pytest.fixture
def training(finished, tmp_path):
    """Builds a training from changed settings of a stage; it starts from the models of the finished run."""

    def build(stage: str, start_adapter: Path | None = None, **changes) -> Training:
        model = "banks/merged/sft" if (stage, changes.get("warm_start", "sft")) == ("grpo", "sft") else "demo_model"
        config = read_config(tiny_config(**{stage: changes}))
        wildcards = SimpleNamespace(firm_type="banks", stage=stage)
        settings = json.loads(settings_of(config, f"train_{stage}")(wildcards))
        settings["model"]["path"] = str(finished.results(model))
        if settings.get("start_adapter"):
            settings["start_adapter"] = str(start_adapter)
        options = {
            "firm-type": "banks",
            "stage": stage,
            "dataset": finished.results(f"banks/datasets/{stage}.jsonl"),
            "settings": json.dumps(settings),
            "store": tmp_path / "store",
            "out": tmp_path / "adapter",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, "-m", f"workflow_scripts.train_{stage}", *words]
        return Training(finished.root, tmp_path, command)

    return build
