"""The literal cluster command on a real SLURM: what runs where, and what faults leave behind.

Needs root on Debian; elsewhere the tests are skipped, and pytest's summary says why.
"""

import filecmp
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import SNAKEMAKE, Project, checkout, tiny_config
from tests.slurm import cluster
from workflow_scripts.holdings.files import read_json

GPU_RULES = {"train_sft", "merge_adapter", "train_grpo", "generate_completions"}
DETERMINISTIC = ("windows.parquet", "stock_quarters.parquet", "samples/sft.parquet", "datasets/sft.jsonl",
                 "datasets/grpo.jsonl", "audit/sft.csv")  # fmt: skip


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Path:
    if reason := cluster.why_not():
        pytest.skip(f"no real SLURM was tested: {reason}")
    folder = tmp_path_factory.mktemp("slurm")
    try:
        cluster.up(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        # No packages, no devices: the machine, not the project. TimeoutError is an OSError.
        cluster.down(folder)
        pytest.skip(f"no real SLURM was tested: {error}")
    yield folder
    cluster.down(folder)


def project_in(folder: Path) -> Project:
    """A checkout whose config/config.yaml a user has edited: the demo's sizes, one firm type."""
    project = checkout(folder)
    (folder / "config/config.yaml").write_text(yaml.safe_dump(tiny_config(firm_types=["banks"])))
    return project


def start(project: Project, *arguments: str) -> subprocess.Popen:
    command = [SNAKEMAKE, "--profile", "slurm", *arguments]
    with (project.root / "snakemake.log").open("a") as log:
        # A session of its own: signals of the tests reach Snakemake and not pytest.
        return subprocess.Popen(command, cwd=project.root, stdout=log, stderr=log, start_new_session=True)


def finish(project: Project, *arguments: str) -> None:
    status = start(project, *arguments).wait(timeout=1200)
    assert status == 0, (project.root / "snakemake.log").read_text()[-8000:]


def running(rule: str, known: set[str]) -> str:
    """The id of a new job of the rule once SLURM says that it runs."""
    for _ in range(1200):
        for job in cluster.jobs():
            if job["rule"] == rule and job["JobState"] == "RUNNING" and job["JobId"] not in known:
                return job["JobId"]
        time.sleep(0.25)
    raise TimeoutError(f"no job of {rule} was started")


@pytest.fixture(scope="module")
def finished(slurm, tmp_path_factory) -> Project:
    project = project_in(tmp_path_factory.mktemp("project"))
    finish(project, "all")
    return project


def test_the_whole_run_on_slurm(finished, slurm):
    assert finished.results("summary/report.html").is_file()
    jobs = cluster.jobs()
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    seen = cluster.devices(slurm)
    print("\njob  rule                  partition  CPUs  asked for   CUDA_VISIBLE_DEVICES  ran")
    for job in jobs:
        # SLURM names the field after the option that asked: per job, node or task.
        asked = "".join(value for name, value in job.items() if name.startswith("TresPer"))
        devices = ",".join(seen[job["JobId"]])
        print(f"{job['JobId']:>3}  {job['rule']:<20}  {job['Partition']:<9}  {job['NumCPUs']:>4}  {asked:<10}  "
              f"{devices:<20}  {job['RunTime']}")  # fmt: skip
        on_gpu = job["rule"] in GPU_RULES
        assert job["Partition"] == ("gpu" if on_gpu else "cpu"), job["rule"]
        assert ("gpu:1" in asked) == on_gpu, job["rule"]
        assert (seen[job["JobId"]] == {"none"}) != on_gpu, job["rule"]
    counts = {rule: sum(job["rule"] == rule for job in jobs) for rule in {job["rule"] for job in jobs}}
    # What reads a slice or a model is a job; seconds of work on small files run beside Snakemake.
    assert counts == {
        "simulate_panel": 1, "check_panel": 1, "build_windows": 1, "build_stock_quarters": 1, "sample_windows": 3,
        "build_demo_model": 1, "train_sft": 1, "merge_adapter": 1, "train_grpo": 1, "generate_completions": 3,
    }  # fmt: skip


def test_a_second_run_queues_nothing(finished):
    before = len(cluster.jobs())
    finish(finished, "all")
    assert len(cluster.jobs()) == before


def same_as(undisturbed: Project, project: Project) -> None:
    """The deterministic files are the same bytes, and the trainings have all their steps."""
    for name in DETERMINISTIC:
        a, b = (p.results(f"banks/{name}") for p in (undisturbed, project))
        assert filecmp.cmp(a, b, shallow=False), name
    for stage in ("sft", "grpo"):
        assert read_json(project.results(f"banks/adapters/{stage}/manifest.json"))["steps"] == 2
        assert len(list(project.results(f"store/banks/{stage}").glob("*/result"))) == 1, "one adapter"
    assert list(project.results(".").rglob("*.part")) == []


def test_a_cancelled_job_is_run_again_and_a_killed_snakemake_goes_on(finished, slurm, tmp_path):
    """scancel of a training; then kill -9 of Snakemake during the next job, --unlock, and the same command again."""
    project = project_in(tmp_path)
    known = {job["JobId"] for job in cluster.jobs()}
    process = start(project, "results/tiny/banks/adapters/grpo/manifest.json")
    training = running("train_sft", known)
    subprocess.run(["scancel", training], check=True)
    again = running("train_grpo", known)
    assert sum(j["rule"] == "train_sft" for j in cluster.jobs() if j["JobId"] not in known) == 2, (
        "retried by the profile"
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # SLURM does not know that nobody waits for this job any more.
    subprocess.run(["scancel", again], check=True)
    ends = time.monotonic() + 120
    while any(job["JobState"] in ("RUNNING", "COMPLETING", "PENDING") for job in cluster.jobs()):
        assert time.monotonic() < ends, cluster.jobs()
        time.sleep(0.5)
    locked = subprocess.run([SNAKEMAKE, "--profile", "slurm"], cwd=project.root, capture_output=True, text=True)
    assert "--unlock" in locked.stdout + locked.stderr
    subprocess.run([SNAKEMAKE, "--profile", "slurm", "--unlock"], cwd=project.root, check=True, capture_output=True)
    finish(project, "results/tiny/banks/adapters/grpo/manifest.json")
    same_as(finished, project)


def test_profile_rules_partitions_and_signals():
    profile = yaml.safe_load(Path(__file__).parents[2].joinpath("profiles/slurm/config.yaml").read_text())
    for rule in GPU_RULES:
        assert "SLURM_GPU_PARTITION" in profile["set-resources"][rule]["slurm_partition"]
    for rule in ("train_sft", "train_grpo"):
        assert "TERM@" in profile["set-resources"][rule]["slurm_extra"], "time to save a checkpoint"
