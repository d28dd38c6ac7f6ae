"""How jobs ask a cluster for GPUs, up to the options of sbatch."""

import os
import re
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm.utils import set_gres_string

from tests.forks import snakemake_in_a_fork
from workflow_scripts.plumbing.code_digest import ROOT


@pytest.mark.parametrize(
    ("request_by", "train", "generate"),
    [
        ("gpus", " --gpus=a100:2", " --gpus=a100:1"),
        ("gres", " --gres=gpu:a100:2", " --gres=gpu:a100:1"),
        ("gpus-per-node", "", ""),
    ],
)
def test_a_cluster_that_refuses_gpus_is_asked_in_its_own_way(tmp_path, request_by, train, generate):
    """The plan with the profile's block edited, and what SLURM's plugin makes of its resources; 2 GPUs for GRPO."""
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    assert "gpu_request: gpus #" in text
    text = text.replace("gpu_request: gpus #", f"gpu_request: {request_by} #")
    (tmp_path / "config.yaml").write_text(text)
    environment = os.environ | {"SLURM_GPU_MODEL": "a100", "SLURM_GPU_CONSTRAINT": "big"}
    command = [
        "results/demo/banks/completions/grpo.jsonl",
        "-n",
        "--profile",
        str(tmp_path),
        "--configfile",
        str(ROOT / "config/demo.yaml"),
    ]
    command += [
        "--directory",
        str(tmp_path),
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--config",
        'grpo={"num_gpus": 2}',
    ]
    result = snakemake_in_a_fork(ROOT, environment, command)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    for rule, asked, number in (("train_grpo", train, 2), ("generate_completions", generate, 1)):
        (line, *_) = re.findall(rf"^rule {rule}:\n(?:    .*\n)*?    resources: (.*)$", output, re.MULTILINE)
        words = dict(word.split("=", 1) for word in line.split(", "))
        assert words["constraint"] == "big"
        job = SimpleNamespace(resources=Words(words))
        assert set_gres_string(job) == asked
        signal = "--signal=TERM@300" if rule == "train_grpo" or request_by == "gpus-per-node" else ""
        if request_by == "gpus-per-node":
            signal += f" --gpus-per-node=a100:{number}"
        assert words.get("slurm_extra", "") == signal
        assert words["gpu" if request_by == "gpus" else "gpus_held"] == str(number), "it counts against gpus_at_once"


class Words(dict):
    """Resources as the plugin reads them."""

    def __getattr__(self, name: str) -> str:
        return self[name]
