"""Commands by the hundred, each in a fork of one process that has imported their packages.

More than half of what `snakemake -n`, or the tests of one file, compute are imports.
"""

import gc
import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

STREAMS = {"stdout": 1, "stderr": 2}
DIED = 255
SERVER = multiprocessing.get_context("forkserver")
# What a plan imports of installed packages; the modules of the project are those of the folder that is planned.
SERVER.set_forkserver_preload(
    [
        "snakemake.cli",
        "snakemake.profiles",
        "snakemake.report.html_reporter",
        "snakemake.storage",
        "snakemake_logger_plugin_rich.handler",
        "docutils.core",
        "docutils.parsers.rst.states",
        "docutils.writers",
        "smart_open",
        "pyarrow.parquet",
        "pydantic.dataclasses",
        "yte",
    ]
)


def preload_for_unit_tests() -> None:
    """Import what the unit tests need instead; before the first fork, and for all forks of this process."""
    names = ("pytest", "hypothesis", "pandas", "pyarrow.parquet", "scipy.stats", "matplotlib.pyplot", "peft")
    SERVER.set_forkserver_preload(list(names))


def snakemake_in_a_fork(
    folder: Path, environment: Mapping[str, str], arguments: Sequence[str]
) -> subprocess.CompletedProcess:
    """The command `snakemake` in a folder: its exit status and what it said."""
    return _in_a_fork("snakemake.cli", "main", folder, environment, ["snakemake", *arguments])


def pytest_in_a_fork(
    folder: Path, environment: Mapping[str, str], arguments: Sequence[str]
) -> subprocess.CompletedProcess:
    """The command `pytest` in a folder: its exit status and what it said."""
    return _in_a_fork("pytest", "console_main", folder, environment, ["pytest", *arguments])


def _in_a_fork(
    module: str, function: str, folder: Path, environment: Mapping[str, str], command: list[str]
) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        process = SERVER.Process(target=_call, args=(module, function, folder, environment, command, place))
        process.start()
        process.join()
        # The process writes its own exit code: where two threads look after their processes at once, one of them finds
        # none. Without one it died on the way.
        status = place / "status"
        code = int(status.read_text()) if status.is_file() else DIED
        out, err = ((place / stream).read_text() for stream in STREAMS)
        return subprocess.CompletedProcess(command, code, out, err)


def _call(
    module: str, function: str, folder: Path, environment: Mapping[str, str], command: list[str], place: Path
) -> None:
    # What has been imported is no garbage: looking for it each time, and so copying its memory, took a fifth of a plan.
    gc.freeze()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    for name, stream in STREAMS.items():
        with open(place / name, "wb") as file:
            os.dup2(file.fileno(), stream)
    # A command such as `python -m tests.chaos` has been imported here again, and with it modules of this checkout.
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "workflow_scripts")]:
        del sys.modules[name]
    # The Snakefile looks at the command line, too.
    sys.argv = command
    status = place / "status"
    try:
        code = getattr(importlib.import_module(module), function)()
    except SystemExit as end:
        status.write_text(str(end.code if isinstance(end.code, int) else int(end.code is not None)))
        raise
    status.write_text(str(int(code or 0)))
