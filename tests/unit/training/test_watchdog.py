"""A training that hangs is ended, with its stacks in the log; one that saves nothing before its end is told."""

import os
import sys
import time

import pytest

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import write_jsonl
from workflow_scripts.settings.reading import read_config
from workflow_scripts.training import trainer
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.training_settings import LoraSettings
from workflow_scripts.training.watchdog import StalledError, Watchdog

HANGS = """
import pathlib, subprocess, sys, time
def where_it_hangs():
    pathlib.Path("parent.hangs").touch()
    time.sleep(600)
def of_the_child():
    pathlib.Path("child.hangs").touch()
    time.sleep(600)
if sys.argv[1:2] == ["child"]:
    of_the_child()
subprocess.Popen([sys.executable, __file__, "child"])
print("started", flush=True)
where_it_hangs()
"""


class OnceBothHang(Watchdog):
    """A watchdog that looks only when parent and child are where they hang: a busy machine starts them late."""

    def __call__(self, log):
        if len(list(log.parent.glob("*.hangs"))) == 2:
            super().__call__(log)


def test_a_trainer_that_hangs_is_ended_with_the_stacks_of_all_its_processes(tmp_path, monkeypatch):
    """The launcher of several GPUs hangs in the parent, the trainings in its children."""
    monkeypatch.chdir(tmp_path)
    script, log = tmp_path / "hangs.py", tmp_path / "trainer.log"
    script.write_text(HANGS)
    with pytest.raises(StalledError, match=r"train: logged nothing for 0\.01 minutes .* goes on from the newest"):
        trainer.run_swift(
            [sys.executable, str(script)],
            {"output_dir": str(tmp_path)},
            log,
            trainer.swift_environment(ModelSettings("model")),
            "train",
            OnceBothHang(0.01, "train"),
        )
    text = log.read_text()
    assert "in where_it_hangs" in text
    assert "in of_the_child" in text
    assert not list(tmp_path.glob("core*")), "the memory of a trainer is not written to the disk"


def test_the_watchdog_waits_for_growth_and_never_barks_at_0(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    log = tmp_path / "trainer.log"
    log.write_text("a")
    dog, none = Watchdog(1, "train"), Watchdog(0, "train")
    for text, seconds in (("a", 50), ("ab", 50), ("abc", 50)):
        log.write_text(text)
        now[0] += seconds
        dog(log)
    now[0] += 59
    dog(log)
    now[0] += 2
    with pytest.raises(StalledError):
        dog(log)
    none(log)
    now[0] += 1e6
    none(log)


@pytest.mark.parametrize(("save_steps", "told"), [(50, 1), (49, 0), (500, 1), (0.1, 0)])
def test_a_training_without_a_checkpoint_before_its_end_is_told_once(tmp_path, capsys, save_steps, told):
    check = trainer._warn_of_no_checkpoint(tmp_path, save_steps, "train")
    check(tmp_path)
    assert "WARNING" not in capsys.readouterr().out, "the number of steps is not known yet"
    write_jsonl(tmp_path / "logging.jsonl", [{"loss": 1.0, trainer.STEP: "1/50"}])
    check(tmp_path)
    check(tmp_path)
    assert capsys.readouterr().out.count("WARNING: no checkpoint before the end, because it has 50 steps") == told


def test_the_published_recipe_saves_ten_times():
    """500 steps of GRPO and 63 of SFT once met save_steps 500: nothing was saved before the end."""
    config = read_config({"run": "x"})
    assert (config.sft.save_steps, config.grpo.save_steps) == (0.1, 0.1)


@pytest.mark.parametrize("tracking", ["wandb", "trackio", "swanlab"])
def test_a_tracker_whose_package_is_missing_is_refused_before_the_run(monkeypatch, tracking):
    find = trainer.importlib.util.find_spec
    monkeypatch.setattr(trainer.importlib.util, "find_spec", lambda name: None if name == tracking else find(name))
    with pytest.raises(InputError, match=f"sft.tracking needs the package {tracking}, which is not installed"):
        read_config({"run": "x", "sft": {"tracking": tracking}})
    # A job of a cluster looks again, on its own node.
    training = trainer.Training("train", "sft", {}, LoraSettings(tracking=tracking), ModelSettings("m"))
    with pytest.raises(InputError, match=f"{tracking} cannot be found by .* on .*; install it there"):
        trainer._require_packages(training)


def test_trackers_write_into_the_store_and_under_our_name(tmp_path, monkeypatch):
    folders = {"TENSORBOARD_LOGGING_DIR": "tensorboard", "TRACKIO_DIR": "trackio", "SWANLAB_LOG_DIR": "swanlab"}
    folders["WANDB_DIR"] = ""
    for name in ("WANDB_PROJECT", *folders):
        monkeypatch.delenv(name, raising=False)
    training = trainer.Training("train", "sft", {}, LoraSettings(tracking="tensorboard"), ModelSettings("m"))
    variables = trainer._following(training, tmp_path)
    assert {name: variables[name] for name in folders} == {name: str(tmp_path / one) for name, one in folders.items()}
    assert variables["WANDB_PROJECT"] == "holdings-adjustment"
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert trainer._following(training, tmp_path)["WANDB_PROJECT"] == os.environ["WANDB_PROJECT"] == "mine"
