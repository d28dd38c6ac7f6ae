"""What is held out of a training, which validation was the best, and when it ends early."""

import importlib
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_json, write_json, write_jsonl
from workflow_scripts.settings.reading import read_config
from workflow_scripts.training import options, trainer, validation
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.training_settings import GrpoSettings, LoraSettings
from workflow_scripts.training.validation import best_step, hold_out, is_over, validations

ROWS = [
    {"window_id": f"banks-{manager}-{stock}-{year}Q{quarter}"}
    for manager in (7, 8, 9, 10)
    for stock in (1, 2, 3, 4, 5)
    for year, quarter in ((2009, 4), (2010, 1), (2010, 2), (2010, 3))
]


def ids(rows) -> list[str]:
    return [row["window_id"] for row in rows]


def pairs(rows) -> set[str]:
    return {name.rsplit("-", 1)[0] for name in ids(rows)}


def test_a_share_holds_out_whole_pairs_and_as_many_rows_as_asked():
    """The windows of a pair overlap: one that is trained on holds three of the four quarters of the next."""
    trained, held = hold_out(ROWS, LoraSettings(validation_share=0.25), seed=1)
    assert len(held) == 20
    assert not pairs(trained) & pairs(held)
    assert [name for name in ids(ROWS) if name in set(ids(trained))] == ids(trained), "in their order"
    assert sorted(ids(trained) + ids(held)) == sorted(ids(ROWS))
    assert all(row["held_out"] for row in held)
    assert not any("held_out" in row for row in trained)
    assert hold_out(ROWS[::-1], LoraSettings(validation_share=0.25), seed=1)[1][::-1] == held, "by pair, not by place"
    assert hold_out(ROWS, LoraSettings(validation_share=0.25), seed=2)[1] != held


def test_the_last_quarters_are_held_out_and_are_those_of_the_rows():
    trained, held = hold_out(ROWS, LoraSettings(validation_quarters=2), seed=1)
    assert {name[-6:] for name in ids(held)} == {"2010Q2", "2010Q3"}
    assert {name[-6:] for name in ids(trained)} == {"2009Q4", "2010Q1"}


@pytest.mark.parametrize(
    "settings",
    [
        LoraSettings(validation_quarters=4),
        LoraSettings(validation_share=0.99),
        GrpoSettings(validation_share=0.05, per_device_train_batch_size=8),
    ],
)
def test_too_little_on_one_side_is_refused(settings):
    with pytest.raises(InputError, match="change validation_share or validation_quarters"):
        hold_out(ROWS, settings, seed=1)


def test_the_best_is_the_least_loss_and_the_highest_reward():
    history = [{"step": step, "eval_loss": loss, "eval_reward": loss} for step, loss in ((2, 1.0), (4, 0.5), (6, 0.5))]
    assert best_step(LoraSettings(), [*history, {"step": 5, "loss": 0.0}]) == 4
    assert best_step(GrpoSettings(), history) == 2
    assert best_step(LoraSettings(), [{"step": 5, "loss": 0.0}]) is None
    assert list(validations(LoraSettings(), history)) == [2, 4, 6]
    sick = [{"step": 1, "eval_loss": float("nan")}, {"step": 2, "eval_loss": 9.0}]
    assert best_step(LoraSettings(), sick) == 2, "a loss that is no number is never the best"
    tied = [
        {"step": 2, "eval_reward": 0.5},
        {"step": 4, "eval_reward": 0.5 + 1e-9},
        {"step": 6, "eval_reward": 0.5 + 1e-7},
    ]
    assert best_step(GrpoSettings(), tied[:2]) == 2, (
        "ms-swift rounds to eight decimals, and keeps the first of equal ones"
    )
    assert best_step(GrpoSettings(), tied) == 6


@pytest.mark.parametrize(
    ("patience", "values", "over"),
    [
        (0, [1, 2, 3, 4], False), (1, [1], False), (1, [1, 1], True), (1, [2, 1], False), (2, [1, 2], False),
        (2, [1, 2, 3], True), (2, [2, 3, 1], False), (2, [2, 3, 1, 4, 5], True),
    ],
)  # fmt: skip
def test_patience(patience, values, over):
    assert is_over(patience, values) is over


@pytest.mark.parametrize(("greater", "sign"), [(False, 1), (True, -1)])
def test_the_callback_counts_the_validations_before_a_resume(monkeypatch, greater, sign):
    """ms-swift's own counter starts at 0 in every process; ours looks at the whole training."""
    module = types.ModuleType("swift.callbacks")
    module.TrainerCallback, module.callbacks_map = object, {}
    monkeypatch.setitem(sys.modules, "swift", types.ModuleType("swift"))
    monkeypatch.setitem(sys.modules, "swift.callbacks", module)
    monkeypatch.setenv("HOLDINGS_EARLY_STOPPING", "2")
    name = "workflow_scripts.training.early_stopping"
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    callback = module.callbacks_map[options.EARLY_STOPPING]()
    key = "eval_reward" if greater else "eval_loss"

    def stops(*values: float) -> bool:
        control = SimpleNamespace(should_training_stop=False)
        state = SimpleNamespace(log_history=[{key: sign * value} for value in values])
        callback.on_evaluate(SimpleNamespace(greater_is_better=greater), state, control)
        return control.should_training_stop

    assert not stops(3.0, 1.0)
    assert not stops(3.0, 1.0, 2.0)
    assert stops(3.0, 1.0, 2.0, 1.5), "the first call of a process that has resumed"


def checkpoint(folder, step, losses, total=10):
    folder = folder / f"checkpoint-{step}"
    folder.mkdir()
    history = [{"step": at, "eval_loss": loss} for at, loss in losses]
    write_json(folder / "trainer_state.json", {"global_step": step, "max_steps": total, "log_history": history})
    return folder


def test_the_kept_checkpoint_and_the_early_end(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "is_whole", lambda path: path.is_dir())
    losses = [(2, 1.0), (4, 0.5), (6, 0.7), (8, 0.6)]
    best, last = checkpoint(tmp_path, 4, losses[:2]), checkpoint(tmp_path, 8, losses)

    def training(**settings):
        return trainer.Training("train", "sft", {}, LoraSettings(validation_share=0.1, **settings), ModelSettings("m"))

    assert trainer._kept(training(), last) == last
    assert trainer._kept(training(keep="best"), last) == best
    assert trainer._is_done(training(early_stopping=2), last)
    assert not trainer._is_done(training(early_stopping=3), last), "step 8 of 10 is no end by itself"
    best.rename(tmp_path / "gone")
    with pytest.raises(InputError, match=r"the best checkpoint, .*checkpoint-4, is not whole"):
        trainer._kept(training(keep="best"), last)


def test_a_sick_validation_at_the_end_loses_no_training(tmp_path):
    """ms-swift validates at the last step, and logs NaN as it is; the manifest is strict JSON."""
    line = '{"loss": 1.0, "global_step/max_steps": "1/1", "eval_loss": NaN}\n'
    (tmp_path / "logging.jsonl").write_text(line)
    (last,) = trainer.training_log(tmp_path)
    write_json(tmp_path / "manifest.json", {"last_log": trainer.finite(last)})
    assert read_json(tmp_path / "manifest.json")["last_log"] == {"loss": 1.0, trainer.STEP: "1/1", "eval_loss": None}


def test_the_log_has_both_lines(tmp_path):
    lines = [
        {"loss": 1.0, "learning_rate": 0.1, trainer.STEP: "1/3"},
        {"eval_loss": 2.0, trainer.STEP: "1/3"},
        {"eval_loss": 1.5, trainer.STEP: "2/3"},
    ]
    write_jsonl(tmp_path / "logging.jsonl", lines)
    assert trainer.training_log(tmp_path) == [lines[0] | lines[1], lines[2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": "best"}, "sft: keep: best needs a validation; set sft.validation_share or sft.validation_quarters"),
        ({"early_stopping": 3}, "sft: early_stopping needs a validation"),
        ({"validation_share": 0.1, "validation_quarters": 1}, "are both set; choose one"),
        ({"save_steps": 2.5}, "sft.save_steps: 2.5 is neither a whole number of steps nor a share below 1"),
        ({"save_steps": 0}, "sft.save_steps: 0"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        read_config({"run": "x", "sft": change})


@pytest.mark.parametrize("name", ["lora_rank", "lora_alpha", "target_modules"])
def test_a_continued_adapter_keeps_its_shape(name):
    """ms-swift would take the rank of the SFT adapter, and say nothing of the other one."""
    shape = {"lora_rank": 8, "lora_alpha": 32, "target_modules": "all-linear"}
    read_config({"run": "x", "grpo": {"warm_start": "continue", **shape}})
    other = {**shape, name: "q_proj" if name == "target_modules" else 64}
    with pytest.raises(InputError, match=f"grpo.{name} is .* whose shape is fixed; set grpo.{name} to"):
        read_config({"run": "x", "grpo": {"warm_start": "continue", **other}})


def test_the_divergence_is_measured_from_the_adapter_that_goes_on(tmp_path):
    """Without `ref_adapters` ms-swift would measure it from the bare base model."""
    save_file({"w": np.ones(1)}, tmp_path / "adapter_model.safetensors")
    write_json(tmp_path / "adapter_config.json", {"r": 8, "lora_alpha": 32})
    found = options.continued({}, str(tmp_path), GrpoSettings(lora_rank=8, lora_alpha=32))
    assert found == {"adapters": str(tmp_path), "ref_adapters": str(tmp_path)}


def test_what_marks_a_held_out_row_is_what_the_rewards_look_for():
    """The plugin cannot import the name: its imports are part of every GRPO training's fingerprint."""
    plugin = importlib.util.find_spec(trainer.REWARDS_PLUGIN).loader.get_source(trainer.REWARDS_PLUGIN)
    assert f'if "{validation.HELD_OUT}" in columns' in plugin
