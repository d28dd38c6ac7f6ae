"""`model.device: cpu` is kept by the real ms-swift on a machine that has an accelerator."""

import json
import subprocess
import sys

import pytest

from tests.project import tiny_config
from workflow_scripts.settings.config import DEMO
from workflow_scripts.settings.reading import read_config
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.trainer import swift_environment

# torch says that it has Apple's GPU, which no variable can hide. Nothing can be put on it here.
ON_A_MAC = """
import dataclasses, json, sys
import torch
torch.backends.mps.is_available = torch.backends.mps.is_built = lambda: True
from swift.arguments import SftArguments
from swift.utils import parse_args
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.generation import GenerationSettings, build_engine
from workflow_scripts.training.options import command_line, training_options
from workflow_scripts.training.training_settings import LoraSettings

model, dataset, out = json.load(sys.stdin)
model = ModelSettings(**model)
options = training_options(model, LoraSettings(), dataset, 1) | {"output_dir": out}
args = parse_args(SftArguments, command_line(options))[0]
told = {"weights": args.get_model_kwargs()["device_map"], "trainer": str(args.training_args.device)}
if model.device == "cpu":
    told["engine"] = str(build_engine(model, None, GenerationSettings()).model.device)
print("TOLD" + json.dumps(told))
"""


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", {"weights": "cpu", "trainer": "cpu", "engine": "cpu"}),
        # ms-swift then asks torch, which has one.
        ("auto", {"weights": None, "trainer": "mps"}),
    ],
)
def test_a_mac_trains_and_generates_on_the_cpu_where_the_config_says_so(finished, tmp_path, device, expected):
    model = ModelSettings(str(finished.results("demo_model")), device=device, torch_dtype="float32")
    content = [vars(model), str(finished.results("banks/datasets/sft.jsonl")), str(tmp_path)]
    result = subprocess.run(
        [sys.executable, "-c", ON_A_MAC],
        input=json.dumps(content),
        capture_output=True,
        text=True,
        cwd=finished.root,
        env=swift_environment(model),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert json.loads(result.stdout.split("TOLD")[1]) == expected


def test_the_demo_runs_on_the_cpu():
    config = read_config(tiny_config())
    assert (config.model.path, config.model.device) == (DEMO, "cpu")
