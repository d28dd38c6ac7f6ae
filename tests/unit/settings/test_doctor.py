"""The doctor: each check in each of its states, and that a machine on which little works gets no traceback."""

import importlib.metadata
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from tests.conftest import make_panel, make_run
from tests.project import tiny_config
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.settings import doctor
from workflow_scripts.settings.doctor import FAIL, OK, WARN, Finding
from workflow_scripts.settings.reading import read_config
from workflow_scripts.training import hardware

HUB = {"path": "org/nowhere", "torch_dtype": "bfloat16", "device": "auto"}


def state(findings) -> list[str]:
    found = list(findings)
    # The workflow's own messages end with theirs.
    assert all(one.remedy or "; " in one.found for one in found if one.state != OK), "what is not ok has a remedy"
    return [one.state for one in found]


def test_pythons_that_the_lock_is_for():
    states = {version: state(doctor.check_python(version)) for version in ((3, 10), (3, 11), (3, 13), (3, 14))}
    assert states == {(3, 10): [FAIL], (3, 11): [OK], (3, 13): [OK], (3, 14): [FAIL]}


def test_packages_against_the_lock(tmp_path):
    assert state(doctor.check_packages(tmp_path)) == [WARN], "no lock"
    lock = tmp_path / "requirements.lock"
    pinned = f"torch=={importlib.metadata.version('torch').partition('+')[0]}\n"
    lock.write_text(pinned)
    assert state(doctor.check_packages(tmp_path)) == [OK], "a local build of the version, such as +cpu"
    lock.write_text(pinned + "no-such-package==1.0\npyarrow==0.1\n")
    missing, other = doctor.check_packages(tmp_path)
    assert (missing.state, other.state) == (FAIL, WARN)
    assert "no-such-package" in missing.found
    assert "pyarrow" in other.found
    assert "not 0.1" in other.found


@pytest.fixture
def machine(monkeypatch):
    """A machine of which the test says what it has."""

    def build(cuda: bool = False, mps: bool = False, gpus: tuple[str, ...] = (), commands: tuple[str, ...] = ()):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gpus))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: gpus[number])
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(hardware, "hardware", lambda: {"gpus": list(gpus)})
        monkeypatch.setattr(shutil, "which", lambda name: name if name in commands else None)

    return build


@pytest.mark.parametrize(
    ("has", "model", "expected"),
    [
        ({}, {}, OK),
        ({"cuda": True, "gpus": ("H100",)}, HUB, OK),
        ({"gpus": ("H100",)}, HUB, FAIL),
        ({"mps": True}, HUB, WARN),
        ({}, HUB, FAIL),
        ({"commands": ("sbatch",)}, HUB, WARN),
        ({}, HUB | {"torch_dtype": "float32"}, OK),
    ],
    ids=["cpu", "cuda", "torch without cuda", "mps", "none", "login node", "float32"],
)
def test_the_gpu_against_what_the_model_needs(machine, has, model, expected):
    machine(**has)
    assert state(doctor.check_gpu(read_config(tiny_config(model=model)))) == [expected]


def test_vllm_is_told_where_it_is_used(monkeypatch):
    config = read_config(tiny_config(model={"device": "auto"}))
    assert next(doctor.check_vllm(config)).found.startswith("not used")
    monkeypatch.setattr("workflow_scripts.settings.checks.importlib.util.find_spec", lambda package: package)
    monkeypatch.setattr(doctor, "_installed", lambda package: "0.32.0")
    config = read_config(tiny_config(model={"device": "auto"}, generation={"backend": "vllm"}))
    assert next(doctor.check_vllm(config)) == Finding(OK, "vLLM", "0.32.0, used by generation.backend")


@pytest.mark.parametrize(
    ("answer", "expected"), [("cpu\ngpu\n", OK), ("main\n", WARN), (None, WARN)], ids=["there", "other names", "down"]
)
def test_the_partitions_of_the_cluster(machine, monkeypatch, answer, expected):
    for name in ("SLURM_CPU_PARTITION", "SLURM_GPU_PARTITION"):
        monkeypatch.delenv(name, raising=False)
    machine(commands=("sbatch",))
    result = subprocess.CompletedProcess([], answer is None, answer or "", "sinfo: no answer")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: result)
    config = read_config(tiny_config())
    assert state(doctor.check_slurm(config)) == [expected]
    machine()
    assert state(doctor.check_slurm(config)) == [OK], "no SLURM, and no need of one"


def test_the_disk_has_room_for_a_merged_model_of_each_type(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.truncate(15 * 10**9)  # a hole, no bytes on the disk
    monkeypatch.setattr("workflow_scripts.settings.checks.model_files", lambda folder: [])
    own, demo = (read_config(tiny_config(model={"path": path})) for path in (str(tmp_path), "demo"))
    usage = namedtuple("usage", "free")
    for free, config, expected in ((40e9, own, OK), (20e9, own, FAIL), (20e9, demo, OK), (1e9, demo, FAIL)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: usage(free))
        assert state(doctor.check_disk(config)) == [expected], (free, config.model.path)


def test_a_model_that_is_not_here(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert state(doctor.check_model(read_config(tiny_config()))) == [OK]
    assert state(doctor.check_model(read_config(tiny_config(model=HUB)))) == [WARN], "the run would fetch it"
    monkeypatch.setattr("workflow_scripts.settings.checks.model_files", lambda folder: [])
    broken = read_config(tiny_config(model={"path": str(tmp_path)}))
    assert state(doctor.check_model(broken)) == [FAIL], "a folder without weights"


def test_a_panel_that_is_there_that_is_not_and_that_lacks_a_column(tmp_path):
    assert state(doctor.check_panel(read_config(tiny_config()))) == [OK]
    config = read_config(tiny_config(panel=str(tmp_path), firm_types=["banks"]))
    assert state(doctor.check_panel(config)) == [FAIL]
    panel = make_panel(make_run(1, 7, [1.0, 2, 3, 4, 5]))
    pq.write_table(panel, tmp_path / "banks.parquet")
    assert state(doctor.check_panel(config)) == [OK]
    pq.write_table(panel.drop_columns(["prc"]), tmp_path / "banks.parquet")
    (finding,) = doctor.guarded("panel", lambda: doctor.check_panel(config))
    assert finding.state == FAIL
    assert "prc" in finding.found


def examined(*arguments: str | Path, **changes) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "workflow_scripts.settings.doctor", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **changes)


def test_the_whole_of_it_for_the_demo():
    result = examined()
    whats = [line.split()[1] for line in result.stdout.splitlines()]
    assert list(dict.fromkeys(whats)) == [
        "Python",
        "packages",
        "settings",
        "GPU",
        "vLLM",
        "SLURM",
        "disk",
        "model",
        "panel",
    ]
    assert result.returncode == ("fail" in {line.split()[0] for line in result.stdout.splitlines()})
    assert result.stderr == ""


def test_settings_that_cannot_be_read_are_a_line_and_later_files_stand_over_earlier_ones(tmp_path):
    wrong, over = tmp_path / "wrong.yaml", tmp_path / "over.yaml"
    wrong.write_text("sft: {lora_rnk: 8}\n")
    result = examined("--configfile", "config/demo.yaml", wrong)
    assert result.returncode == 1
    assert "fail  settings  sft.lora_rnk is no setting; did you mean sft.lora_rank?" in result.stdout
    assert "fail  settings" in examined("--configfile", tmp_path / "none.yaml").stdout
    over.write_text(yaml.safe_dump({"sft": {"lora_rank": 4}}))
    config = doctor.settings_of_files([str(ROOT / "config/demo.yaml"), str(over)])
    assert (config.sft.lora_rank, config.sft.learning_rate, config.run) == (4, 2e-3, "demo")


def test_a_python_without_any_package_gets_lines(tmp_path):
    """As before `make install`: -S leaves out all installed packages."""
    command = [sys.executable, "-S", "-m", "workflow_scripts.settings.doctor"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "fail  packages" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("-> make install")


def test_make_doctor_makes_no_environment(tmp_path):
    """Who asks what is missing must not start a download of gigabytes."""
    command = ["make", "--no-print-directory", "doctor", f"PYTHON={sys.executable}", f"VENV={tmp_path / 'venv'}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.startswith("ok    Python"), result.stderr
    assert list(tmp_path.iterdir()) == []
