"""The real ms-swift: trainings that are validated, go on with an adapter, are followed, or hang; answers compared."""

import signal

import pandas as pd
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from tests.project import tiny_config
from tests.waiting import LONGEST
from workflow_scripts.plumbing.files import file_digest, read_json, read_jsonl, write_json

pytestmark = pytest.mark.slow
# The demo's pairs are few: a tenth of 16 windows is one of them.
SFT = {"max_steps": 6, "per_device_train_batch_size": 2, "save_steps": 2, "validation_share": 0.3}


def history(training) -> list[dict]:
    """What the newest checkpoint of a training's store says of its past."""
    states = [read_json(path) for path in training.folder.glob("store/*/checkpoints/checkpoint-*/trainer_state.json")]
    return max(states, key=lambda state: state["global_step"])["log_history"]


def validations(training, name: str) -> dict[int, float]:
    return {entry["step"]: entry[name] for entry in history(training) if name in entry}


def weights(folder) -> str:
    return file_digest(folder / "adapter_model.safetensors")


def checkpoint(training, step: int):
    (folder,) = training.folder.glob(f"store/*/checkpoints/checkpoint-{step}")
    return folder


def test_sft_keeps_the_checkpoint_of_the_least_validation_loss(training):
    """With so high a learning rate the loss on what is held out rises again; the last checkpoint is not the best."""
    sft = training("sft", **SFT, keep="best", learning_rate=0.05, lr_scheduler_type="constant", warmup_ratio=0)
    output = sft.finish()
    losses = validations(sft, "eval_loss")
    assert list(losses) == [2, 4, 6], "at every checkpoint"
    manifest = read_json(sft.folder / "adapter/manifest.json")
    best = min(losses, key=losses.get)
    assert best != 6, "otherwise the last checkpoint would do as well"
    assert manifest["kept_step"] == best
    assert manifest["steps"] == 6
    assert weights(sft.folder / "adapter") == weights(checkpoint(sft, best))
    logged = read_jsonl(sft.folder / "adapter/training_log.jsonl")
    assert {
        int(row["global_step/max_steps"].split("/")[0]): row["eval_loss"] for row in logged if "eval_loss" in row
    } == (pytest.approx(losses, abs=1e-6))
    assert all("loss" in row for row in logged), "both lines"
    entry = next(sft.folder.glob("store/*"))
    held = {row["window_id"] for row in read_jsonl(entry / "validation.jsonl")}
    assert f"{len(held)} samples in validation.jsonl" in output
    assert held
    assert not held & {row["window_id"] for row in read_jsonl(entry / "train.jsonl")}


def test_a_training_ends_early_where_an_undisturbed_one_does(training):
    """A learning rate so high that the validation gets worse; the training is stopped once before that ends it."""
    early = {**SFT, "max_steps": 60, "learning_rate": 0.05, "early_stopping": 2}
    early |= {"lr_scheduler_type": "constant", "warmup_ratio": 0}
    sft = training("sft", **early)
    sft.stop_after(2, signal.SIGTERM)
    assert "resumes from checkpoint-" in sft.finish()
    losses = list(validations(sft, "eval_loss").values())
    assert len(losses) < 30, "it ended before its last step"
    assert min(losses[:-2]) <= min(losses[-2:]), "two validations in a row brought nothing"
    assert all(min(losses[: end - 2]) > min(losses[end - 2 : end]) for end in range(3, len(losses))), "and not before"
    assert read_json(sft.folder / "adapter/manifest.json")["steps"] == 2 * len(losses)


def test_grpo_is_validated_by_the_reward_on_fixed_prompts_and_remembers_nothing_of_it(training):
    """Validated or not, the moving averages of a reward are those of the training's own batches."""
    rewards = {"rewards": ["contract_holdings", "external_holdings"], "reward_weights": [0.5, 0.5]}
    changes = {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    grpo = training("grpo", **changes, **rewards, validation_share=0.4, keep="best")
    grpo.finish()
    found = validations(grpo, "eval_reward")
    assert list(found) == [2, 4]
    assert all(-1 <= value <= 1 for value in found.values())
    best = max(found, key=found.get)
    assert best != list(found)[-1], "otherwise the last checkpoint would do as well"
    assert read_json(grpo.folder / "adapter/manifest.json")["kept_step"] == best
    (entries,) = grpo.folder.glob("store/*/external_holdings.rank0.jsonl")
    assert [row["step"] for row in read_jsonl(entries)] == [0, 1, 2, 3], "no line of a validation"


def test_grpo_goes_on_with_the_sft_adapter_and_its_divergence_starts_at_0(training, finished, tmp_path):
    """The reference of the KL term is the SFT adapter, not the bare base model; a resume goes on from its own.

    The adapter is made to move the base model far, and has no dropout, by which the policy would differ from itself.
    """
    sft = tmp_path / "sft"
    sft.mkdir()
    config = read_json(finished.results("banks/adapters/sft/adapter_config.json")) | {"lora_dropout": 0.0}
    write_json(sft / "adapter_config.json", config)
    trained = load_file(finished.results("banks/adapters/sft/adapter_model.safetensors"))
    far = {name: matrix * (3 if "lora_B" in name else 1) for name, matrix in trained.items()}
    save_file(far, sft / "adapter_model.safetensors", {"format": "pt"})
    shape = {"lora_rank": config["r"], "lora_alpha": int(config["lora_alpha"])}
    grpo = training("grpo", sft, warm_start="continue", max_steps=8, learning_rate=0.01, **shape)
    grpo.stop_after(2, signal.SIGKILL)
    assert "resumes from checkpoint-" in grpo.finish()
    manifest = read_json(grpo.folder / "adapter/manifest.json")
    assert manifest["parent_adapter"] == weights(sft)
    kl = [row["kl"] for row in read_jsonl(grpo.folder / "adapter/training_log.jsonl")]
    assert kl[0] == pytest.approx(0, abs=1e-9)
    assert min(kl[2:]) > 1e-4, "it moves away from the SFT model, also after the resume"
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (grpo.folder / "adapter", sft))
    assert {name: one.shape for name, one in ours.items()} == {name: one.shape for name, one in theirs.items()}
    # Far less than from a new adapter, whose second matrix starts at 0.
    name = next(name for name in ours if "lora_A" in name)
    assert abs(ours[name] - theirs[name]).max() < abs(theirs[name]).max()


def test_curves_and_completions_are_kept_where_they_are_asked_for(training):
    pytest.importorskip("tensorboard")
    grpo = training("grpo", max_steps=2, tracking="tensorboard", log_completions=True)
    plain = training("grpo", max_steps=2)
    grpo.finish()
    assert list(grpo.folder.glob("store/*/tensorboard/events.*"))
    (table,) = grpo.folder.glob("store/*/checkpoints/completions.jsonl")
    assert {"prompt", "completion", "contract_holdings"} <= set(read_jsonl(table)[0])
    assert "was trained before" in plain.finish(), "following a training repeats none"


def test_a_training_that_hangs_is_ended_and_goes_on(training):
    """A stopped process stands for one that hangs: it logs nothing, and does not hear SIGTERM. Its stacks are told."""
    sft = training("sft", max_steps=12, per_device_train_batch_size=2, stall_minutes=2)
    process = sft.start_until(2)
    (trainer,) = psutil.Process(process.pid).children()
    trainer.suspend()
    output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 1
    assert "logged nothing for 2 minutes" in output
    (log,) = sft.folder.glob("store/*/trainer.log")
    assert "Fatal Python error: Aborted" in log.read_text()
    assert not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE
    assert "resumes from checkpoint-" in sft.finish()
    sft.check(12)


def test_a_stage_answers_the_same_however_it_is_loaded(edited):
    """The target merges the GRPO adapter, too, and completes test prompts by both with the real engine, in float32."""
    table = "results/tiny/banks/answers/grpo.csv"
    result = edited.run(tiny_config(), table)
    assert result.returncode == 0, result.stderr
    log = (edited.root / "results/tiny/logs/check_answers/banks.grpo.log").read_text()
    found = pd.read_csv(edited.root / table)
    assert len(found) == 16
    assert found["adapter_text"].equals(found["merged_text"])
    assert "merged gives another text than the adapter on its start model for 0 of 16 prompts" in log
