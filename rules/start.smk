# How a run begins: the checked configuration, the code that its jobs use, and the checks before the first job.
# Snakemake reads this first, in the process that plans the run and, on a cluster, in each job.
import functools
import os
import shlex
import shutil
import signal
import sys
import threading
from pathlib import Path

from snakemake.cli import get_argument_parser
from snakemake.persistence.file import FilePersistence

# Jobs of a cluster use the settings and the code that the run was started with, whatever has been edited since: their
# config file is the one that was set aside at the start.
ROOT = Path(workflow.basedir)
START = None if workflow.is_main_process else Path(workflow.config_settings.configfiles[0]).parent
sys.path.insert(0, str(START / "code" if START else ROOT))

from workflow_scripts.plumbing.code_digest import code_of as code_below
from workflow_scripts.plumbing.errors import InputError, fail
from workflow_scripts.plumbing.lost_jobs import jobs_known_to_slurm, watch
from workflow_scripts.plumbing.run_start import (
    CODE,
    STARTED_CONFIG,
    RunFiles,
    edited_rules,
    made_since_first_start,
    note_first_start,
    set_aside,
    target_faults,
)
from workflow_scripts.settings.checks import (
    check_base_run,
    check_models,
    check_own_rewards,
    check_probes,
    missing_inputs,
)
from workflow_scripts.settings.config import resolved
from workflow_scripts.settings.reading import read_config
from workflow_scripts.training.hardware import has_gpu

try:
    CONFIG = read_config(config)
except InputError as error:
    # Not a WorkflowError, which would show a line of this file.
    fail(f"config: {error}")

if workflow.is_main_process:
    # Where a job's outputs are there and its inputs are missing, Snakemake keeps the outputs: old tables would pass for
    # those of this configuration. A plan can be shown before the data are there.
    missing = missing_inputs(CONFIG)
    if missing and not workflow.output_settings.dryrun:
        fail(*missing)
    for line in missing:
        print(f"WARNING: {line}", file=sys.stderr)
    if not workflow.output_settings.dryrun:
        START = set_aside(ROOT, resolved(CONFIG))
        note_first_start(CONFIG.run)
        workflow.config_settings.configfiles = [START / STARTED_CONFIG]
        workflow.config_settings.config_args = None
elif edited := edited_rules(ROOT, START):
    fail(
        f"{', '.join(edited)} changed since this run was started, and its jobs would no longer be what was planned; "
        "give the same command again"
    )


include: "shown.smk"


# Where jobs find the modules, and where their digests are taken. PYTHONSAFEPATH leaves out the working directory, whose
# code may have been edited. Jobs use Snakemake's own interpreter, so that no environment has to be activated.
CODE_ROOT = START / CODE if START else ROOT
code_of = functools.partial(code_below, root=CODE_ROOT)
shell.prefix(
    "set -euo pipefail; export PYTHONSAFEPATH=1 "
    f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH "
    f"PYTHONPATH={shlex.quote(str(CODE_ROOT))}"
    + "${{PYTHONPATH:+:$PYTHONPATH}}; "
    + ("exec >/dev/null; " if SHOWS_PROGRESS else "")
)


def check_targets():
    """End the run where a target on the command line does not exist, and name those that do.

    A file that is there counts only if a rule of this run makes it: that of another run would be up to date.
    """
    if Path(sys.argv[0]).name != "snakemake":
        return
    given = get_argument_parser().parse_known_args(sys.argv[1:])[0]
    # Snakemake overlooks a misspelt rule in --omit-from, and runs what was to be left out.
    named = [*(given.until or ()), *(given.omit_from or ()), *(given.forcerun or ())]
    values = {
        "firm_type": FIRM_TYPES,
        "split": SPLITS,
        "stage": list(STAGES),
        "forecaster": FORECASTERS,
        "zip_name": SEC_ZIPS,
    }
    faults = target_faults(given.targets or (), named, list(workflow.rules), RunFiles(CONFIG.run, ROOT, values))
    if "replay_rewards" in (given.targets or ()) and not CONFIG.replay:
        faults = [
            'replay_rewards needs to know what to replay: --config \'replay={"completions": ..., "dataset": ...}\''
        ]
    if faults:
        fail(*faults)


def check_machine():
    """End a run before its first job where the machine or the model cannot do the later ones."""
    is_cluster = workflow.non_local_exec
    if is_cluster and not shutil.which("sbatch"):
        fail("there is no SLURM here (sbatch is not on the path); start this on a login node of the cluster")
    model, needed = CONFIG.model, list(workflow.dag.needrun_jobs())
    loading = ("rank_answers", "check_answers", "train_sft", "train_grpo")
    jobs = [job.wildcards for job in needed if job.rule.name.startswith("generate_") or job.rule.name in loading]
    needs_gpu = model.device == "auto" and model.torch_dtype != "float32"
    if jobs and needs_gpu and not is_cluster and not has_gpu():
        fail(
            f"model.torch_dtype: {model.torch_dtype} needs a GPU, and this machine has none; set float32 for a "
            "small model, or run this where there is one (docs/cluster.md)"
        )
    try:
        check_models(CONFIG, [(job.stage, job.firm_type) for job in jobs])
        check_own_rewards(CONFIG, {job.rule.name for job in needed}, CODE_ROOT)
        check_probes(CONFIG, {job.rule.name for job in needed})
    except InputError as error:
        fail(error)


def watch_cluster():
    """Report jobs that SLURM has forgotten. End a run that waits for nothing else: Snakemake would wait for ever."""
    if not workflow.non_local_exec:
        return

    def awaited():
        return [str(job.external_jobid) for job in list(workflow.scheduler._executor.active_jobs)]

    def tell(lost, nothing_else):
        print(
            f"WARNING: SLURM no longer knows job {', '.join(lost)}, for which this run waits; it was probably restarted. "
            + ("Ending the run: " if nothing_else else "When the other jobs are done, press Ctrl-C and ")
            + "give the same command again, which goes on from what is there",
            file=sys.stderr,
            flush=True,
        )
        if nothing_else:
            os.kill(os.getpid(), signal.SIGUSR2)

    # As a Ctrl-C, which a run that a script has put into the background does not hear.
    signal.signal(signal.SIGUSR2, signal.default_int_handler)
    threading.Thread(target=watch, args=(awaited, jobs_known_to_slurm, tell), daemon=True).start()


# How it goes on after an earlier start, and after another run.
include: "memory.smk"
