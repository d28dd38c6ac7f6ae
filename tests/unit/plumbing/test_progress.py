"""What a run shows of itself: lines on a terminal and elsewhere, and estimates that are none where nobody knows."""

import io
import logging
import os
import re

import pytest

from workflow_scripts.plumbing.progress import Job, Progress, ProgressHandler, share_done, with_few_files


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that a terminal shows: a line feed begins a line, and the two sequences go up and delete."""
        lines: list[str] = []
        for part in re.split(r"(\x1b\[\d+A\x1b\[J|\n)", self.getvalue()):
            if part.startswith("\x1b"):
                del lines[len(lines) - int(part[2:-4]) :]
            elif part != "\n" and part:
                lines.append(part)
        return lines


class Run:
    """A handler, a clock that the test sets, and Snakemake's events."""

    def __init__(self, stream, folder):
        self.now, self.folder, self.stream = 0.0, folder, stream
        self.handler = ProgressHandler(stream, lambda: self.now)

    def tell(self, event=None, text="", level=logging.INFO, **content):
        record = logging.makeLogRecord({"levelno": level, "msg": text, "event": event, **content})
        self.handler.handle(record)

    def plan(self, **stages):
        self.tell("run_info", stats={**stages, "total": sum(stages.values())})

    def start(self, number, stage, log="", **wildcards):
        path = self.folder / f"{number}.log"
        self.tell("job_info", jobid=number, rule_name=stage, wildcards=wildcards, log=[str(path)])
        path.write_text(log)
        for job in self.handler.progress.jobs.values():
            job.left(self.now)


@pytest.fixture
def run(tmp_path):
    made = []

    def build(stream):
        made.append(Run(stream, tmp_path))
        return made[-1]

    yield build
    for one in made:
        one.handler.close()


def test_elsewhere_there_is_a_plain_line_per_finished_job(run):
    here = run(io.StringIO())
    here.tell(text="Building DAG of jobs...")
    here.tell("workflow_started", "SNAKEMAKE")
    here.plan(build_windows=2, all=1)
    here.start(1, "build_windows", "build_windows banks: 1,024 windows\n", firm_type="banks")
    here.start(2, "build_windows", "1,000 windows\n", firm_type="other")
    here.now = 75.0
    here.tell("job_finished", job_id=1)
    here.tell("job_finished", job_id=2)
    here.tell("progress", "2 of 3 steps (67%) done", done=2, total=3)
    here.handler.close()
    assert here.stream.getvalue().splitlines() == [
        "3 jobs in 2 stages",
        "[1/3] build_windows banks: 1,024 windows (1:15)",
        "[2/3] build_windows other: 1,000 windows (1:15)",
        "the whole run            [#############-------] 2/3  1:15",
    ]


def test_on_a_terminal_stages_at_work_are_redrawn_and_finished_ones_stay(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    here = run(Terminal())
    here.plan(check_panel=1, train_sft=2)
    here.start(1, "check_panel", firm_type="banks")
    here.now = 2.0
    here.tell("job_finished", job_id=1)
    here.start(2, "train_sft", "train_sft banks: step 10/40\n", firm_type="banks")
    here.now = 12.0
    (here.folder / "2.log").write_text("train_sft banks: step 20/40 ...\n")
    here.tell(text="Nothing of note")
    assert here.stream.screen() == [
        "3 jobs in 2 stages",
        "check_panel              [####################] 1/1  0:02",
        "Nothing of note",
        # 20 s for the other half of this one, 30 for the other.
        "train_sft                [#####---------------] 0/2  0:10, about 0:50 left  banks: step 20/40 ...",
        "the whole run            [######--------------] 1/3  0:12",
    ]
    here.handler.close()
    assert here.stream.screen()[2:] == ["Nothing of note", "the whole run            [######--------------] 1/3  0:12"]


def test_a_failure_a_warning_and_an_error_are_written_as_they_come(run):
    here = run(io.StringIO())
    here.plan(train_sft=2)
    here.start(
        1, "train_sft", "train_sft banks: WARNING: 3 samples are too long\ntrain_sft banks: done\n", firm_type="banks"
    )
    here.tell("job_finished", job_id=1)
    here.start(2, "train_sft", firm_type="other")
    here.tell(
        "job_error", "Error in rule train_sft", logging.ERROR, jobid=2, rule_name="train_sft", log=["results/a.log"]
    )
    here.tell("error", 'RuleException:\nCalledProcessError in file "a.smk", line 7:\nCommand ...', logging.ERROR)
    here.tell(text="At least one job did not complete successfully.", level=logging.ERROR)
    here.handler.close()
    assert here.stream.getvalue().splitlines()[1:] == [
        "train_sft banks: WARNING: 3 samples are too long",
        "[1/2] train_sft banks: done (0:00)",
        "train_sft other FAILED, see results/a.log",
        "At least one job did not complete successfully.",
        "the whole run            [##########----------] 1/2  0:00",
    ]


def test_what_a_job_of_the_whole_run_says_is_shown(run):
    """`snakemake list_store` is there to be read, and so is the table at the end."""
    here = run(io.StringIO())
    here.plan(list_store=1)
    here.start(1, "list_store", "firm_type  stage\nbanks      sft\nstep 1/2\nbar\rbar\n")
    here.tell("job_finished", job_id=1)
    assert here.stream.getvalue().splitlines()[1:] == ["firm_type  stage", "banks      sft", "[1/1] list_store (0:00)"]


def test_a_plan_names_some_files_and_counts_the_others():
    record = logging.makeLogRecord({"event": "job_info", "input": list("abcdef"), "output": ["a"]})
    assert with_few_files(record)
    assert (record.input, record.output) == (["a", "b", "c", "and 3 more"], ["a"])
    assert with_few_files(logging.makeLogRecord({}))


def test_a_time_left_is_given_only_where_something_is_known(tmp_path):
    log = tmp_path / "a.log"
    progress = Progress({"train_grpo": 3}, 0.0)
    log.write_text("train_grpo banks: step 20/20 loss 1\n")
    progress.start(1, Job("train_grpo", "banks", str(log), 0.0))
    assert progress.seconds_left("train_grpo", 500.0) is None, "the log of an earlier run, while it waits in a queue"
    log.write_text("starts\n")
    os.utime(log, (1, 1))
    assert progress.seconds_left("train_grpo", 600.0) is None, "no step yet"
    log.write_text("starts\ntrain_grpo banks: step 5/20 loss 1\n")
    assert progress.seconds_left("train_grpo", 610.0) is None, "10 s of imports are no pace"
    log.write_text("starts\ntrain_grpo banks: step 10/20 loss 1\n")
    assert progress.seconds_left("train_grpo", 620.0) == 20.0 + 2 * 40.0, "of 10 s for 5 steps, and 20 s at work"
    progress.end(1, 640.0)
    progress.start(2, Job("train_grpo", "other", "not there", 40.0))
    assert progress.seconds_left("train_grpo", 50.0) == 30.0 + 40.0, "as long as the first one took"
    assert progress.seconds_left("train_grpo", 100.0) == 40.0, "late, and not before it began"


def test_how_far_a_job_is_by_its_log():
    assert share_done("generate_completions banks base: of 200 completed: 50") == 0.25
    assert share_done("1,201 rows, 48 pairs, 2014Q1-2021Q4") is None
    assert share_done("step 0/0") is None
