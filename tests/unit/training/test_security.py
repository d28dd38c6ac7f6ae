"""What models, data, names and settings bring neither runs as code, nor leaves the run, nor tells a secret."""

import ast
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file

from workflow_scripts.holdings.panel.importing import firm_types_of, recipe_columns
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.settings.reading import read_config
from workflow_scripts.training.base_model import ModelSettings, check_model


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
    ("name", "content"),
    [
        ("config.json", json.dumps({"auto_map": {"AutoModel": "modeling_x.XModel"}})),
        ("tokenizer_config.json", json.dumps({"auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}})),
        ("modeling_x.py", "print(1)"),
        ("custom_generate/generate.py", "print(1)"),
    ],
)
def test_a_model_with_code_is_refused_unless_it_is_trusted(model, name, content):
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text(content)
    with pytest.raises(InputError, match=r"brings code of its own \(.*set model.trust_remote_code to true"):
        check_model(ModelSettings(str(model)))
    check_model(ModelSettings(str(model), trust_remote_code=True))


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
    with pytest.raises(InputError, match=r"model-2.safetensors: cut short or damaged"):
        check_model(ModelSettings(str(model)))


def test_a_hub_model_is_looked_at_in_the_hubs_cache(model, tmp_path):
    """Offline, in the cache's own layout; a model that is not there ends with a remedy, not with a traceback."""
    repository = tmp_path / "home/hub/models--some--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    (repository / "snapshots").mkdir()
    model.rename(repository / "snapshots" / ("0" * 40))
    code = "from workflow_scripts.training.base_model import *; import sys; check_model(ModelSettings(sys.argv[1]))"

    def check(name: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
        arguments = [sys.executable, "-c", code, name]
        return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert check("some/model").returncode == 0
    (repository / "snapshots" / ("0" * 40) / "generate.py").write_text("print(1)")
    assert "brings code of its own (generate.py)" in check("some/model").stderr
    for name in ("other/model", "/shared/models/missing"):
        assert (
            "InputError: model.path: " + name + " is neither a folder nor to be had from the hub" in check(name).stderr
        )


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
