"""Checkpoints: only whole ones are resumed from and published, whatever has happened to the others."""

import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from workflow_scripts.training.checkpoints import (
    delete_damaged,
    is_whole,
    newest_checkpoint,
    remember_checkpoints,
)

TORCH_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def checkpoint(folder, step: int):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_file({"w": np.ones((4, 4), np.float32)}, path / "adapter_model.safetensors")
    for name in TORCH_FILES:
        # What torch saves is a zip.
        with zipfile.ZipFile(path / name, "w") as archive:
            archive.writestr("data", "a state, " * 20)
    (path / "adapter_config.json").write_text("{}")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": 30}))
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def test_newest_whole_checkpoint_is_chosen(folder):
    assert newest_checkpoint(folder) is None
    oldest, middle, newest = (checkpoint(folder, step) for step in (5, 10, 20))
    assert newest_checkpoint(folder) == newest
    weights = newest / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    assert newest_checkpoint(folder) == middle, "truncated weights are skipped"
    (middle / "trainer_state.json").write_text('{"global_step": 1')
    assert newest_checkpoint(folder) == oldest, "a half-written state is skipped"
    (oldest / "optimizer.pt").unlink()
    assert newest_checkpoint(folder) is None


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", *TORCH_FILES])
def test_a_checkpoint_that_lacks_a_file_is_not_whole(folder, name):
    (checkpoint(folder, 5) / name).unlink()
    assert newest_checkpoint(folder) is None


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, empty, flip])
@pytest.mark.parametrize("name", TORCH_FILES)
def test_damage_to_what_torch_saves_is_seen_without_digests(folder, name, damage):
    """As in a checkpoint that a trainer saves after a hard kill of ours, so that nobody writes digests down."""
    older = checkpoint(folder, 5)
    damage(checkpoint(folder, 10) / name)
    assert newest_checkpoint(folder) == older


@pytest.mark.parametrize("damage", [cut, empty, flip])
def test_damage_to_any_file_is_seen_by_its_digest(folder, damage):
    whole = checkpoint(folder, 10)
    older = checkpoint(folder, 5)
    remember_checkpoints(folder, rest=0.0)
    for name in sorted(path.name for path in whole.iterdir()):
        kept = (whole / name).read_bytes()
        damage(whole / name)
        assert newest_checkpoint(folder) == older, name
        (whole / name).write_bytes(kept)
        assert newest_checkpoint(folder) == whole


def test_digests_are_written_down_once_a_checkpoint_rests(folder):
    young, old = checkpoint(folder, 10), checkpoint(folder, 5)
    for path in (old, *old.iterdir()):
        os.utime(path, (1, 1))
    remember_checkpoints(folder)
    memory = folder.with_name("checkpoints.digests")
    assert [path.name for path in memory.iterdir()] == ["checkpoint-5.json"], "the other is still being written"
    assert set(young.iterdir()) == {young / path.name for path in old.iterdir()}, "nothing is written into them"
    shutil.rmtree(old)
    remember_checkpoints(folder, rest=0.0)
    assert [path.name for path in memory.iterdir()] == ["checkpoint-10.json"], "the trainer has deleted the old one"


def test_damaged_checkpoints_are_deleted_before_a_training_goes_on(folder):
    """The trainer would write into their folders, and what it leaves there would stay damaged."""
    whole = checkpoint(folder, 5)
    for step in (10, 15):
        checkpoint(folder, step)
    remember_checkpoints(folder, rest=0.0)
    flip(folder / "checkpoint-15/adapter_model.safetensors")
    cut(folder / "checkpoint-10/optimizer.pt")
    (folder / "checkpoint-20").mkdir()
    assert delete_damaged(folder) == ["checkpoint-10", "checkpoint-15", "checkpoint-20"]
    assert list(folder.iterdir()) == [whole]
    again = checkpoint(folder, 10)
    (again / "adapter_config.json").write_text('{"made": "again"}')
    assert is_whole(again), "the digests of the damaged one are forgotten"


def test_a_checkpoint_of_deepspeed_is_complete_too(folder):
    path = checkpoint(folder, 3)
    shards = (path / "optimizer.pt").rename(path / "shard.pt")
    assert newest_checkpoint(folder) is None
    (path / "latest").write_text("global_step3")
    assert newest_checkpoint(folder) is None, "the shards are not there"
    (path / "global_step3").mkdir()
    shards.rename(path / "global_step3/optim_states.pt")
    assert newest_checkpoint(folder) == path
    cut(path / "global_step3/optim_states.pt")
    assert newest_checkpoint(folder) is None
