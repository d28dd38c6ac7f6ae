"""What changes a result changes its fingerprint: every field of every settings class does, or says why not."""

import argparse
import dataclasses
import json
import typing
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from workflow_scripts import generate_completions, train_grpo, train_sft
from workflow_scripts.holdings.rewards.rewards import RewardSettings
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import json_digest, write_jsonl
from workflow_scripts.training import store, trainer, validation
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.generation import GenerationSettings
from workflow_scripts.training.training_settings import GrpoSettings, LoraSettings

# Fields that change no fingerprint, each with its reason.
SAVING = "how often a checkpoint is written changes no step"
GATE = "how much may be left out changes nothing of what is trained on; the gate holds for finished results too"
TRUST = "whether code may run changes nothing; the code itself is part of the model"
FOLDER = "a folder is its content, wherever it lies"
HUB = "a folder has no revision"
NO_VLLM = "belongs to vLLM, which is off"
BY_SAMPLE = "completions are kept one by one, by the number of the sample"
NO_VALIDATION = "belongs to the validation, of which there is none"
FOLLOWED = "who follows a training, and when one that hangs is ended, changes nothing of it"
TRAINING = {
    "save_steps": SAVING, "max_dropped_share": GATE, "keep": NO_VALIDATION, "tracking": FOLLOWED,
    "stall_minutes": FOLLOWED,
}  # fmt: skip
NEUTRAL = {
    LoraSettings: TRAINING,
    GrpoSettings: {
        **TRAINING,
        "log_completions": FOLLOWED,
        **dict.fromkeys(
            (
                "vllm_gpu_memory_utilization",
                "sleep_level",
                "offload_model",
                "offload_optimizer",
                "rollout_importance_sampling_mode",
            ),
            NO_VLLM,
        ),
    },
    ModelSettings: {"trust_remote_code": TRUST, "path": FOLDER, "revision": HUB},
    # Their files, once there are some: test_rewards_of_ones_own_change_the_fingerprint_by_content.
    RewardSettings: {"plugins": "none are named"},
    GenerationSettings: {"samples": BY_SAMPLE},
}


def other(value: object, annotation: object) -> object:
    """Another value of a field, within its bounds."""
    kind = typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation
    if typing.get_origin(kind) is typing.Literal:
        return next(choice for choice in typing.get_args(kind) if choice != value)
    if value is None:
        return 2
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.75 or 0.5
    if value == 0 and kind is float:
        return 0.5
    if isinstance(value, str):
        return value + "_other"
    if isinstance(value, list | tuple):
        return value[::-1]
    return {**value, "weight_decay": 0.5}


def one_by_one(settings: object) -> list[tuple[str, object]]:
    """The settings with one field changed, and its name."""
    hints = typing.get_type_hints(type(settings), include_extras=True)
    names = [field.name for field in dataclasses.fields(settings)]
    return [
        (name, dataclasses.replace(settings, **{name: other(getattr(settings, name), hints[name])})) for name in names
    ]


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """A model, data and an adapter; trainings and generations end once their fingerprint is known."""
    folders = [tmp_path / "model", tmp_path / "model_other"]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        save_file({"w": np.ones(4)}, folder / "model.safetensors")
    (tmp_path / "adapter").mkdir()
    save_file({"a": np.ones(4)}, tmp_path / "adapter/adapter_model.safetensors")
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps({"r": 8, "lora_alpha": 32}))
    row = {"messages": [{"role": "user", "content": "?"}], "label_delta": 1.0, "label_tp1": 2.0, "holding_t": 1.0}
    names = [f"banks-{manager}-1-2015Q{quarter}" for manager in range(30) for quarter in (1, 2)]
    write_jsonl(tmp_path / "data.jsonl", [{"window_id": name, **row} for name in names])

    def end(*args, **kwargs):
        raise Known(next(value for value in args if isinstance(value, Path)).name)

    for module in (train_sft, train_grpo):
        monkeypatch.setattr(module, "train", end)
    monkeypatch.setattr(generate_completions, "read_cache", lambda path: end(path.parent))
    return tmp_path


class Known(Exception):
    """Carries a fingerprint out of an entry module."""


SEED = 1
SFT, GRPO, GENERATION = LoraSettings(), GrpoSettings(), GenerationSettings()
REWARDS = RewardSettings(("contract_holdings", "mse_holdings"), {}, "holding_delta")


def fingerprint(world, module, seed=SEED, model=None, adapter="adapter", **settings) -> str:
    model = model or ModelSettings(str(world / "model"))
    arguments = {
        "firm_type": "banks",
        "stage": "sft",
        "dataset": str(world / "data.jsonl"),
        "adapter": "none" if adapter == "none" else str(world / adapter),
        "settings": module.Settings(seed=seed, model=model, **settings),
        "store": str(world / "store"),
        "out": str(world / "out"),
        "conditions": str(world / "conditions"),
    }
    with pytest.raises(Known) as known:
        module.main(argparse.Namespace(**arguments))
    return str(known.value)


def sft(world, training=SFT, **more) -> str:
    return fingerprint(world, train_sft, training=training, **more)


def grpo(world, training=GRPO, rewards=REWARDS, **more) -> str:
    return fingerprint(world, train_grpo, training=training, rewards=rewards, **more)


def completions(world, generation=GENERATION, **more) -> str:
    return fingerprint(world, generate_completions, generation=generation, **more)


ALL = (sft, grpo, completions)


@pytest.mark.parametrize(
    ("make", "argument", "settings"),
    [
        (sft, "training", SFT),
        (grpo, "training", GRPO),
        (grpo, "rewards", dataclasses.replace(REWARDS, names=list(REWARDS.names))),
        (completions, "generation", GENERATION),
        *((make, "model", None) for make in ALL),
    ],
)
def test_every_field_changes_the_fingerprint_or_says_why_not(world, monkeypatch, make, argument, settings):
    # The other target has other columns, and rewards that are not there have no code.
    monkeypatch.setattr(train_grpo, "reward_columns", lambda names, target: [])
    monkeypatch.setattr(train_grpo, "digest_of", lambda *modules: "code")
    settings = settings or ModelSettings(str(world / "model"))
    before = make(world, **{argument: settings})
    neutral = NEUTRAL[type(settings)]
    for name, changed in one_by_one(settings):
        assert (make(world, **{argument: changed}) == before) == (name in neutral), name
    assert set(neutral) <= {field.name for field in dataclasses.fields(settings)}


def test_where_there_is_a_validation_its_settings_and_steps_count(world):
    """They decide when a training ends, and which checkpoint is published; evaluating draws random numbers, too."""
    for make, settings in ((sft, LoraSettings), (grpo, GrpoSettings)):
        found = {
            make(world, training=settings(**{"validation_share": 0.2, **more}))
            for more in (
                {},
                {"validation_share": 0.3},
                {"keep": "best"},
                {"early_stopping": 2},
                {"save_steps": 0.2},
                {"validation_share": 0.0, "validation_quarters": 1},
            )
        }
        assert len(found) == 6


@pytest.mark.parametrize(("make", "settings"), [(sft, LoraSettings), (grpo, GrpoSettings)])
def test_which_samples_are_held_out_counts(world, make, settings, monkeypatch):
    """Otherwise the adapter of another split would be published as this one's after an edit of `hold_out`."""
    training = settings(validation_share=0.2)
    before = make(world, training=training)
    assert make(world, training=training) == before
    monkeypatch.setattr(validation, "hold_out", lambda rows, settings, seed: (rows[20:], rows[:20]))
    assert make(world, training=training) != before


def test_a_validation_by_a_reward_that_is_scaled_by_its_batch_is_warned_of(world, capsys):
    """With errors half as large everywhere, mse_holdings pays the same."""
    grpo(world)
    assert "WARNING" not in capsys.readouterr().out
    grpo(world, training=GrpoSettings(validation_share=0.2))
    assert "WARNING: mse_holdings is scaled by the model's own errors" in capsys.readouterr().out
    both = RewardSettings(("external_holdings", "mse_holdings"), {}, "holding_delta")
    grpo(world, training=GrpoSettings(validation_share=0.2), rewards=both)
    assert "WARNING: external_holdings and mse_holdings is scaled" in capsys.readouterr().out
    other = RewardSettings(("contract_holdings",), {}, "holding_delta")
    grpo(world, training=GrpoSettings(validation_share=0.2), rewards=other)
    assert "WARNING" not in capsys.readouterr().out


def test_where_vllm_draws_its_settings_count(world):
    changes = [{}, {"sleep_level": 1}, {"rollout_importance_sampling_mode": "token_mask"}, {"structured_outputs": True}]
    assert len({grpo(world, training=GrpoSettings(use_vllm=True, **more)) for more in changes}) == len(changes)


def test_the_adapter_that_a_training_goes_on_with_counts_by_content(world):
    config = {"r": GRPO.lora_rank, "lora_alpha": GRPO.lora_alpha}
    (world / "adapter/adapter_config.json").write_text(json.dumps(config))
    adapter = str(world / "adapter")
    before = grpo(world, start_adapter=adapter)
    assert before != grpo(world)
    save_file({"a": np.zeros(4)}, world / "adapter/adapter_model.safetensors")
    assert grpo(world, start_adapter=adapter) != before
    (world / "adapter").rename(world / "moved")
    assert grpo(world, start_adapter=str(world / "moved")) != before
    save_file({"a": np.ones(4)}, world / "moved/adapter_model.safetensors")
    assert grpo(world, start_adapter=str(world / "moved")) == before, "where it lies changes nothing"
    (world / "moved/adapter_config.json").write_text(json.dumps(config | {"r": 8}))
    with pytest.raises(InputError, match="has lora_rank 8, and a training that goes on with it cannot have another"):
        grpo(world, start_adapter=str(world / "moved"))


def test_a_hub_model_is_its_name_and_revision(world, monkeypatch):
    for module in (train_sft, train_grpo):
        monkeypatch.setattr(module, "check_model", lambda model: None)
    for make in ALL:
        before = make(world, model=ModelSettings("owner/name", "abc"))
        assert make(world, model=ModelSettings("owner/name", "abd")) != before
        assert make(world, model=ModelSettings("owner/other", "abc")) != before


@pytest.mark.parametrize("make", ALL)
def test_seed_model_and_versions_change_every_fingerprint(world, monkeypatch, make):
    before = make(world)
    assert make(world) == before
    assert make(world, seed=2) != before, "the seed"
    save_file({"w": np.zeros(4)}, world / "model/model.safetensors")
    assert make(world) != before, "the content of the model"
    save_file({"w": np.ones(4)}, world / "model/model.safetensors")
    assert make(world) == before
    version = store.importlib.metadata.version
    for package in store.TRAINER_PACKAGES:
        monkeypatch.setattr(
            store.importlib.metadata, "version", lambda name, package=package: version(name) + "x" * (name == package)
        )
        assert make(world) != before, package


def test_versions_of_optional_packages_count_where_they_are_used(world, monkeypatch):
    version = store.importlib.metadata.version
    installed = {"vllm": "1", "deepspeed": "1"}
    monkeypatch.setattr(store.importlib.metadata, "version", lambda name: installed.get(name) or version(name))
    users = {
        "deepspeed": lambda: sft(world, training=LoraSettings(deepspeed="zero2")),
        "vllm": lambda: (
            grpo(world, training=GrpoSettings(use_vllm=True)),
            completions(world, generation=GenerationSettings(backend="vllm")),
        ),
    }
    plain = [make(world) for make in ALL]
    for package, make in users.items():
        before = make()
        installed[package] = "2"
        after = make()
        assert after != before, package
        if package == "vllm":
            assert all(one != two for one, two in zip(before, after, strict=True))
    assert [make(world) for make in ALL] == plain, "installing one of them repeats no training that does not use it"


def test_data_change_the_fingerprint_of_trainings(world):
    before = [sft(world), grpo(world)]
    text = (world / "data.jsonl").read_text()
    (world / "data.jsonl").write_text(text + text)
    assert sft(world) != before[0]
    assert grpo(world) != before[1]


def test_the_code_of_rewards_changes_the_fingerprint(world, monkeypatch):
    before = grpo(world)
    asked = []
    monkeypatch.setattr(train_grpo, "digest_of", lambda *modules: asked.extend(modules) or "other code")
    assert grpo(world) != before
    assert asked == [
        trainer.REWARDS_PLUGIN,
        "workflow_scripts.holdings.rewards.contract_holdings",
        "workflow_scripts.holdings.rewards.mse_holdings",
    ]


def test_the_adapter_changes_the_fingerprint_of_completions(world):
    before = completions(world)
    assert completions(world, adapter="none") != before
    save_file({"a": np.zeros(4)}, world / "adapter/adapter_model.safetensors")
    assert completions(world) != before
    save_file({"a": np.ones(4)}, world / "adapter/adapter_model.safetensors")
    config = world / "adapter/adapter_config.json"
    config.write_text(json.dumps({"r": 8, "lora_alpha": 64}))
    assert completions(world) != before, "the same matrices, scaled otherwise"
    config.write_text(json.dumps({"r": 8, "lora_alpha": 32, "base_model_name_or_path": "elsewhere"}))
    assert completions(world) == before, "where its model lies"


def test_rewards_of_ones_own_change_the_fingerprint_by_content(world):
    """A file of rewards that moves trains nothing again; one with another statement does."""
    mine, moved = world / "mine.py", world / "moved.py"
    plain = grpo(world)
    for path in (mine, moved):
        path.write_text("orms['mine'] = 1\n")
    before, there = (grpo(world, rewards=dataclasses.replace(REWARDS, plugins=[str(path)])) for path in (mine, moved))
    assert before == there != plain
    mine.write_text("orms['mine'] = 2\n")
    assert grpo(world, rewards=dataclasses.replace(REWARDS, plugins=[str(mine)])) != before
    # The job itself runs no file of the user's: ms-swift does.
    assert grpo(world, rewards=dataclasses.replace(REWARDS, names=["mine"], plugins=[str(mine)])) != before


def test_a_file_that_an_option_names_counts_by_content(world):
    path = world / "zero.json"
    path.write_text(json.dumps({"stage": 2}))
    moved = world / "moved.json"
    moved.write_text(path.read_text())
    extra = {"fsdp_config": str(path), "nested": {"in": [str(path)]}}
    settings = LoraSettings(deepspeed=str(path), extra_args=extra)
    before = sft(world, training=settings)
    there = LoraSettings(deepspeed=str(moved), extra_args=extra)
    assert sft(world, training=there) == before, "where it lies changes nothing"
    path.write_text(json.dumps({"stage": 3}))
    assert sft(world, training=settings) != before
    assert sft(world, training=there) != before, "and so do the files of further options"


def test_a_number_is_the_same_however_it_is_written(world):
    assert json_digest({"a": [1, {"b": 2}]}) == json_digest({"a": [1.0, {"b": 2.0}]})
    assert json_digest([1]) != json_digest([True])
    assert sft(world, training=LoraSettings(learning_rate=1)) == sft(world, training=LoraSettings(learning_rate=1.0))
