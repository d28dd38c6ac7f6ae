"""The store: fingerprints, whole checkpoints only, and publishing without training again."""

import argparse
import json
import os
import subprocess
import sys
import time
from unittest import mock

import pytest

from workflow_scripts import clean_store
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_json, read_jsonl, whole_file, write_jsonl
from workflow_scripts.training import store, trainer
from workflow_scripts.training.arguments import check_extra_args, check_model_names, known_names
from workflow_scripts.training.base_model import ModelSettings, model_options
from workflow_scripts.training.generation import engine_options, read_cache
from workflow_scripts.training.options import training_identity, training_options
from workflow_scripts.training.store import (
    alone_in,
    finish,
    is_finished,
    open_entry,
    publish,
    store_entries,
)
from workflow_scripts.training.trainer import launch, rows_dropped, training_log
from workflow_scripts.training.training_settings import OWN_SETTINGS, GrpoSettings, LoraSettings


def test_identities_have_separate_folders(tmp_path):
    a, b = (open_entry(tmp_path, {"seed": seed, "rank": 8}) for seed in (1, 2))
    assert a != b
    assert open_entry(tmp_path, {"rank": 8, "seed": 1}) == a
    assert read_json(a / "identity.json") == {"seed": 1, "rank": 8}


def test_finish_and_publish(tmp_path):
    entry = open_entry(tmp_path / "store", {"seed": 1})
    source = tmp_path / "weights"
    source.write_bytes(b"abc")
    assert not is_finished(entry)
    finish(entry, {"adapter_model.safetensors": source}, {"steps": 3})
    assert is_finished(entry)
    (entry / "result/.adapter_model.safetensors.12.part").write_text("left by a hard kill")
    publish(entry, tmp_path / "out")
    assert (tmp_path / "out/adapter_model.safetensors").read_bytes() == b"abc"
    assert read_json(tmp_path / "out/manifest.json")["steps"] == 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["adapter_model.safetensors", "manifest.json"]
    (entry / "result/adapter_model.safetensors").write_bytes(b"")
    assert not is_finished(entry), "a damaged result is made again, not published"


@pytest.mark.parametrize("step", [finish, publish])
def test_the_manifest_comes_last(tmp_path, monkeypatch, step):
    """Who is killed amid the files must not leave a manifest that calls them whole."""
    entry = open_entry(tmp_path / "store", {"seed": 1})
    files = {name: tmp_path / name for name in ("a", "z")}
    for path in files.values():
        path.write_text("weights")
    folder = entry / "result"
    if step is publish:
        finish(entry, files, {})
        folder = tmp_path / "out"
    copied, copy = [], store._copy

    def observed(source, target):
        assert not (folder / "manifest.json").exists()
        copied.append(target.name)
        copy(source, target)

    monkeypatch.setattr(store, "_copy", observed)
    step(*((entry, files, {}) if step is finish else (entry, folder)))
    assert copied[:2] == ["a", "z"]
    assert (folder / "manifest.json").is_file()


def test_a_finished_training_is_published_only_within_the_share_that_may_be_left_out(tmp_path):
    entry = open_entry(tmp_path / "store", {"seed": 1})
    (tmp_path / "weights").write_text("weights")
    finish(entry, {"adapter": tmp_path / "weights"}, {"rows_dropped_for_length": 30, "rows": 100})

    def train_again(share: float) -> str:
        settings = LoraSettings(max_dropped_share=share)
        training = trainer.Training("train_sft", "sft", {}, settings, ModelSettings("model"))
        return trainer.train(training, entry, tmp_path / "out", {})

    with pytest.raises(InputError, match="30 of 100 samples are longer than max_length"):
        train_again(0.05)
    assert not (tmp_path / "out").exists()
    assert "was trained before" in train_again(0.5)
    assert (tmp_path / "out/adapter").is_file()


def test_training_log_has_every_step_once(tmp_path):
    lines = [{"loss": 1.0, "global_step/max_steps": "1/3"}, {"loss": 0.9, "global_step/max_steps": "2/3"},
             {"loss": 0.8, "global_step/max_steps": "2/3"}, {"loss": 0.7, "global_step/max_steps": "3/3"},
             {"train_runtime": 5, "global_step/max_steps": "3/3"}]  # fmt: skip
    (tmp_path / "logging.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"loss": 0.')
    assert [line["loss"] for line in training_log(tmp_path)] == [1.0, 0.8, 0.7]


def test_completion_cache_survives_a_kill(tmp_path):
    path = tmp_path / "completions.jsonl"
    whole = '{"prompt": "a", "sample": 1, "completion": "x\u2028ä"}\n'.encode()
    path.write_bytes(whole + whole[:-4])
    assert read_cache(path) == {("a", 1): {"sample": 1, "completion": "x\u2028ä"}}, "cut amid a character"
    assert path.read_bytes() == whole
    path.write_bytes(bytes(20) + b"\n" + whole)
    assert len(read_cache(path)) == 1, "a dead node can leave zeros"


def test_files_are_whole_or_absent(tmp_path):
    def fail_half_way():
        with whole_file(tmp_path / "x.json") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_jsonl_errors_name_the_line(tmp_path):
    path = tmp_path / "x.jsonl"
    write_jsonl(path, [{"a": 1}, {"b": 2}])
    with pytest.raises(InputError, match="line 2 has no 'a'"):
        read_jsonl(path, ("a",))
    path.write_text('{"a": 1}\n{"a"\n')
    with pytest.raises(InputError, match="line 2 is not JSON"):
        read_jsonl(path)


def options(tmp_path, **changes):
    (tmp_path / "data.jsonl").write_text("{}\n")
    fixed = {"lr_scheduler_type": "cosine", "attn_impl": "", "deepspeed": "", "extra_args": {}}
    off = {"validation_share": 0, "validation_quarters": 0, "early_stopping": 0, "tracking": "none"}
    values = dict.fromkeys(LoraSettings.__dataclass_fields__, 1) | fixed | off | changes
    return training_options(ModelSettings("hub/name"), GrpoSettings(**values), tmp_path / "data.jsonl", 7)


def test_fingerprint_covers_every_option_that_matters(tmp_path):
    settings = LoraSettings()
    identity = training_identity(options(tmp_path), settings)
    for change in ({"save_steps": 99}, {"tracking": "wandb"}, {"log_completions": True}):
        assert training_identity(options(tmp_path, **change), settings) == identity, "it changes no result"
    for name, value in (("lora_rank", 2), ("beta", 0.5), ("rewards", ["mse_holdings"]), ("logging_steps", 9)):
        assert training_identity(options(tmp_path, **{name: value}), settings) != identity, name
    other = options(tmp_path) | {"weight_decay": 0.5}
    assert training_identity(other, settings) != identity, "an option that only code sets"
    changed = options(tmp_path)
    (tmp_path / "data.jsonl").write_text('{"a": 1}\n')
    assert training_identity(changed, settings) != identity, "other data under the same name"


def test_a_revision_belongs_to_hub_models_only(tmp_path):
    settings = ModelSettings("hub/name", revision="abc")
    assert model_options(settings)["model_revision"] == "abc"
    assert "model_revision" not in model_options(ModelSettings(str(tmp_path), revision="abc"))


def test_dropped_rows_are_counted(tmp_path):
    log = tmp_path / "trainer.log"
    log.write_text("[INFO:swift] Dataset Token Length: 9\n")
    assert rows_dropped(log, 800) is None
    lines = ["[INFO:swift] Dataset filtered, origin length: 800, filtered dataset length: 790\n"] * 2
    lines.append("[INFO:swift] Dataset filtered, origin length: 100, filtered dataset length: 50\n")
    log.write_text("".join(lines))
    assert rows_dropped(log, 800) == (10, 800), "a second process, and the samples that are held out, count for nothing"


def test_settings_of_ours_are_no_options_and_empty_ones_are_left_out(tmp_path):
    plain = options(tmp_path)
    assert not {*OWN_SETTINGS, "attn_impl", "deepspeed", "vllm_mode", "structured_outputs", "rewards"} & set(plain)
    more = options(tmp_path, attn_impl="sdpa", deepspeed="zero2", use_vllm=True, extra_args={"weight_decay": 0.1})
    added = {name: more[name] for name in set(more) - set(plain)}
    assert added == {
        "attn_impl": "sdpa", "deepspeed": "zero2", "vllm_mode": "colocate", "vllm_gpu_memory_utilization": 0.4,
        "sleep_level": 0, "offload_model": False, "offload_optimizer": False, "weight_decay": 0.1,
    }  # fmt: skip
    corrected = options(tmp_path, use_vllm=True, rollout_importance_sampling_mode="token_mask")
    assert corrected["rollout_importance_sampling_mode"] == "token_mask"
    one, two = LoraSettings(), LoraSettings(num_gpus=2)
    assert training_identity(more, one) != training_identity(plain, one)
    assert training_identity(plain, two) != training_identity(plain, one)


def test_several_gpus_are_started_by_torchs_launcher():
    assert launch("sft") == [sys.executable, "-m", "swift.cli.sft"]
    assert launch("rlhf", 4)[1:] == [
        "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=4", "-m", "swift.cli.rlhf"
    ]  # fmt: skip


def test_extra_arguments_are_checked_by_name():
    def settings(**extra):
        fixed = {"target_modules": "all-linear", "learning_rate": 1.0, "extra_args": extra}
        return LoraSettings(**fixed)

    known = {"weight_decay", "max_length", "dataset", "output_dir"}
    check_extra_args("sft", settings(weight_decay=0.1), known)
    for name, message in (
        ("weight_decy", "sft.extra_args: weight_decy is no option of ms-swift, did you mean weight_decay"),
        ("max_length", "max_length is set by sft.max_length"),
        ("dataset", "dataset is set by the workflow"),
        ("save_only_model", "save_only_model would take the checkpoints away"),
        ("output_dir", "output_dir is set by the workflow"),
        ("load_args", "load_args is set by the workflow"),
        ("teacher_model", "teacher_model names a model, or what it is loaded by, that nobody checks"),
        ("adapters", "adapters names a model"),
        ("external_plugins", "external_plugins names code that would run"),
        ("custom_register_path", "custom_register_path names code that would run"),
        ("model_kwargs", "model_kwargs sets environment variables"),
        ("val_dataset", "val_dataset names data beside the workflow's own"),
        ("early_stop_interval", "early_stop_interval belongs to the validation: set validation_share"),
    ):
        with pytest.raises(InputError, match=message):
            check_extra_args("sft", settings(**{name: 1}), known)


def entry(run_folder, name: str, **files: str):
    folder = run_folder / "store/banks/sft" / name
    folder.mkdir(parents=True)
    (folder / "identity.json").write_text("{}")
    for path, text in files.items():
        (folder / path).write_text(text)
    return folder


def test_states_of_the_store(tmp_path):
    published = entry(tmp_path, "aaaa")
    old, new, other = (entry(tmp_path, name) for name in ("bbbb", "cccc", "dddd"))
    (tmp_path / "source").write_text("weights")
    for folder in (published, other):
        finish(folder, {"adapter": tmp_path / "source"}, {"fingerprint": folder.name})
    publish(published, tmp_path / "banks/adapters/sft")
    for path in (new, *new.iterdir()):
        os.utime(path, (time.time() + 100,) * 2)
    for path in (old, *old.iterdir()):
        os.utime(path, (1, 1))
    states = {found.folder.name: found.state for found in store_entries(tmp_path)}
    assert states == {
        "aaaa": "published", "bbbb": "unfinished, older than what is published", "cccc": "unfinished, can be resumed",
        "dddd": "finished, another one is published",
    }  # fmt: skip
    with alone_in(new, "test"):
        assert {found.folder.name: found.state for found in store_entries(tmp_path)}["cccc"] == "running"
    (tmp_path / "banks/adapters/sft/manifest.json").unlink()
    states = {found.folder.name: found.state for found in store_entries(tmp_path)}
    assert set(states.values()) == {"finished, nothing published yet", "unfinished, can be resumed"}, (
        "all may be needed"
    )


def test_a_second_training_in_an_entry_waits(tmp_path):
    code = "import sys, time; from pathlib import Path; from workflow_scripts.training.store import alone_in\n"
    code += "with alone_in(Path(sys.argv[1]), 'first'):\n print('in', flush=True); time.sleep(1)\n"
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    started = time.monotonic()
    with alone_in(tmp_path, "second"):
        waited = time.monotonic() - started
    assert process.wait(10) == 0
    assert waited > 0.5


def test_the_trainer_keeps_the_lock_after_a_hard_kill_of_ours(tmp_path):
    """It may still be saving its checkpoint; who comes next must not write into the same folder."""
    entry, pipe = tmp_path / "entry", subprocess.PIPE
    with alone_in(entry, "train"):
        command = [sys.executable, "-c", "print('runs', flush=True); input()"]
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, close_fds=False, text=True)
    assert child.stdout.readline() == "runs\n"
    assert not store._is_free(entry)
    child.communicate("\n", timeout=60)
    assert store._is_free(entry)


def test_a_file_system_without_locks_trains_with_a_warning_and_deletes_nothing(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(store.fcntl, "flock", refuse)
    folder = entry(tmp_path, "aaaa")
    with alone_in(folder, "train"):
        pass
    assert "cannot be locked" in capsys.readouterr().out
    assert [found.state for found in store_entries(tmp_path)] == ["running"]
    (tmp_path / "source").write_text("weights")
    finish(folder, {"adapter": tmp_path / "source"}, {"fingerprint": folder.name})
    (folder / "checkpoints").mkdir()
    assert clean_store.main(argparse.Namespace(run_folder=tmp_path)) == "clean_store: 0.0 MB freed"
    assert (folder / "checkpoints").is_dir(), "nobody knows whether a training is using them"


def test_a_damaged_manifest_is_no_finished_result(tmp_path):
    folder = entry(tmp_path, "aaaa")
    (tmp_path / "source").write_text("weights")
    finish(folder, {"adapter": tmp_path / "source"}, {})
    assert is_finished(folder)
    manifest = folder / "result/manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert not is_finished(folder), "it is trained again, not read with an error for ever"


def test_leftovers_of_hard_kills_are_deleted_when_they_are_old(tmp_path):
    young, old, model = (tmp_path / "banks" / name for name in (".a.csv.1.part", ".b.csv.2.part", ".sft.part"))
    model.mkdir(parents=True)
    for path in (young, old, model / "model.safetensors"):
        path.write_text("half")
    for path in (old, model):
        os.utime(path, (1, 1))
    assert "deleted" in clean_store.main(argparse.Namespace(run_folder=tmp_path))
    assert list((tmp_path / "banks").iterdir()) == [young], "it may belong to a job that is running"


def test_names_of_ms_swift_are_asked_once_and_misspelt_ones_refused(tmp_path):
    with mock.patch.dict(os.environ):
        known = known_names(tmp_path)
    (memory,) = tmp_path.iterdir()
    written = json.loads(memory.read_text())
    assert written == known
    assert "beta" in known["grpo"]
    assert "beta" not in known["sft"]
    memory.write_text(json.dumps({**written, "template": ["remembered"]}))
    assert known_names(tmp_path)["template"] == ["remembered"]
    check_model_names(ModelSettings("x"), known)
    check_model_names(ModelSettings("x", model_type="", template=""), known)
    with pytest.raises(InputError, match=r"^model\.template: ms-swift has no qwen2_6, did you mean qwen2_5\?$"):
        check_model_names(ModelSettings("x", template="qwen2_6"), known)
    with pytest.raises(InputError, match=r"^model\.model_type: ms-swift has no zzz; an empty text"):
        check_model_names(ModelSettings("x", model_type="zzz"), known)


def test_the_users_log_level_does_not_hide_what_the_trainer_leaves_out(monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    assert trainer.swift_environment(ModelSettings("model"))["LOG_LEVEL"] == "INFO"
    assert trainer.swift_environment(ModelSettings("model"), LOG_LEVEL="WARNING")["LOG_LEVEL"] == "WARNING"


def test_on_the_cpu_no_option_and_no_variable_leaves_a_gpu(monkeypatch):
    """Weights, trainer and engine are told, and NVIDIA's and AMD's are hidden from what asks torch for a device."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for device, hidden, expected in (("cpu", "", ("cpu", True, "cpu")), ("auto", "0", (None, None, None))):
        model = ModelSettings("hub/name", device=device)
        options = training_options(model, LoraSettings(), "data.jsonl", 1)
        found = options.get("device_map"), options.get("use_cpu"), engine_options(model)["device_map"]
        assert (found, model_options(model).get("device_map")) == (expected, expected[0]), "the last one merges"
        assert trainer.swift_environment(model)["CUDA_VISIBLE_DEVICES"] == hidden


def test_a_user_without_progress_bars_can_validate(monkeypatch):
    """ms-swift writes through its bar after a validation, and ends with an AttributeError where there is none."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert trainer.swift_environment(ModelSettings("model"))["TQDM_DISABLE"] == ""
    assert trainer.swift_environment(ModelSettings("model"), TQDM_DISABLE="1")["TQDM_DISABLE"] == "1"
