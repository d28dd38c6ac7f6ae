# What a run is started with: the checked configuration and the code that its jobs use.
# Snakemake reads this first, in the process that plans the run and, on a cluster, in each job.
import functools
import os
import shlex
import sys
from pathlib import Path

# Jobs of a cluster take the settings and the code that the run was started with, whatever has been edited since: the
# config file that they are given is the one that was set aside.
ROOT = Path(workflow.basedir)
START = None if workflow.is_main_process else Path(workflow.config_settings.configfiles[0]).parent
sys.path.insert(0, str(START / "code" if START else ROOT))

from workflow_scripts.plumbing.code_digest import code_of as code_below
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.run_start import CODE, STARTED_CONFIG, edited_rules, note_first_start, set_aside
from workflow_scripts.settings.checks import missing_inputs
from workflow_scripts.settings.config import resolved
from workflow_scripts.settings.reading import read_config

try:
    CONFIG = read_config(config)
except InputError as error:
    # Not a WorkflowError, which would show a line of this file.
    sys.exit(f"error: config: {error}")

if workflow.is_main_process:
    # Snakemake takes outputs that are there for good where the job that makes them lacks its inputs: old tables would
    # pass for those of this configuration. A plan can be shown before the data are there.
    missing = missing_inputs(CONFIG)
    if missing and not workflow.output_settings.dryrun:
        sys.exit("\n".join(f"error: {line}" for line in missing))
    for line in missing:
        print(f"WARNING: {line}", file=sys.stderr)
    if not workflow.output_settings.dryrun:
        START = set_aside(ROOT, resolved(CONFIG))
        note_first_start(CONFIG.run)
        workflow.config_settings.configfiles = [START / STARTED_CONFIG]
        workflow.config_settings.config_args = None
elif edited := edited_rules(ROOT, START):
    sys.exit(
        f"error: {', '.join(edited)} changed since this run was started, and its jobs would no longer be what was planned; "
        "give the same command again"
    )

# Where jobs find the modules, and where their digests are taken. A safe path leaves out the working directory, which has
# the code as it is now. Jobs use the interpreter of the running Snakemake, so that no environment has to be activated.
CODE_ROOT = START / CODE if START else ROOT
code_of = functools.partial(code_below, root=CODE_ROOT)
shell.prefix(
    "set -euo pipefail; export PYTHONSAFEPATH=1 "
    f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH "
    f"PYTHONPATH={shlex.quote(str(CODE_ROOT))}" + "${{PYTHONPATH:+:$PYTHONPATH}}; "
)
