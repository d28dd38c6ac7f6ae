"""What reruns after a change of settings: exactly these jobs, and nothing on a GPU that cannot change its result.

Each test plans a run of the finished workflow with one setting changed, and compares all jobs per rule.
"""

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.forks import snakemake_in_a_fork
from tests.integration.reruns import SETTINGS
from tests.project import checkout, job_counts, tiny_config


@pytest.fixture(scope="module")
def plans(finished) -> Iterator[dict[str, Future]]:
    """The plan of each changed setting, two at a time: a plan keeps one core busy for a second."""
    with ThreadPoolExecutor(2) as threads:
        yield {str(change): threads.submit(finished.plan, tiny_config(**change)) for change, _ in SETTINGS}


@pytest.mark.parametrize(
    ("change", "jobs"), SETTINGS, ids=lambda value: json.dumps(value) if "all" not in value else ""
)
def test_a_changed_setting(plans, change, jobs):
    assert plans[str(change)].result() == jobs


def test_a_second_run_does_nothing(finished):
    assert finished.plan(tiny_config()) == {}


def words_of_a_plan(output: str) -> list[str]:
    """What a plan says but for its head and the times; independent jobs and the files of a reason have no order."""
    plan = re.sub(r"SNAKEMAKE\n=+\n( .*\n)*|^\[.*\]$", "", output, flags=re.MULTILINE)
    return sorted(re.split(r"[\s,;]+", plan))


@pytest.mark.parametrize("changes", [{}, {"sft": {"learning_rate": 0.001}}, {"run": "other"}], ids=str)
def test_a_plan_in_a_fork_is_what_the_command_prints(finished, changes):
    """All plans here are made in forks (tests/forks.py)."""
    arguments = finished.arguments(tiny_config(**changes), "-n")
    command, fork = finished.snakemake(*arguments), finished.told(*arguments)
    assert fork.returncode == command.returncode == 0
    assert words_of_a_plan(fork.stdout) == words_of_a_plan(command.stdout)
    assert words_of_a_plan(fork.stderr) == words_of_a_plan(command.stderr)


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [(["panle"], {}), (["-n", "--config", "sede=3"], {}), ([], {"panel": "nowhere"})],
    ids=["no target", "no setting", "no panel"],
)
def test_a_command_that_ends_before_its_first_job_ends_so_in_a_fork(finished, arguments, changes):
    words = finished.arguments(tiny_config(**changes), *arguments)
    command, fork = finished.snakemake(*words), finished.told(*words)
    assert fork.returncode == command.returncode == 1
    assert words_of_a_plan(fork.stdout) == words_of_a_plan(command.stdout)
    assert words_of_a_plan(fork.stderr) == words_of_a_plan(command.stderr)


def test_a_plan_says_which_setting_changed_in_a_line(finished):
    """Not the whole configuration before and now, which were 65 KB for one setting."""
    arguments = finished.arguments(tiny_config(sft={"learning_rate": 0.001}), "-n")
    result = snakemake_in_a_fork(finished.root, finished.environment | {"VERBOSE": "0"}, arguments)
    output = result.stdout + result.stderr
    assert "Params have changed since last execution: sft.learning_rate: 0.002 -> 0.001" in output, "of write_config"
    assert "Params have changed since last execution: training.learning_rate: 0.002 -> 0.001" in output, "of train_sft"
    assert len(output) < 1000 * sum(job_counts(output).values()), "a thousand characters for a job"


def test_a_setting_on_the_command_line(finished):
    result = finished.told(*finished.arguments(tiny_config(), "-n"), "--config", 'grpo={"beta": 0.1}')
    assert job_counts(result.stdout + result.stderr)["train_grpo"] == 2


def test_a_fresh_clone_with_the_results_copied(finished, tmp_path):
    """Without Snakemake's memory the files' times decide: a copy that keeps them reruns nothing."""
    clone = checkout(tmp_path / "clone")
    shutil.copytree(finished.results("."), clone.results("."))
    assert clone.plan(tiny_config()) == {}
