"""The two locks go together: with and without vLLM the same trainers run, so that no training is another one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.training.store import TRAINER_PACKAGES

# Whatever a wheel for Linux may be called.
PLATFORMS = [*(f"manylinux_2_{number}_x86_64" for number in range(5, 40)), "manylinux2014_x86_64", "manylinux1_x86_64",
             "linux_x86_64", "any"]  # fmt: skip


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    found = dict(line.split("==") for line in lines)
    assert len(found) == len(lines)
    return {re.sub("[_.]", "-", package).lower(): version for package, version in found.items()}


def test_the_lock_with_vllm_differs_in_what_vllm_needs_alone():
    plain, more = pins("requirements.lock"), pins("requirements-gpu.lock")
    assert {name for name, version in plain.items() if more.get(name) != version} == {"fastapi"}
    assert more["vllm"] == "0.32.0"
    assert {name: more[name] for name in TRAINER_PACKAGES} == {name: plain[name] for name in TRAINER_PACKAGES}


def test_an_older_python_is_told_before_anything_is_fetched(tmp_path):
    if sys.version_info[:2] == (3, 13):
        pytest.skip("this is the Python that vLLM needs")
    command = ["make", "-C", str(ROOT), f"PYTHON={sys.executable}", f"VENV={tmp_path / 'venv'}", "install-gpu"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "the packages of vLLM go together on 3.13 alone" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_pip_finds_every_package_that_vllm_adds(tmp_path):
    """Wheels for Python 3.13 on Linux; pip installs nothing and needs an index."""
    plain = pins("requirements.lock")
    added = [f"{name}=={version}" for name, version in pins("requirements-gpu.lock").items() if name not in plain]
    options = ["--dry-run", "--no-deps", "--only-binary=:all:", "--python-version", "3.13", "--target", str(tmp_path)]
    options += [word for abi in ("cp313", "abi3", "none") for word in ("--abi", abi)]
    options += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "install", *options, *added]
    result = subprocess.run(command, capture_output=True, text=True)
    if "No matching distribution found for agent-detector" in result.stderr:
        pytest.skip("no package index can be reached")
    assert result.returncode == 0, result.stderr
    assert f"vllm-{pins('requirements-gpu.lock')['vllm']}" in result.stdout
    assert not Path(tmp_path / "vllm").exists()
