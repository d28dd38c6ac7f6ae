"""The literal cluster command on a real SLURM: what runs where, and what faults leave behind.

Needs root on Debian; elsewhere the tests are skipped, and pytest's summary says why.
"""

import os
import signal
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from tests.faults import FullDisk, deterministic_files, differences, is_finished_training
from tests.project import SECRET, SNAKEMAKE, Project, checkout, files_with, job_counts, tiny_config
from tests.slurm import cluster
from tests.waiting import LONGEST, T, bytes_of, wait_for

pytestmark = pytest.mark.slow

GPU_RULES = {"train_sft", "merge_adapter", "train_grpo", "generate_completions"}
# Long enough for a time limit to come amid the steps; a checkpoint is saved by the warning alone.
STEPS = 500
WHO = {"SBATCH_ACCOUNT": "research", "SLURM_GPU_MODEL": "fake"}


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


def project_in(folder: Path, **changes) -> Project:
    """A checkout whose config/config.yaml a user has edited: the demo's sizes, one firm type."""
    project = checkout(folder)
    (folder / "config/config.yaml").write_text(yaml.safe_dump(tiny_config(firm_types=["banks"], **changes)))
    return project


def edit_profile(project: Project, **values: object) -> None:
    """Change values of the visible block."""
    path = project.root / "profiles/slurm/config.yaml"
    lines = path.read_text().splitlines()
    for name, value in values.items():
        found = [i for i, line in enumerate(lines) if line.startswith(f"  {name}: ")]
        assert len(found) == 1, name
        lines[found[0]] = f"  {name}: {value}"
    path.write_text("\n".join(lines) + "\n")


def start(project: Project, *arguments: str, heeds_interrupt: bool = True) -> subprocess.Popen:
    """The cluster command. What a script puts into the background ignores Ctrl-C; the tests may run like that, too."""
    command = [SNAKEMAKE, "--profile", "slurm", *arguments]
    answer = signal.SIG_DFL if heeds_interrupt else signal.SIG_IGN
    with (project.root / "snakemake.log").open("a") as log:
        # A session of its own: signals of the tests reach Snakemake and not pytest.
        return subprocess.Popen(
            command,
            cwd=project.root,
            env=project.environment | WHO,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, answer),
        )


def output(project: Project) -> str:
    return (project.root / "snakemake.log").read_text()


def finish(project: Project, *arguments: str) -> None:
    status = start(project, *arguments).wait(LONGEST)
    assert status == 0, output(project)[-8000:]


def jobs(project: Project, rule: str = "") -> list[dict[str, str]]:
    """SLURM's jobs of a project, of one rule, in the order of their submission."""
    found = [job for job in cluster.jobs() if job["WorkDir"] == str(project.root) and rule in ("", job["rule"])]
    return sorted(found, key=lambda job: int(job["JobId"]))


def written(project: Project) -> int:
    """Bytes of all logs of a project."""
    return bytes_of([project.root / "snakemake.log", *project.root.glob(".snakemake/slurm_logs/**/*.log")])


def wait_in(project: Project, ready: Callable[[], T], fault: Callable[[], str]) -> T:
    """Wait while the project's logs grow; the error says what is missing, and what Snakemake said."""
    try:
        return wait_for(ready, progress=lambda: written(project))
    except TimeoutError as error:
        raise TimeoutError(f"{fault()}; {output(project)[-4000:]}") from error


def job_in(project: Project, rule: str, number: int, state: str) -> str:
    """The id of the rule's job of that number (from 0) once it has reached the state."""

    def states() -> list[str]:
        return [job["JobState"] for job in jobs(project, rule)][number:][:1]

    wait_in(project, lambda: states() == [state], lambda: f"job {number} of {rule} is {states()}, not {state}")
    return jobs(project, rule)[number]["JobId"]


def slurm_log(project: Project, job: str) -> str:
    """What SLURM kept of a job; empty before it wrote anything."""
    return "".join(path.read_text() for path in project.root.glob(f".snakemake/slurm_logs/rule_*/**/{job}.log"))


def process_of(project: Project, rule: str) -> psutil.Process:
    """The rule's own process on the node, once it runs."""

    def processes() -> list[psutil.Process]:
        found = psutil.process_iter(["cmdline", "cwd"])
        here = [process for process in found if process.info["cwd"] == str(project.root)]
        return [process for process in here if f"workflow_scripts.{rule}" in (process.info["cmdline"] or [])[:3]]

    return wait_in(project, processes, lambda: f"no process of {rule}")[0]


@pytest.fixture(scope="module")
def disturbed(slurm, tmp_path_factory) -> Project:
    """The literal command for everything, in one run that meets, one after the other:

    a job over its memory, a full disk, kill -9 of a job, a time limit, scancel, Ctrl-C, kill -9 of Snakemake.
    """
    project = project_in(tmp_path_factory.mktemp("project"), sft={"max_steps": STEPS, "save_steps": 10_000})
    edit_profile(project, warning_seconds=90)
    profile = project.root / "profiles/slurm/config.yaml"
    small = "set-resources:\n  build_windows:\n    mem_mb: 120 * attempt ** 6\n"
    profile.write_text(profile.read_text().replace("set-resources:\n", small))
    with FullDisk(project.results("banks/samples")) as disk:
        process = start(project, "all")
        if disk.is_mounted:
            failed = job_in(project, "sample_windows", 0, "FAILED")
            assert "No space left on device; make room" in slurm_log(project, failed)
            assert list(project.results("banks/samples").glob("*.parquet")) == []
            disk.make_room()
        else:
            warnings.warn("tmpfs cannot be mounted here: no full disk was tested on SLURM", stacklevel=1)
        job_in(project, "generate_completions", 0, "RUNNING")
        process_of(project, "generate_completions").kill()
        limited = job_in(project, "train_sft", 0, "RUNNING")
        wait_for(lambda: f"step 10/{STEPS}" in slurm_log(project, limited))
        # Only now, so that the warning comes amid the steps, however fast the machine is. SLURM looks every half
        # minute, and warns up to so much early.
        ran = [int(part) for part in jobs(project, "train_sft")[0]["RunTime"].split(":")]
        limit = (60 * ran[1] + ran[2] + 45) // 60 + 1
        subprocess.run(["scontrol", "update", f"JobId={limited}", f"TimeLimit={limit}"], check=True)
        cancelled = job_in(project, "train_grpo", 0, "RUNNING")
        wait_for(lambda: any(project.results("store/banks/grpo").glob("*/trainer.log")))
        subprocess.run(["scancel", cancelled], check=True)
        interrupted = job_in(project, "train_grpo", 1, "RUNNING")
        # SLURM may start a job before Snakemake has got its number back; a Ctrl-C in that moment is lost.
        wait_for(lambda: "trainer log" in slurm_log(project, interrupted))
        process.send_signal(signal.SIGINT)
        assert process.wait(600) != 0
        job_in(project, "train_grpo", 1, "CANCELLED")

        process = start(project, "all")
        job_in(project, "train_grpo", 2, "RUNNING")
        process_of(project, "train_grpo")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # SLURM does not know that nobody waits for these jobs any more.
        subprocess.run(["scancel", *(job["JobId"] for job in jobs(project) if is_alive(job))], check=True)
        wait_for(lambda: not any(map(is_alive, jobs(project))))
        assert "--unlock" in project.snakemake("--profile", "slurm", "all").stderr
        assert project.snakemake("--profile", "slurm", "--unlock").returncode == 0
        finish(project, "all")
        yield project


def is_alive(job: dict[str, str]) -> bool:
    """Whether SLURM has not done with a job."""
    return job["JobState"] in ("RUNNING", "COMPLETING", "PENDING")


def test_the_whole_run_on_slurm(disturbed, slurm):
    assert disturbed.results("summary/report.html").is_file()
    seen = cluster.devices(slurm)
    print("\njob  rule                  partition  CPUs  asked for        CUDA_VISIBLE_DEVICES  state       ran")
    done = set()
    for job in jobs(disturbed):
        # SLURM names the field after the option that asked: per job, node or task.
        asked = "".join(value for name, value in job.items() if name.startswith("TresPer"))
        devices = seen.get(job["JobId"], set())
        print(f"{job['JobId']:>3}  {job['rule']:<20}  {job['Partition']:<9}  {job['NumCPUs']:>4}  {asked:<15}  "
              f"{','.join(devices):<20}  {job['JobState']:<10}  {job['RunTime']}")  # fmt: skip
        on_gpu = job["rule"] in GPU_RULES
        assert job["Partition"] == ("gpu" if on_gpu else "cpu"), job["rule"]
        assert ("gpu:fake:1" in asked) == on_gpu, job["rule"]
        assert job["Account"] == "research"
        assert slurm_log(disturbed, job["JobId"]), "the logs of all jobs are kept"
        if job["JobState"] == "COMPLETED":
            assert (devices == {"none"}) != on_gpu, job["rule"]
            done.add((job["rule"], job["wildcards"].removeprefix("banks").removeprefix("_")))
    # What reads a slice or a model is a job; seconds of work on small files run beside Snakemake.
    assert done == {
        *((rule, "") for rule in ("simulate_panel", "check_panel", "build_windows", "build_quarters",
                                  "collect_training_windows", "build_demo_model")),
        ("train_sft", "sft"), ("merge_adapter", "sft"), ("train_grpo", "grpo"),
        *((rule, split) for rule in ("sample_windows", "audit_sample") for split in ("sft", "grpo", "test")),
        *(("generate_completions", stage) for stage in ("base", "sft", "grpo")),
    }  # fmt: skip


def test_each_fault_was_met_and_answered(disturbed):
    small, enough = jobs(disturbed, "build_windows")
    assert "exceeded memory limit" in slurm_log(disturbed, small["JobId"])
    assert (small["MinMemoryNode"], enough["MinMemoryNode"]) == ("120M", "7.50G"), "more with each attempt"
    killed, *again = jobs(disturbed, "generate_completions")
    assert killed["JobState"] == "FAILED"
    assert again[0]["wildcards"] == killed["wildcards"]
    limited, resumed = jobs(disturbed, "train_sft")
    assert resumed["TimeLimit"] == "1-00:00:00", "twice twelve hours"
    ended = slurm_log(disturbed, limited["JobId"])
    # Where the shell ends before the trainer, a SLURM with cgroups kills the trainer while it saves.
    assert 0 < ended.index("stopped by signal 15") < ended.index("Error in rule train_sft")
    assert "resumes from checkpoint-" in slurm_log(disturbed, resumed["JobId"])
    states = [job["JobState"] for job in jobs(disturbed, "train_grpo")]
    assert states == ["CANCELLED", "CANCELLED", "CANCELLED", "COMPLETED"], "scancel, Ctrl-C, end of Snakemake"


def test_faults_lose_nothing(disturbed, finished):
    """Deterministic files are those of the undisturbed run on this machine, and each training has all its steps."""
    expected, found = (project.results("banks") for project in (finished, disturbed))
    assert differences(expected, found, deterministic_files(expected)) == []
    for stage, steps in (("sft", STEPS), ("grpo", 2)):
        is_finished_training(disturbed.results("."), "banks", stage, steps)
    assert list(disturbed.results(".").rglob("*.part")) == []


def test_a_second_run_queues_nothing(disturbed):
    before = len(jobs(disturbed))
    finish(disturbed, "all")
    assert len(jobs(disturbed)) == before


def test_no_secret_of_the_environment_is_written(disturbed, slurm):
    """Neither by us nor in SLURM's logs; SLURM itself keeps the environment of a job below its state folder."""
    lines = (slurm / "devices.log").read_text().splitlines()
    assert lines
    assert all(line.endswith(" token") for line in lines), "the jobs have it"
    assert files_with(SECRET, disturbed.root) == []
    assert all(SECRET not in path.read_text() for path in slurm.glob("*.log"))


WINDOWS = "results/tiny/banks/windows.parquet"


def edit_module(project: Project, module: str, old: str, new: str) -> None:
    path = project.root / "workflow_scripts" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_is_edited_while_jobs_wait_reaches_none_of_them(slurm, finished, tmp_path):
    """Config file and code are edited when the first job is queued; the plan afterwards says what they would change."""
    project = project_in(tmp_path)
    process = start(project, WINDOWS)
    job_in(project, "simulate_panel", 0, "RUNNING")
    (project.root / "config/config.yaml").write_text(
        yaml.safe_dump(tiny_config(firm_types=["banks"], windows={"history_quarters": 3}))
    )
    edit_module(project, "build_windows.py", "def main(", "raise SystemExit('code of after the start')\n\n\ndef main(")
    assert process.wait(600) == 0, output(project)[-8000:]
    assert project.root.joinpath(WINDOWS).read_bytes() == finished.results("banks/windows.parquet").read_bytes()
    plan = project.snakemake(WINDOWS, "-n", "--profile", "slurm")
    assert job_counts(plan.stdout + plan.stderr) == {"build_windows": 1}


def test_a_run_ends_when_slurm_has_forgotten_its_jobs(slurm, tmp_path):
    """Snakemake alone would wait for ever; the same command then goes on. A script had put it into the background."""
    project = project_in(tmp_path)
    edit_module(project, "plumbing/lost_jobs.py", "EVERY, LOOKS = 60, 3", "EVERY, LOOKS = 2, 3")
    edit_module(project, "simulate_panel.py", "def main(", "import time\n\ntime.sleep(60)\n\n\ndef main(")
    process = start(project, WINDOWS, heeds_interrupt=False)
    job_in(project, "simulate_panel", 0, "RUNNING")
    cluster.forget_all_jobs(slurm)
    assert process.wait(600) != 0
    assert "SLURM no longer knows job" in output(project)
    edit_module(project, "simulate_panel.py", "time.sleep(60)", "time.sleep(0)")
    finish(project, WINDOWS)
