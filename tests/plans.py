"""Plans by the hundred: one process imports Snakemake, and every plan is a fork of it.

More than half of what `snakemake -n` computes are imports.
"""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
# What a plan imports of installed packages; the modules of the project are those of the folder that is planned.
SERVER.set_forkserver_preload(
    ["snakemake.cli", "snakemake_logger_plugin_rich.handler", "smart_open", "pyarrow.parquet"]
)


def snakemake_in_a_fork(folder: Path, environment: Mapping[str, str], arguments: Sequence[str]) -> tuple[int, str]:
    """Exit status and output of the command `snakemake` in a folder."""
    with tempfile.TemporaryDirectory() as place:
        output, status = Path(place) / "output", Path(place) / "status"
        process = SERVER.Process(target=_snakemake, args=(folder, environment, arguments, output, status))
        process.start()
        process.join()
        # Where two threads look after their processes at once, one of them finds no exit code, and multiprocessing
        # says 255: so the process writes its own.
        code = int(status.read_text()) if status.is_file() else process.exitcode or 1
        return code, output.read_text()


def _snakemake(
    folder: Path, environment: Mapping[str, str], arguments: Sequence[str], output: Path, status: Path
) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    with open(output, "wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    # A command such as `python -m tests.chaos` has been imported here again, and with it modules of this checkout.
    for name in [name for name in sys.modules if name.split(".")[0] == "workflow_scripts"]:
        del sys.modules[name]
    # The Snakefile looks at the command line, too.
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    try:
        main()
    except SystemExit as end:
        status.write_text(str(end.code if isinstance(end.code, int) else int(end.code is not None)))
        raise
    status.write_text("0")
