"""What a run does now, in lines for people: a log handler in the place of the one that writes Snakemake's own lines.

On a terminal there is a line per stage at work, redrawn in place: bar, jobs, time, time left, the last line of a job's
log; a stage that is done keeps its line above. Elsewhere, in a file or a pipe, there is a plain line per finished job.
What a job warns of stays in either case, and so does what a job of the whole run says, such as the last table. A time
left is an estimate from jobs of the same stage in this run, or from the steps that a training has counted; where there
is neither, none is given.
"""

import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

BAR, NAME, EVERY = 20, 24, 0.5
# Files of a job that a plan names.
FILES = 3
# How a job's log tells how far it is: `step 10/50`, `of 220 completed: 64`.
STEPS = re.compile(r"\bstep (?P<done>\d+)/(?P<total>\d+)|\bof (?P<all>\d+) completed: (?P<some>\d+)")
TAIL = 4000
# How a job's log warns.
WARNING = "WARNING: "
# Snakemake's messages without news in them; its log has them.
WALL = (
    "Assuming unrestricted", "Building DAG", "Using shell", "Group jobs", "Conda environments",
    "Singularity containers", "Select jobs", "Elapsed time", "Removing output files", "Touching output",
    "Exiting because a job execution failed",
)  # fmt: skip
WALL_EVENTS = ("workflow_started", "resources_info", "shellcmd", "job_started", "progress", "rulegraph", "debug_dag")


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> duration(75), duration(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def bar(share: float) -> str:
    """A bar of `BAR` signs.

    >>> bar(0.25)
    '[#####---------------]'
    """
    full = int(share * BAR)
    return f"[{'#' * full}{'-' * (BAR - full)}]"


def last_line(log: str) -> str:
    """The last line of a log with something in it; empty where there is none."""
    try:
        with Path(log).open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - TAIL, 0))
            lines = file.read().decode("utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.split("\r")[-1].strip() for line in reversed(lines) if line.strip()), "")


def said(log: str) -> list[str]:
    """The lines of a log that are no progress; none of a log that is not there."""
    try:
        text = Path(log).read_bytes().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.split("\n") if line.strip() and "\r" not in line and not STEPS.search(line)]


def share_done(line: str) -> float | None:
    """How much of a job is done by the last line of its log; None where it does not say.

    >>> share_done("train_sft banks: step 10/50 loss 0.31"), share_done("starts")
    (0.2, None)
    """
    found = STEPS.search(line)
    if not found:
        return None
    done, total = (int(found["done"] or found["some"]), int(found["total"] or found["all"]))
    return min(done / total, 1.0) if total else None


def _written(log: str) -> int:
    """When a log was written last, 0 where there is none."""
    try:
        return Path(log).stat().st_mtime_ns
    except OSError:
        return 0


@dataclass
class Job:
    """A job that Snakemake has started: what tells it from others of its stage, its log, when that was.

    On a cluster it may still wait. It is at work from the first line in its log on, of which an earlier run may have
    left one.
    """

    stage: str
    words: str
    log: str
    started: float
    begun: float | None = None
    # When which share of it was done, as first seen.
    first: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self._left = _written(self.log)

    def line(self, now: float) -> str:
        """The last line of its log; empty while it has written none."""
        if _written(self.log) == self._left:
            return ""
        self.begun = now if self.begun is None else self.begun
        return last_line(self.log)

    def left(self, now: float) -> float | None:
        """Seconds that it needs at its pace since the first step that was seen; None before the second one.

        What came before the first, such as imports, tells nothing of the others.
        """
        share = share_done(self.line(now))
        if share is None:
            return None
        if self.first is None or share < self.first[1]:
            self.first = now, share
        since, before = self.first
        return (1 - share) * (now - since) / (share - before) if share > before else None

    def elapsed(self, now: float) -> float:
        """Seconds at work, as far as its log was looked at; else since it was started."""
        return now - (self.started if self.begun is None else self.begun)


@dataclass
class Stage:
    """The jobs of a rule: how many there are, how long those took that are done, and how many failed."""

    total: int
    seconds: list[float] = field(default_factory=list)
    failed: int = 0


class Progress:
    """What has happened of a run. Times are seconds of one clock, which the caller reads."""

    def __init__(self, stages: Mapping[str, int], now: float) -> None:
        self.stages = {name: Stage(total) for name, total in stages.items()}
        self.jobs: dict[int, Job] = {}
        self.started = now

    @property
    def total(self) -> int:
        """Jobs of the run."""
        return sum(stage.total for stage in self.stages.values())

    @property
    def done(self) -> int:
        """Jobs that are done."""
        return sum(len(stage.seconds) for stage in self.stages.values())

    def start(self, number: int, job: Job) -> None:
        """A job begins, or begins again."""
        self.jobs[number] = job
        self.stages.setdefault(job.stage, Stage(1))

    def end(self, number: int, now: float, failed: bool = False) -> Job | None:
        """A job ends; None for one that never began."""
        job = self.jobs.pop(number, None)
        if job and failed:
            self.stages[job.stage].failed += 1
        elif job:
            self.stages[job.stage].seconds.append(job.elapsed(now))
        return job

    def running(self, name: str) -> list[Job]:
        """The jobs of a stage that are at work."""
        return [job for job in self.jobs.values() if job.stage == name]

    def seconds_left(self, name: str, now: float) -> float | None:
        """Of the jobs of a stage that are neither done nor failed, as many at a time as now; None if nobody knows."""
        stage, running = self.stages[name], self.running(name)
        whole = list(stage.seconds)
        left = []
        for job in running:
            elapsed, seconds = job.elapsed(now), job.left(now)
            if seconds is not None:
                whole.append(elapsed + seconds)
                left.append(seconds)
            elif stage.seconds:
                left.append(max(sum(stage.seconds) / len(stage.seconds) - elapsed, 0.0))
        if not whole or len(left) < len(running):
            return None
        waiting = stage.total - len(stage.seconds) - stage.failed - len(running)
        return (sum(left) + waiting * sum(whole) / len(whole)) / max(len(running), 1)

    def stage_line(self, name: str, now: float) -> str:
        """The line of a stage: bar, jobs, time, and of one at work the time left and what it does now."""
        stage, running = self.stages[name], self.running(name)
        lines = [job.line(now) for job in running]
        done = len(stage.seconds)
        share = (done + sum(share_done(line) or 0.0 for line in lines)) / stage.total
        head = f"{name:<{NAME}} {bar(share)} {done}/{stage.total}"
        if not running:
            return f"{head}  {duration(sum(stage.seconds))}"
        seconds = self.seconds_left(name, now)
        times = duration(now - min(job.started for job in running))
        times += f", about {duration(seconds)} left" if seconds is not None else ""
        return f"{head}  {times}  {lines[-1].removeprefix(f'{name} ') or running[-1].words}"

    def run_line(self, now: float) -> str:
        """The line of the whole run."""
        share = self.done / self.total if self.total else 1.0
        return f"{'the whole run':<{NAME}} {bar(share)} {self.done}/{self.total}  {duration(now - self.started)}"


def with_few_files(record: logging.LogRecord) -> bool:
    """A filter that lets every record pass, and a job of a plan name some of its files and count the others."""
    for name in ("input", "output"):
        files = getattr(record, name, None)
        if isinstance(files, list) and len(files) > FILES:
            setattr(record, name, [*files[:FILES], f"and {len(files) - FILES} more"])
    return True


class ProgressHandler(logging.Handler):
    """Writes a `Progress` of Snakemake's events to a stream. Warnings and errors are written as they are."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.stream, self.clock = stream, clock
        self.progress: Progress | None = None
        self.is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = 0
        self._ended = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Take an event of Snakemake's; the lock of `handle` is held."""
        try:
            self._take(record)
        except Exception:
            self.handleError(record)

    def _take(self, record: logging.LogRecord) -> None:
        event, now = str(getattr(record, "event", None) or ""), self.clock()
        if event == "run_info":
            stages = {name: count for name, count in vars(record)["stats"].items() if name != "total"}
            self.progress = Progress(stages, now)
            self._write(f"{_count(self.progress.total, 'job')} in {_count(len(stages), 'stage')}")
            if self.is_terminal:
                threading.Thread(target=self._redraw, daemon=True).start()
        elif event == "job_info" and self.progress:
            words = " ".join(map(str, vars(record)["wildcards"].values()))
            log = next(iter(vars(record)["log"]), "")
            self.progress.start(vars(record)["jobid"], Job(vars(record)["rule_name"], words, log, now))
        elif event == "job_finished" and self.progress:
            self._finish(vars(record)["job_id"], now)
        elif event == "job_error" and self.progress:
            job = self.progress.end(vars(record)["jobid"], now, failed=True)
            log = ", ".join(vars(record)["log"])
            self._write(f"{vars(record)['rule_name']} {job.words if job else ''} FAILED, see {log or '--verbose'}")
        elif event not in WALL_EVENTS:
            text = record.getMessage()
            # The command of a job that failed is in the log; what the job said stands at the end.
            if text not in ("", "None") and not text.startswith(WALL) and "\nCalledProcessError " not in text:
                self._write(text)

    def _finish(self, number: int, now: float) -> None:
        progress = self.progress
        if progress is None or (job := progress.end(number, now)) is None:
            return
        stage, name = progress.stages[job.stage], f"{job.stage} {job.words}".strip()
        lines = said(job.log)
        if job.words or len(lines) < 2:
            lines = [line for line in dict.fromkeys(lines) if WARNING in line]
        for line in lines:
            self._write(line if line.startswith(job.stage) or not job.words else f"{name}: {line}")
        if not self.is_terminal:
            told = "" if len(lines) > 1 else last_line(job.log)
            told = told if told.startswith(job.stage) else f"{name}: {told}" if told else name
            self._write(f"[{progress.done}/{progress.total}] {told} ({duration(stage.seconds[-1])})")
        elif len(stage.seconds) == stage.total:
            self._write(progress.stage_line(job.stage, now))

    def _write(self, text: str) -> None:
        """A line that stays, above those that are redrawn."""
        self._clear()
        self.stream.write(f"{text}\n")
        self._draw()
        self.stream.flush()

    def _clear(self) -> None:
        if self._drawn:
            self.stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if not self.is_terminal or self.progress is None or self._ended.is_set():
            return
        now, width = self.clock(), shutil.get_terminal_size().columns - 1
        names = dict.fromkeys(job.stage for job in self.progress.jobs.values())
        lines = [*(self.progress.stage_line(name, now) for name in names), self.progress.run_line(now)]
        # The screen scrolls where more lines than it has are redrawn.
        lines = lines[-(shutil.get_terminal_size().lines - 1) :]
        self.stream.write("".join(f"{line[:width]}\n" for line in lines))
        self._drawn = len(lines)

    def _redraw(self) -> None:
        while not self._ended.wait(EVERY):
            with self.lock:  # type: ignore[union-attr]  # only a handler without threads has none
                if self._ended.is_set():
                    return
                self._clear()
                self._draw()
                self.stream.flush()

    def finish(self) -> None:
        """Stop redrawing, and say how the run ended; whatever is printed afterwards stands below."""
        with self.lock:  # type: ignore[union-attr]
            if self._ended.is_set():
                return
            self._ended.set()
            self._clear()
            if self.progress:
                self._write(self.progress.run_line(self.clock()))

    def close(self) -> None:
        """As `finish`: Snakemake closes its handlers however it ends."""
        self.finish()
        super().close()
