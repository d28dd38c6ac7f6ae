"""A one-node SLURM on this machine, from Debian's packages: a cpu and a gpu partition, two GPUs that are none.

    python -m tests.slurm.cluster up FOLDER
    python -m tests.slurm.cluster down FOLDER

Needs root on Debian without a SLURM of its own. Packages are installed where they are missing; all else (configuration,
state, logs, the fake devices) lies below FOLDER, but for two links in /etc/slurm, which `down` removes: the environment
cannot name the configuration, because Snakemake's plugin takes SLURM's variables out of it.
There is no accounting database: `scontrol show job` remembers every job of the cluster's life.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
# The node claims more than the machine has, so that the profile's requests fit; jobs use what there is.
CPUS, MEMORY_MB, GPUS = 16, 400_000, 2
CONFIGURATION = """\
ClusterName=holdings
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/prolog.sh
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
ReturnToService=2
InactiveLimit=0
KillWait=5
MinJobAge=86400
MaxJobCount=2000
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:fake:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=UNLIMITED State=UP
PartitionName=gpu Nodes={host} Default=NO MaxTime=UNLIMITED State=UP
"""
# What a job step sees of the GPUs, and whether it has the token, one line a step: SLURM runs this before each.
PROLOG = """\
#!/bin/sh
echo "$SLURM_JOB_ID ${{CUDA_VISIBLE_DEVICES:-none}} ${{HF_TOKEN:+token}}" >> {folder}/devices.log
"""


LINKS = (Path("/etc/slurm/slurm.conf"), Path("/etc/slurm/gres.conf"))


def why_not() -> str:
    """Why there can be no cluster here; empty where there can."""
    if not Path("/etc/debian_version").is_file() or shutil.which("apt-get") is None:
        return "this is no Debian"
    if os.geteuid() != 0:
        return "this is not root"
    return "this machine has a SLURM of its own" if LINKS[0].exists() else ""


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _wait(what: str, seconds: int, ready) -> None:
    for _ in range(5 * seconds):
        if ready():
            return
        time.sleep(0.2)
    raise TimeoutError(f"{what} is not ready after {seconds} s")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _install() -> None:
    if _succeeds("dpkg", "-s", *PACKAGES):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
        subprocess.run(["apt-get", *command], check=True, capture_output=True, env=environment)


def _start_munge() -> None:
    if _succeeds("munge", "-n"):
        return
    Path("/run/munge").mkdir(parents=True, exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    if not Path("/etc/munge/munge.key").is_file():
        _run("mungekey", "--create")
    _run("runuser", "-u", "munge", "--", "/usr/sbin/munged")
    _wait("munge", 20, lambda: _succeeds("munge", "-n"))


def _free_ports(number: int) -> list[int]:
    """Ports that nobody uses now, so that a SLURM of the machine's own is not disturbed."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def up(folder: Path) -> None:
    """Start the cluster below `folder`."""
    _install()
    _start_munge()
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool", "devices"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ports = _free_ports(2)
    settings = {"folder": folder, "host": host, "ports": ports, "cpus": CPUS, "memory": MEMORY_MB, "gpus": GPUS}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**settings))
    (folder / "prolog.sh").write_text(PROLOG.format(**settings))
    (folder / "prolog.sh").chmod(0o755)
    for number in range(GPUS):
        # A character device named as NVIDIA's is taken for a GPU; this one is /dev/null.
        device = folder / f"devices/nvidia{number}"
        if not device.exists():
            _run("mknod", "-m", "666", str(device), "c", "1", "3")
    (folder / "gres.conf").write_text(
        f"NodeName={host} Name=gpu Type=fake File={folder}/devices/nvidia[0-{GPUS - 1}]\n"
    )
    for link in LINKS:
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)  # one that leads nowhere: an earlier cluster was not taken down
        link.symlink_to(folder / link.name)
    _start_controller()
    _run("/usr/sbin/slurmd", "-N", host)
    _wait("the node", 60, lambda: "idle" in _run("sinfo", "-h", "-o", "%t"))


def _start_controller(*options: str) -> None:
    _run("/usr/sbin/slurmctld", *options)
    _wait("slurmctld", 30, lambda: "UP" in subprocess.run(["scontrol", "ping"], capture_output=True, text=True).stdout)


def forget_all_jobs(folder: Path) -> None:
    """Restart the controller without its state, as after the loss of its disk: nobody knows the jobs any more."""
    _stop("slurmctld", folder)
    _start_controller("-c")


def _stop(name: str, folder: Path) -> None:
    path = folder / f"{name}.pid"
    if path.is_file():
        process = int(path.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
        # A dead daemon without a parent that reaps it stays in the table as a zombie.
        _wait(f"the end of {name}", 30, lambda: not _alive(process))


def down(folder: Path) -> None:
    """Cancel all jobs and stop the daemons; what they wrote stays."""
    if shutil.which("scancel"):
        subprocess.run(["scancel", "--state=PENDING,RUNNING", "--quiet", "-u", "root"], capture_output=True)
        # A step whose daemon has gone would stay behind.
        command = ["squeue", "--noheader", "--states=PENDING,RUNNING,COMPLETING"]
        with contextlib.suppress(TimeoutError):
            _wait("the end of all jobs", 30, lambda: not subprocess.run(command, capture_output=True).stdout.strip())
    for name in ("slurmd", "slurmctld"):
        _stop(name, folder)
    for link in LINKS:
        if link.is_symlink() and link.readlink().parent == folder:
            link.unlink()


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def jobs() -> list[dict[str, str]]:
    """All jobs that SLURM remembers: its own fields by name, and `rule`, `wildcards` from Snakemake's comment."""
    found = []
    for line in _run("scontrol", "-o", "show", "job").splitlines():
        fields = dict(re.findall(r"(\S+?)=(.*?)(?= \S+?=|$)", line))
        if "JobId" not in fields:
            continue
        rule, _, wildcards = fields.get("Comment", "").strip().removeprefix("rule_").partition("_wildcards_")
        found.append({**fields, "rule": rule, "wildcards": wildcards})
    return found


def devices(folder: Path) -> dict[str, set[str]]:
    """What the steps of each job saw in CUDA_VISIBLE_DEVICES; `none` where it was not set."""
    seen: dict[str, set[str]] = {}
    for line in (folder / "devices.log").read_text().splitlines():
        job, value, *_ = line.split()
        seen.setdefault(job, set()).add(value)
    return seen


if __name__ == "__main__":
    action, place = sys.argv[1:]
    if action == "up" and (reason := why_not()):
        sys.exit(f"no SLURM here: {reason}")
    {"up": up, "down": down}[action](Path(place).resolve())
