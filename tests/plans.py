"""Plans by the hundred, and commands that end before their first job: forks of one process that imported Snakemake.

More than half of what `snakemake -n` computes are imports.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

STREAMS = {"stdout": 1, "stderr": 2}
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


def snakemake_in_a_fork(
    folder: Path, environment: Mapping[str, str], arguments: Sequence[str]
) -> subprocess.CompletedProcess:
    """The command `snakemake` in a folder: its exit status and what it said."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        process = SERVER.Process(target=_snakemake, args=(folder, environment, arguments, place))
        process.start()
        process.join()
        # Where two threads look after their processes at once, one of them finds no exit code, and multiprocessing
        # says 255: so the process writes its own.
        status = place / "status"
        code = int(status.read_text()) if status.is_file() else process.exitcode or 1
        out, err = ((place / stream).read_text() for stream in STREAMS)
        return subprocess.CompletedProcess(["snakemake", *arguments], code, out, err)


def _snakemake(folder: Path, environment: Mapping[str, str], arguments: Sequence[str], place: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    for name, stream in STREAMS.items():
        with open(place / name, "wb") as file:
            os.dup2(file.fileno(), stream)
    # A command such as `python -m tests.chaos` has been imported here again, and with it modules of this checkout.
    for name in [name for name in sys.modules if name.split(".")[0] == "workflow_scripts"]:
        del sys.modules[name]
    # The Snakefile looks at the command line, too.
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    status = place / "status"
    try:
        main()
    except SystemExit as end:
        status.write_text(str(end.code if isinstance(end.code, int) else int(end.code is not None)))
        raise
    status.write_text("0")
