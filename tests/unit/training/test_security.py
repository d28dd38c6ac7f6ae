"""What models, data, names and settings bring neither runs as code, nor leaves the run, nor tells a secret."""

import argparse
import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file

from workflow_scripts import merge_adapter
from workflow_scripts.holdings.panel.importing import firm_types_of, recipe_columns
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.settings.reading import read_config
from workflow_scripts.training import base_model
from workflow_scripts.training.base_model import (
    ModelSettings,
    base_identity,
    check_model,
    model_identity,
    without_foreign_files,
)


def demo(**changes) -> dict:
    return yaml.safe_load((ROOT / "config/demo.yaml").read_text()) | changes


@pytest.fixture
def model(tmp_path):
    """A folder as the hub has them: configuration, tokenizer, safetensors."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer_config.json", "vocab.json"):
        (folder / name).write_text("{}")
    save_file({"w": np.ones(4)}, folder / "model.safetensors")
    return folder


def test_a_plain_model_is_accepted(model):
    check_model(ModelSettings(str(model)))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("config.json", {"auto_map": {"AutoModel": "modeling_x.XModel"}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}}, "auto_map"),
        ("config.json", {"text_config": {"auto_map": {"AutoModel": "other/repository--x.X"}}}, "auto_map"),
        ("config.json", {"attn_implementation": "owner/kernels"}, "attn_implementation"),
    ],
)
def test_a_model_with_code_is_refused_unless_it_is_trusted(model, name, content, found):
    (model / name).write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"brings code of its own \({found} in {name}\).*set model.trust_remote_code"):
        check_model(ModelSettings(str(model)))
    check_model(ModelSettings(str(model), trust_remote_code=True))


def add_foreign_files(model: Path) -> None:
    """What a model folder can bring that runs as code, or is read as options, though no configuration names it."""
    (model / "args.json").write_text(json.dumps({"external_plugins": [str(model / "plugin.pyc")]}))
    for name in (
        "plugin.pyc",
        "modeling_x.py",
        "native.so",
        "pytorch_model.bin",
        "adapter_config.json",
        "x.safetensors",
    ):
        (model / name).write_text("")
    elsewhere = model.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "generate.py").write_text("")
    (model / "custom_generate").symlink_to(elsewhere)
    (model / "README.md").symlink_to(elsewhere / "generate.py")


def test_ms_swift_sees_the_files_of_a_model_and_no_others(model, tmp_path):
    add_foreign_files(model)
    links = tmp_path / "links"
    with without_foreign_files(ModelSettings(str(model)), links) as seen:
        check_model(seen)
        shown = Path(seen.path)
        assert shown.name == "model", "ms-swift guesses a model's type by its name"
        assert {path.name for path in shown.iterdir()} == {
            "config.json", "tokenizer_config.json", "vocab.json", "model.safetensors"
        }  # fmt: skip
        assert all(path.is_symlink() for path in shown.iterdir()), "gigabytes are not copied"
    assert not links.exists()
    trusted = ModelSettings(str(model), trust_remote_code=True)
    with without_foreign_files(trusted, links) as seen:
        assert seen == trusted


def test_where_links_are_impossible_files_are_copied(model, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "symlink_to", lambda *_: (_ for _ in ()).throw(OSError(38, "not implemented")))
    with without_foreign_files(ModelSettings(str(model)), tmp_path / "links") as seen:
        assert (Path(seen.path) / "vocab.json").read_text() == "{}"


def test_a_folder_of_the_hubs_cache_keeps_the_models_name(model, tmp_path):
    folder = tmp_path / "models--Qwen--Qwen2.5-7B/snapshots" / ("0" * 40)
    folder.parent.mkdir(parents=True)
    model.rename(folder)
    with without_foreign_files(ModelSettings(str(folder)), tmp_path / "links") as seen:
        assert Path(seen.path).name == "Qwen2.5-7B"


def test_the_export_neither_sees_nor_reads_the_options_of_a_model_folder(model, tmp_path, monkeypatch):
    """`swift export` imports the plugins that args.json beside a model or an adapter names, unless told not to."""
    add_foreign_files(model)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    save_file({"w": np.ones(4)}, adapter / "adapter_model.safetensors")
    calls = []

    def export(launcher, options, log, environment, label):
        calls.append(options | {"files": {path.name for path in Path(options["model"]).iterdir()}})
        Path(options["output_dir"]).mkdir()

    monkeypatch.setattr(merge_adapter, "run_swift", export)
    merge_adapter.main(
        argparse.Namespace(
            settings=ModelSettings(str(model)),
            adapter=adapter,
            out=tmp_path / "merged/sft",
            export_log="log",
            firm_type="",
            stage="sft",
        )
    )
    (options,) = calls
    assert base_identity(ModelSettings(str(tmp_path / "merged/sft"))) == model_identity(str(model)), (
        "whence it comes is written down"
    )
    assert options["load_args"] is False
    assert "args.json" not in options["files"]
    assert sorted(path.name for path in (tmp_path / "merged").iterdir() if path.name != ".lock") == ["sft"]


@pytest.mark.parametrize("where", ["chat_template.jinja", "chat_template.json", "tokenizer_config.json", "by name"])
def test_a_chat_template_that_loops_is_refused_in_time(model, monkeypatch, where):
    monkeypatch.setattr(base_model, "TEMPLATE_SECONDS", 1)
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
    if where == "chat_template.jinja":
        (model / where).write_text(loop)
    elif where == "by name":
        named = {"chat_template": [{"name": "default", "template": loop}]}
        (model / "tokenizer_config.json").write_text(json.dumps(named))
    else:
        (model / where).write_text(json.dumps({"chat_template": loop}))
    started = time.monotonic()
    with pytest.raises(InputError, match="its chat template takes more than 1 s for one short prompt"):
        check_model(ModelSettings(str(model)))
    assert time.monotonic() - started < 60


def test_a_chat_template_that_cannot_be_rendered_says_why(model):
    for template, reason in (
        ("{% for i in range(10**9) %}x{% endfor %}", "Range too big"),
        ("{{ raise_exception('no system role') }}", "no system role"),
        ("{% if %}", "Expected an expression"),
        ("{{ messages[0].role * 10**10 }}", "MemoryError"),
    ):
        (model / "chat_template.jinja").write_text(template)
        with pytest.raises(InputError, match=rf"cannot be used for a system and a user message \(.*{reason}"):
            check_model(ModelSettings(str(model)))
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}{% endfor %}")
    check_model(ModelSettings(str(model)))


@pytest.mark.parametrize("names", [["../model.safetensors"], ["pytorch_model.bin"], [], ["/tmp/x.safetensors"]])
def test_an_index_names_safetensors_beside_it(model, names):
    index = {"weight_map": {str(number): name for number, name in enumerate(names)}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="it must name safetensors that lie beside it"):
        check_model(ModelSettings(str(model)))


def test_a_model_is_its_weights_configuration_and_tokenizer(model):
    before = model_identity(str(model))
    (model / "README.md").write_text("words")
    (model / ".cache/huggingface").mkdir(parents=True)
    (model / ".cache/huggingface/config.json.metadata").write_text("1")
    (model / "config.json").touch()
    assert model_identity(str(model)) == before
    for name in (
        "config.json",
        "vocab.json",
        "tokenizer.json",
        "generation_config.json",
        "chat_template.jinja",
        "x.py",
    ):
        (model / name).write_text('{"a": 1}')
        assert model_identity(str(model)) != before, name
        before = model_identity(str(model))


def test_weights_that_were_swapped_in_place_are_another_model(model):
    """The same size, an older time of modification: what `cp -p` and `rsync -t` leave."""
    before = model_identity(str(model))
    save_file({"w": np.zeros(4)}, model / "other")
    os.utime(model / "other", (1, 1))
    os.replace(model / "other", model / "model.safetensors")
    assert model_identity(str(model)) != before


def test_weights_in_pickles_are_refused(model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    save_file({"w": np.ones(4)}, model / "adapter_model.safetensors")
    for trusted in (False, True):
        with pytest.raises(InputError, match=r"holds no model.safetensors; convert its weights"):
            check_model(ModelSettings(str(model), trust_remote_code=trusted))


def test_weights_that_were_cut_short_are_refused(model):
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model.safetensors: cut short"):
        check_model(ModelSettings(str(model)))


def test_a_part_of_the_weights_that_is_missing_is_named(model):
    index = {"weight_map": {"w": "model.safetensors", "v": "model-2.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"index.json names model-2.safetensors, which is not there"):
        check_model(ModelSettings(str(model)))


def test_a_hub_model_is_looked_at_in_the_hubs_cache(model, tmp_path):
    """Offline, in the cache's own layout; a model that is not there ends with a remedy, not with a traceback."""
    add_foreign_files(model)
    repository = tmp_path / "home/hub/models--some--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    (repository / "snapshots").mkdir()
    model.rename(repository / "snapshots" / ("0" * 40))
    code = """
import os, sys; from pathlib import Path; from workflow_scripts.training.base_model import *
check_model(ModelSettings(sys.argv[1]))
with without_foreign_files(ModelSettings(sys.argv[1]), Path(sys.argv[2])) as seen:
    print(Path(seen.path).name, seen.revision, *sorted(os.listdir(seen.path)))
"""

    def check(name: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
        arguments = [sys.executable, "-c", code, name, str(tmp_path / "links")]
        return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True)

    seen = check("some/model").stdout.split()
    assert seen == ["model", "config.json", "model.safetensors", "tokenizer_config.json", "vocab.json"]
    configuration = repository / "snapshots" / ("0" * 40) / "config.json"
    configuration.write_text('{"auto_map": {}}')
    assert "brings code of its own (auto_map in config.json)" in check("some/model").stderr
    for name in ("other/model", "/shared/models/missing"):
        assert "InputError: model.path: " + name + " is neither a folder nor available on the hub" in check(name).stderr


def test_nothing_is_unpickled():
    """No pickle, joblib, torch.load, eval or exec in the project; arrays are read from parquet, CSV and JSON."""
    modules = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
    calls = {"eval", "exec", "read_pickle", "to_pickle", "__import__"}
    for path in (ROOT / "workflow_scripts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
            assert not modules & set(names), path
            if isinstance(node, ast.Call):
                function = node.func
                name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
                owner = getattr(getattr(function, "value", None), "id", "")
                # model.eval() switches dropout off; formulas of an import are checked by the test below.
                formula = path.name == "importing.py" and name == "eval" and not isinstance(function, ast.Name)
                assert name not in calls or owner == "model" or formula, (path, node.lineno)
                assert (owner, name) not in {("torch", "load"), ("yaml", "load"), ("yaml", "unsafe_load")}, path
                assert all(keyword.arg != "allow_pickle" for keyword in node.keywords), path


@pytest.mark.parametrize(
    "formula", ["prc.__class__", "@x", "prc.pipe(print)", "__import__('os')", "[prc]", "open('x')", "prc if prc else 1"]
)
def test_formulas_of_an_import_are_arithmetic(formula):
    assert recipe_columns("log(me) / prc", ["me", "prc"]) == {"me", "prc"}
    with pytest.raises(InputError):
        recipe_columns(formula, ["me", "prc"])


@pytest.mark.parametrize(
    "name", ["..", ".", "../x", "a/b", "/tmp/x", "a b", "$(id)", "a;b", "", "x\n", "-n", "a/../../b"]
)
def test_names_of_runs_stay_below_results(name):
    read_config(demo())
    for config in (demo(run=name), demo(evaluation={"seed_runs": [name]})):
        with pytest.raises(InputError, match="is no name of a folder"):
            read_config(config)


def test_firm_types_of_the_data_are_ours_or_none():
    """An imported file names its types itself; the slices' file names come from this list alone."""
    with pytest.raises(InputError, match=r"unknown firm types '\.\./\.\./etc/passwd'"):
        firm_types_of(pd.Series(["banks", "../../etc/passwd"]), {})
    with pytest.raises(InputError, match="firm_types"):
        read_config(demo(firm_types=["../banks"]))


@pytest.mark.parametrize("name", ["hub_token", "swanlab_token", "api_key", "password"])
def test_a_token_is_no_setting(name):
    config = demo()
    config["sft"] = {**config["sft"], "extra_args": {name: "hf_abc"}}
    with pytest.raises(InputError, match="put a token into the environment") as error:
        read_config(config)
    assert "hf_abc" not in str(error.value)
    config["sft"]["extra_args"] = {"max_new_tokens": 5}
    read_config(config)
