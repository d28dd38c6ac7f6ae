"""A training that a signal stops continues from its newest whole checkpoint, under its own fingerprint."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.integration.conftest import tiny_config
from workflow_scripts.holdings.files import read_json, read_jsonl

STEPS = 12


@pytest.fixture
def command(finished, tmp_path):
    settings = tiny_config()["sft"] | {"max_steps": STEPS, "per_device_train_batch_size": 2}
    model = tiny_config()["model"] | {"path": str(finished.results("demo_model"))}
    options = {
        "firm-type": "banks",
        "dataset": finished.results("banks/datasets/sft.jsonl"),
        "model": json.dumps(model),
        "settings": json.dumps(settings),
        "seed": 1,
        "store": tmp_path / "store",
        "out": tmp_path / "adapter",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "workflow_scripts.train_sft", *words]


def test_sigterm_saves_and_a_rerun_resumes(finished, command, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=finished.root, env=environment, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "store").glob("*/checkpoints/checkpoint-2/trainer_state.json")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert process.returncode != 0, "a stopped training must not look finished"
    assert not (tmp_path / "adapter").exists()

    again = subprocess.run(command, cwd=finished.root, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "resumes from checkpoint-" in again.stdout
    manifest = read_json(tmp_path / "adapter/manifest.json")
    assert manifest["steps"] == STEPS
    assert manifest["resumed_from"]
    steps = [row["global_step/max_steps"] for row in read_jsonl(tmp_path / "adapter/training_log.jsonl")]
    assert steps == [f"{step}/{STEPS}" for step in range(1, STEPS + 1)], "every step once, none missing"

    other = subprocess.run(
        [*command, "--seed", "2"], cwd=finished.root, env=environment, capture_output=True, text=True
    )
    assert other.returncode == 0, other.stdout + other.stderr
    assert "resumes" not in other.stdout, "another seed is another fingerprint"
    assert len(list((tmp_path / "store").iterdir())) == 2
