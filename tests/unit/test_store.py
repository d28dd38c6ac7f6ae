"""The store: fingerprints, whole checkpoints only, and publishing without training again."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from workflow_scripts.generate_completions import read_cache
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.files import folder_digest, read_json, read_jsonl, whole_file, write_jsonl
from workflow_scripts.store import finish, is_finished, newest_checkpoint, open_entry, publish
from workflow_scripts.trainer import (
    GrpoSettings,
    LoraSettings,
    ModelSettings,
    model_options,
    rows_dropped,
    training_identity,
    training_log,
    training_options,
)


def checkpoint(folder, step: int):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_file({"w": np.ones((4, 4), np.float32)}, path / "adapter_model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "adapter_config.json"):
        (path / name).write_text("{}")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": 30}))
    return path


def test_newest_whole_checkpoint_is_chosen(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    oldest, middle, newest = (checkpoint(tmp_path, step) for step in (5, 10, 20))
    assert newest_checkpoint(tmp_path) == newest
    weights = newest / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    assert newest_checkpoint(tmp_path) == middle, "truncated weights are skipped"
    (middle / "trainer_state.json").write_text('{"global_step": 1')
    assert newest_checkpoint(tmp_path) == oldest, "a half-written state is skipped"
    (oldest / "optimizer.pt").unlink()
    assert newest_checkpoint(tmp_path) is None


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
    publish(entry, tmp_path / "out")
    assert (tmp_path / "out/adapter_model.safetensors").read_bytes() == b"abc"
    assert read_json(tmp_path / "out/manifest.json")["steps"] == 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["adapter_model.safetensors", "manifest.json"]
    (entry / "result/adapter_model.safetensors").write_bytes(b"")
    assert not is_finished(entry), "a damaged result is made again, not published"


def test_training_log_has_every_step_once(tmp_path):
    lines = [{"loss": 1.0, "global_step/max_steps": "1/3"}, {"loss": 0.9, "global_step/max_steps": "2/3"},
             {"loss": 0.8, "global_step/max_steps": "2/3"}, {"loss": 0.7, "global_step/max_steps": "3/3"},
             {"train_runtime": 5, "global_step/max_steps": "3/3"}]  # fmt: skip
    (tmp_path / "logging.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"loss": 0.')
    assert [line["loss"] for line in training_log(tmp_path)] == [1.0, 0.8, 0.7]


def test_completion_cache_survives_a_kill(tmp_path):
    path = tmp_path / "completions.jsonl"
    path.write_text('{"prompt": "a", "completion": "x\u2028y"}\n{"prompt": "b", "comple')
    assert read_cache(path) == {"a": {"completion": "x\u2028y"}}
    assert path.read_text().endswith("\n")


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


def test_folder_digest_sees_names_and_bytes(tmp_path):
    (tmp_path / "a").write_text("1")
    one = folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_digest(tmp_path) != one


def options(tmp_path, **changes):
    (tmp_path / "data.jsonl").write_text("{}\n")
    values = dict.fromkeys(LoraSettings.__dataclass_fields__, 1) | {"lr_scheduler_type": "cosine"} | changes
    return training_options(ModelSettings("hub/name"), GrpoSettings(**values), tmp_path / "data.jsonl", 7)


def test_fingerprint_covers_every_option_that_matters(tmp_path):
    identity = training_identity(options(tmp_path))
    assert training_identity(options(tmp_path, save_steps=99)) == identity, "checkpoints change no result"
    for name, value in (("lora_rank", 2), ("beta", 0.5), ("rewards", ["mse_holdings"]), ("logging_steps", 9)):
        assert training_identity(options(tmp_path, **{name: value})) != identity, name
    assert training_identity(options(tmp_path) | {"weight_decay": 0.5}) != identity, "an option that only code sets"
    changed = options(tmp_path)
    (tmp_path / "data.jsonl").write_text('{"a": 1}\n')
    assert training_identity(changed) != identity, "other data under the same name"


def test_a_revision_belongs_to_hub_models_only(tmp_path):
    settings = ModelSettings("hub/name", revision="abc")
    assert model_options(settings)["model_revision"] == "abc"
    assert "model_revision" not in model_options(ModelSettings(str(tmp_path), revision="abc"))


def test_dropped_rows_are_counted(tmp_path):
    log = tmp_path / "trainer.log"
    log.write_text("[INFO:swift] Dataset Token Length: 9\n")
    assert rows_dropped(log) == 0
    log.write_text("[INFO:swift] Dataset filtered, origin length: 800, filtered dataset length: 790\n" * 2)
    assert rows_dropped(log) == 10
