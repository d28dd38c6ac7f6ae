"""An adapter answers on the model that it was trained on, or not at all."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import write_json
from workflow_scripts.training.base_model import ModelSettings, base_identity, model_identity
from workflow_scripts.training.own_adapters import adapter_identity, check_adapter, without_other_files

LAYER = "model.layers.0.self_attn.q_proj"


def make_model(folder, inputs: int = 8, fill: float = 1.0) -> ModelSettings:
    folder.mkdir()
    save_file({f"{LAYER}.weight": np.full((6, inputs), fill)}, folder / "model.safetensors")
    return ModelSettings(str(folder))


def make_adapter(folder, base: str, inputs: int = 8, layer: str = LAYER):
    folder.mkdir()
    names = {
        f"base_model.model.{layer}.lora_{part}.weight": shape for part, shape in (("A", (2, inputs)), ("B", (6, 2)))
    }
    save_file({name: np.zeros(shape) for name, shape in names.items()}, folder / "adapter_model.safetensors")
    write_json(folder / "adapter_config.json", {"r": 2, "base_model_name_or_path": base})
    return folder


def test_the_stated_base_model_is_held_against_what_the_adapter_says(tmp_path):
    base, copy, other = (make_model(tmp_path / name, fill=fill) for name, fill in (("a", 1), ("b", 1), ("c", 2)))
    check_adapter(make_adapter(tmp_path / "on_folder", base.path), base)
    # The same content under another name is the same model; a hub's name can be that of a folder's model.
    check_adapter(tmp_path / "on_folder", copy)
    check_adapter(make_adapter(tmp_path / "on_hub", "Qwen/Qwen2.5-7B-Instruct"), base)
    check_adapter(make_adapter(tmp_path / "elsewhere", "/their/disk/model"), base)
    check_adapter(make_adapter(tmp_path / "below", "results/theirs/banks/merged/sft"), ModelSettings("org/name"))
    check_adapter(tmp_path / "on_hub", ModelSettings("Qwen/Qwen2.5-7B-Instruct"))
    for adapter, model in (("on_folder", other), ("on_hub", ModelSettings("meta/Llama"))):
        with pytest.raises(InputError, match=r"trained on another model than .* \(adapter_config.json names"):
            check_adapter(tmp_path / adapter, model)


def test_an_adapter_of_the_workflow_knows_its_model_by_content(tmp_path):
    """Its configuration names a path that may hold another model by now."""
    base, other = make_model(tmp_path / "a"), make_model(tmp_path / "b", fill=2)
    adapter = make_adapter(tmp_path / "adapter", other.path)
    write_json(adapter / "manifest.json", {"identity": {"model": model_identity(base.path)}, "start_model": "a"})
    check_adapter(adapter, base)
    with pytest.raises(InputError, match="its manifest names a"):
        check_adapter(adapter, other)


def test_the_revision_of_a_hub_model_is_part_of_it(tmp_path):
    """Weights of the same name from another commit are another model; the manifest knows which."""
    adapter = make_adapter(tmp_path / "adapter", "org/name")
    identity = {"model": "org/name", "options": {"model_revision": "abc123"}}
    write_json(adapter / "manifest.json", {"identity": identity, "start_model": "org/name"})
    check_adapter(adapter, ModelSettings("org/name", revision="abc123"))
    with pytest.raises(InputError, match="trained on revision abc123 of org/name, not on main; state it as revision"):
        check_adapter(adapter, ModelSettings("org/name"))
    assert base_identity(ModelSettings("org/name", revision="abc123")) == "org/name@abc123"
    assert base_identity(ModelSettings("org/name")) == "org/name"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": 16}, "1 of its matrices do not fit .*q_proj with 16 inputs, where the model has 8"),
        ({"layer": "model.layers.7.self_attn.q_proj"}, None),
    ],
)
def test_matrices_need_a_place_in_the_model(tmp_path, changes, message):
    """PEFT says nothing of weights that have no place: the answers would be those of the bare model."""
    base = make_model(tmp_path / "model")
    adapter = make_adapter(tmp_path / "adapter", "Qwen/Qwen2.5-7B-Instruct", **changes)
    if message is None:
        # Where no name is known at all, the model's files may name its modules otherwise.
        check_adapter(adapter, base)
        known = {f"base_model.model.{name}.lora_A.weight": np.zeros((2, 8)) for name in (LAYER, changes["layer"])}
        known["base_model.model.lm_head.lora_A.weight"] = np.zeros((2, 8))
        save_file(known, adapter / "adapter_model.safetensors")
        message = "1 of its matrices do not fit .*layers.7.self_attn.q_proj, which the model does not have"
    with pytest.raises(InputError, match=message):
        check_adapter(adapter, base)


def test_packed_weights_and_fused_experts_are_no_misfits(tmp_path):
    """Four-bit weights have another shape in their file, and experts another name: neither can be held against LoRA."""
    base = make_model(tmp_path / "model")
    weights = {f"{LAYER}.weight": np.zeros((24, 1), np.uint8), "model.layers.0.o_proj.weight": np.zeros((6, 8))}
    save_file(weights, tmp_path / "model/model.safetensors")
    check_adapter(make_adapter(tmp_path / "packed", "Qwen/Qwen2.5-7B-Instruct"), base)
    adapter = make_adapter(tmp_path / "experts", "Qwen/Qwen2.5-7B-Instruct")
    parts = {
        f"base_model.model.model.layers.0.{name}.lora_A.weight": np.zeros((2, 8)) for name in ("o_proj", "mlp.experts")
    }
    save_file(parts, adapter / "adapter_model.safetensors")
    check_adapter(adapter, base)


def test_an_adapter_that_is_not_whole_is_named(tmp_path):
    base = make_model(tmp_path / "model")
    adapter = make_adapter(tmp_path / "adapter", "")
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"adapter_model\.safetensors: cut short or damaged"):
        check_adapter(adapter, base)
    weights.unlink()
    with pytest.raises(
        InputError, match=r"adapter: adapter_model\.safetensors is not there; name the folder of a PEFT"
    ):
        check_adapter(adapter, base)


def test_ms_swift_sees_the_two_files_alone_and_only_they_count(tmp_path):
    """Beside a checkpoint lies an args.json that may name plugins."""
    adapter = make_adapter(tmp_path / "checkpoint-5", "m")
    before = adapter_identity(adapter)
    (adapter / "args.json").write_text(json.dumps({"external_plugins": ["evil.py"]}))
    assert adapter_identity(adapter) == before
    with without_other_files(str(adapter), tmp_path / "links") as seen:
        names = sorted(path.name for path in (tmp_path / "links").iterdir())
        assert (seen, names) == (str(tmp_path / "links"), ["adapter_config.json", "adapter_model.safetensors"])
        assert (tmp_path / "links/adapter_config.json").read_bytes() == (adapter / "adapter_config.json").read_bytes()
    assert not (tmp_path / "links").exists()
    with without_other_files(None, tmp_path / "links") as seen:
        assert seen is None
    write_json(adapter / "adapter_config.json", {"r": 4})
    assert adapter_identity(adapter) != before
