"""Faults on one machine: damaged files, a full disk, hostile settings, and hard kills at random moments."""

import shutil

import pytest

from tests import chaos
from tests.faults import FullDisk, deterministic_files, differences
from tests.project import SECRET, checkout, files_with, tiny_config
from workflow_scripts.plumbing.files import read_jsonl

pytestmark = pytest.mark.slow


def test_files_that_were_cut_short_are_named_and_mended(edited, finished):
    """As an interrupted copy leaves them: the run stops at each with the remedy, and the remedy works."""
    damaged = ("banks/windows.parquet", "mutual_funds/predictions/ridge.csv",
               "mutual_funds/adapters/sft/adapter_model.safetensors")  # fmt: skip
    for name in damaged:
        path = edited.results(name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    result = edited.run(tiny_config())
    output = result.stdout + result.stderr
    assert result.returncode != 0
    for name in damaged:
        assert f"results/tiny/{name}: cut short or damaged" in output
        edited.results(name).unlink()
    assert "delete it and run the same command again" in output
    # Samples that stopped are deleted, and named here, because nothing that is out of date needs them.
    samples = [f"results/tiny/banks/samples/{split}.parquet" for split in ("sft", "grpo", "test")]
    again = edited.run(tiny_config(), "all", *samples)
    assert again.returncode == 0, again.stdout + again.stderr
    for firm_type in ("banks", "mutual_funds"):
        names = deterministic_files(finished.results(firm_type))
        assert differences(finished.results(firm_type), edited.results(firm_type), names) == []
    assert differences(finished.results("."), edited.results("."), list(damaged)) == []


def test_a_full_disk_loses_nothing(edited, finished):
    targets = ["results/tiny/banks/datasets/sft.jsonl", "results/tiny/banks/audit/sft.csv"]
    with FullDisk(edited.results("banks/datasets")) as disk:
        if not disk.is_mounted:
            pytest.skip("tmpfs cannot be mounted here: no full disk was tested")
        result = edited.run(tiny_config(), *targets)
        assert result.returncode != 0
        message = "datasets/sft.jsonl: No space left on device; make room, then run the same command again"
        assert message in result.stdout + result.stderr
        assert [path.name for path in edited.results("banks/datasets").iterdir()] == [".filler"]
        disk.make_room()
        assert edited.run(tiny_config(), *targets).returncode == 0
        names = ["datasets/sft.jsonl", "audit/sft.csv"]
        assert differences(finished.results("banks"), edited.results("banks"), names) == []


def test_settings_reach_programs_as_they_are(edited):
    """What a shell would run stays a text."""
    template = "$(touch pwned) `touch pwned`; touch pwned & 'a' \"b\" \\ {holding_change} | tee pwned > pwned"
    config = tiny_config(labels={"think_template": template})
    result = edited.run(config, "results/tiny/banks/datasets/sft.jsonl")
    assert result.returncode == 0, result.stdout + result.stderr
    text = read_jsonl(edited.results("banks/datasets/sft.jsonl"))[0]["messages"][-1]["content"]
    assert "$(touch pwned) `touch pwned`; touch pwned & 'a' \"b\" \\ " in text
    assert list(edited.root.rglob("pwned")) == []


def test_no_secret_of_the_environment_is_written(finished):
    assert finished.environment["HF_TOKEN"] == SECRET
    assert files_with(SECRET, finished.root) == []


def test_a_run_that_is_disturbed_at_random_ends_the_same(finished, tmp_path):
    """`make chaos` does fifty; one firm type, of which the files are those of the run with two."""
    project = checkout(tmp_path / "disturbed")
    # The model that all firm types share takes long to build and is no part of this.
    shutil.copytree(finished.results("demo_model"), project.results("demo_model"))
    made = chaos.disturb(project, kills=3, seed=1)
    assert sum(made.values()) == 3
    chaos.check(finished.results("."), project)
