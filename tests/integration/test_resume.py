"""A training that is stopped, however hard, continues from its newest whole checkpoint, under its own fingerprint."""

import json
import signal

import pytest

from tests.waiting import LONGEST
from workflow_scripts.plumbing.files import read_jsonl
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.prompt_lengths import prompt_lengths

pytestmark = pytest.mark.slow
STEPS = 12


def test_sigterm_saves_and_a_rerun_resumes(training):
    sft = training("sft", max_steps=STEPS, per_device_train_batch_size=2)
    sft.stop_after(2, signal.SIGTERM)
    sft.stop_after(6, signal.SIGINT)
    assert "resumes from checkpoint-" in sft.finish()
    assert sft.check(STEPS)["resumed_from"]
    other = json.loads(sft.command[sft.command.index("--settings") + 1]) | {"seed": 2}
    assert "resumes" not in sft.finish("--settings", json.dumps(other)), "another seed is another fingerprint"
    assert len(list((sft.folder / "store").iterdir())) == 2


def test_a_hard_kill_and_a_truncated_checkpoint(training):
    """The trainer saves when its parent is gone; the next attempt waits for it, and skips what is not whole."""
    sft = training("sft", max_steps=STEPS, per_device_train_batch_size=2)
    sft.stop_after(3, signal.SIGKILL)
    again = sft.start()
    checkpoints = next(sft.folder.glob("store/*/checkpoints"))
    assert again.wait(LONGEST) == 0, again.stdout.read()
    assert "resumes from checkpoint-" in again.stdout.read()
    sft.check(STEPS)
    # As if the machine had died while it wrote the last checkpoint, and before the result.
    last, before = checkpoints / f"checkpoint-{STEPS}", checkpoints / f"checkpoint-{STEPS - 1}"
    weights = last / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    for path in (*(sft.folder / "adapter").iterdir(), *checkpoints.parent.glob("result/*")):
        path.unlink()
    assert f"resumes from {before.name}" in sft.finish()
    sft.check(STEPS)
    # As if it had died after the last checkpoint: ms-swift would resume there, and do one step more.
    weights = last / "adapter_model.safetensors"
    trained = weights.read_bytes()
    for path in (*(sft.folder / "adapter").iterdir(), *checkpoints.parent.glob("result/*")):
        path.unlink()
    assert f"resumes from {last.name}" in sft.finish()
    sft.check(STEPS)
    assert (sft.folder / "adapter/adapter_model.safetensors").read_bytes() == trained


def test_grpo_goes_on_with_the_averages_of_its_checkpoint(training):
    rewards = {"rewards": ["contract_holdings", "external_holdings"], "reward_weights": [0.5, 0.5]}
    grpo = training("grpo", max_steps=5, **rewards)
    grpo.stop_after(2, signal.SIGKILL)
    assert "resumes from checkpoint-" in grpo.finish()
    manifest = grpo.check(5)
    resumed = int(manifest["resumed_from"].split("-")[1])
    assert resumed >= 2
    entries = read_jsonl(next(grpo.folder.glob("store/*/external_holdings.rank0.jsonl")))
    assert [entry["step"] for entry in entries] == list(range(5)), (
        "one call per step, none of the stopped run's later ones"
    )
    # A restart from nothing would make the first mean after the resume that batch's own.
    averages = [entry["mean_change"] for entry in entries]
    step = averages[resumed] - 0.9 * averages[resumed - 1]
    assert step >= 0
    assert averages[resumed] != pytest.approx(step / 0.1), "nine tenths of the average are older"


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_too_many_samples_that_are_too_long_end_the_training(training, stage):
    stopped = training(stage, max_steps=STEPS, max_length=64)
    process = stopped.start()
    output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 1
    assert "16 of 16 samples are longer than max_length" in output
    assert "Traceback" not in output
    assert not (stopped.folder / "adapter").exists()


def test_grpo_leaves_long_prompts_out_and_counts_them(training, finished):
    """ms-swift itself would cut off their beginning."""
    model = ModelSettings(str(finished.results("banks/merged/sft")))
    rows = read_jsonl(finished.results("banks/datasets/grpo.jsonl"))
    lengths = sorted(prompt_lengths(rows, model))
    limit = lengths[len(lengths) // 2]
    expected = sum(length > limit for length in lengths)
    assert expected > 0
    grpo = training("grpo", max_steps=1, max_length=limit, max_dropped_share=1.0)
    grpo.finish()
    assert grpo.check(1)["rows_dropped_for_length"] == expected
    kept = read_jsonl(next(grpo.folder.glob("store/*/dataset.jsonl")))
    assert len(kept) == len(rows) - expected


def test_two_processes_train_one_adapter(training):
    """What num_gpus does, on the CPU: ms-swift under torch's launcher, with two processes that share the batch.

    Sixteen samples in batches of four are four steps for one process, and two for two that share them.
    """
    sft = training("sft", max_steps=-1, num_gpus=2)
    sft.finish()
    assert sft.check(2)["identity"]["num_gpus"] == 2
    assert "world_size: 2" in next(sft.folder.glob("store/*/trainer.log")).read_text()
