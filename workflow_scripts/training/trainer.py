"""Running ms-swift: environment, resume and progress of one training.

ms-swift is called as `python -m swift.cli.*` in a process of its own: its `swift` wrapper orphans the
child on SIGTERM. Its output goes to a log file, a line of progress per logged step to ours.
"""

import contextlib
import ctypes
import importlib.util
import json
import math
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import (
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
    write_text,
)
from workflow_scripts.training.base_model import (
    ModelSettings,
    merged_adapter,
    model_options,
    without_foreign_files,
)
from workflow_scripts.training.checkpoints import delete_damaged, is_whole, newest_checkpoint, remember_checkpoints
from workflow_scripts.training.hardware import hardware
from workflow_scripts.training.options import ADAPTER_CONFIG, ADAPTER_WEIGHTS, command_line, optional_packages
from workflow_scripts.training.store import (
    MANIFEST,
    alone_in,
    finish,
    is_finished,
    publish,
    trainer_versions,
)
from workflow_scripts.training.training_settings import LoraSettings
from workflow_scripts.training.validation import (
    best_step,
    hold_out,
    is_over,
    validates,
    validations,
)
from workflow_scripts.training.watchdog import (
    STACKS_ON_ABORT,
    StalledError,
    Watchdog,
    abort_with_stacks,
    without_core_dump,
)

# Loaded by ms-swift, in the process of the trainer.
REWARDS_PLUGIN = "workflow_scripts.training.rewards_plugin"
# In a training's entry of the store: all that ms-swift prints, and our log with one line per step, which is published.
TRAINER_OUTPUT, TRAINING_LOG = "trainer.log", "training_log.jsonl"
# ms-swift says that it will execute custom Python code whenever it loads a model.
ABOUT_CODE = (
    "# Where ms-swift warns below of custom Python code: the folder that it is given holds none, unless "
    "model.trust_remote_code is true."
)
# ms-swift's key of the step in its logging.jsonl; the value reads "10/50".
STEP = "global_step/max_steps"
# ms-swift's graceful_exit callback, which saves a checkpoint on SIGTERM, also watches for this file.
STOP_FILE = Path("/tmp/stop")


def swift_environment(model: ModelSettings, **extra: str) -> dict[str, str]:
    """Environment of a trainer: project on the path, no telemetry, offline for a local model, no GPU for the CPU."""
    environment = {**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "USE_HF": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment |= STACKS_ON_ABORT
    # Only at this level does ms-swift log what it leaves out for its length, whatever the user's environment says.
    environment["LOG_LEVEL"] = "INFO"
    # Without its bar ms-swift ends a validation with an AttributeError.
    environment["TQDM_DISABLE"] = ""
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    if model.device == "cpu":
        # What asks torch for a device by itself finds none, of NVIDIA's or AMD's; Apple's cannot be hidden.
        environment |= {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    if Path(model.path).is_dir():
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return environment | extra


def launch(command: str, num_gpus: int = 1) -> list[str]:
    """How a command of ms-swift is started: as a module, or on several GPUs by torch's launcher, as ms-swift does."""
    module = f"swift.cli.{command}"
    if num_gpus == 1:
        return [sys.executable, "-m", module]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_gpus}", "-m", module]


def _end_with_parent() -> None:
    """In the trainer's process: have Linux ask it to save and stop when ours is killed hard; elsewhere it goes on."""
    without_core_dump()
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)


_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def run_swift(
    launcher: list[str],
    options: dict[str, Any],
    log: Path,
    environment: dict[str, str],
    label: str,
    check: Callable[[Path], None] = lambda log: None,
) -> None:
    """Run a command of ms-swift, as `launch` starts it; forwards SIGTERM and SIGINT, raises InputError on failure.

    The log begins with the exact command line. While the command runs, new lines of the trainer's own `logging.jsonl`
    are reported, and `check` is called with the path of the log: what it raises ends the run.
    """
    if STOP_FILE.exists():
        raise InputError(f"{label}: {STOP_FILE} exists, which tells every ms-swift training to stop; remove it")
    call = [*launcher, *command_line(options)]
    output = Path(options["output_dir"])
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"{label}: trainer log {os.path.relpath(log)}", flush=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{shlex.join(call)}\n{ABOUT_CODE}\n")
        file.flush()
        seen = len(_log_entries(output))
        process = subprocess.Popen(
            call,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            preexec_fn=_end_with_parent,
            close_fds=False,
        )
        stopped_by: list[int] = []

        def forward(number: int, _frame: object) -> None:
            stopped_by.append(number)
            process.send_signal(number)

        handlers = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
                check(log)
                entries = _log_entries(output)
                for entry in entries[seen:]:
                    print(f"{label}: {_progress(entry)}", flush=True)
                seen = len(entries)
        except StalledError:
            abort_with_stacks(process.pid)
            raise
        finally:
            # Where `check` has ended the run: a launcher of several processes needs time to end them.
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                # One that waits in the kernel, for a file system maybe, does not end before that answers: a cluster
                # cleans up after a job that has ended, not after one that waits as well.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
            for number, handler in handlers.items():
                signal.signal(number, handler)
    if stopped_by:
        raise InputError(f"{label}: stopped by signal {stopped_by[0]}; a rerun resumes from the newest checkpoint")
    if process.returncode:
        # It can end between two looks at its log.
        check(log)
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        raise InputError(f"{label}: ms-swift ended with status {process.returncode}; the end of {log}:\n{tail}")


def _log_entries(output: Path) -> list[dict]:
    """Entries of the trainer's own log that belong to a step; a line that is still being written is none."""
    path = output / "logging.jsonl"
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if STEP in entry:
            entries.append(entry)
    return entries


def _progress(entry: dict) -> str:
    """`step 10/50 loss 0.31 reward 0.5` from an entry of the trainer's log."""
    shown = {name: entry[name] for name in ("loss", "reward", "kl") if isinstance(entry.get(name), int | float)}
    return " ".join([f"step {entry[STEP]}", *(f"{k} {v:.3g}" for k, v in shown.items())])


def training_log(checkpoints: Path) -> list[dict]:
    """The trainer's log as one entry per step, its validation included; after a resume the later entry counts."""
    steps: dict[int, dict] = {}
    for entry in _log_entries(checkpoints):
        if entry.keys() & {"loss", "eval_loss", "eval_reward"}:
            steps.setdefault(int(entry[STEP].split("/")[0]), {}).update(entry)
    return [steps[step] for step in sorted(steps)]


def finite(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the trainer's log with null for what is no finite number: a validation of a sick training gives NaN.

    >>> finite({"eval_loss": float("nan"), "loss": 0.5})
    {'eval_loss': None, 'loss': 0.5}
    """
    is_sick = {name: isinstance(value, float) and not math.isfinite(value) for name, value in entry.items()}
    return {name: None if is_sick[name] else value for name, value in entry.items()}


def rows_dropped(log: Path, rows: int) -> tuple[int, int] | None:
    """Of `rows` samples those that ms-swift left out as too long, and `rows`; None before it has said so."""
    with log.open("rb") as file:
        # The trainer says so before its first step.
        text = file.read(4_000_000).decode("utf-8", errors="replace")
    # It says the same of the samples that are held out.
    found = re.findall(rf"Dataset filtered, origin length: {rows}, filtered dataset length: (\d+)", text)
    return (rows - int(found[-1]), rows) if found else None


def _check_dropped(rows: int, limit: float) -> Callable[[Path], None]:
    """A check for `run_swift`: fails as soon as the log tells of too many samples that are left out."""
    told: list[tuple[int, int]] = []

    def check(log: Path) -> None:
        if told or (counts := rows_dropped(log, rows)) is None:
            return
        told.append(counts)
        refuse_dropped(*counts, limit)

    return check


def refuse_dropped(dropped: int, rows: int, limit: float) -> None:
    """Raise InputError if more than the share `limit` of the samples is too long to train on."""
    if dropped > limit * rows:
        raise InputError(
            f"{dropped} of {rows} samples are longer than max_length and would not be trained on, more than the "
            f"share {limit:g} of max_dropped_share; raise max_length, shorten the prompts, or accept a larger share"
        )


@dataclass(frozen=True)
class Training:
    """A training: ms-swift's command and options for it, and the settings and the model that they were made from.

    `label` begins each line of output; `environment` has further variables of the trainer. `prepare` may put another
    dataset into the store entry: it returns the path of the dataset, and how many samples it left out.
    """

    label: str
    command: str
    options: dict[str, Any]
    settings: LoraSettings
    model: ModelSettings
    environment: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], tuple[str, int]] | None = None


def train(training: Training, entry: Path, out: str | Path, manifest: dict) -> str:
    """Train in the store `entry` unless it is finished, then publish to `out`; returns a summary line.

    Continues from the newest complete checkpoint of this entry; waits while another process trains in it.
    Publishes adapter, adapter config, one training log without repeated steps and manifest.
    """
    label = training.label
    with alone_in(entry, label):
        if is_finished(entry):
            # How much may be left out is no part of the fingerprint, because it changes no result.
            known = read_json(entry / "result" / MANIFEST)
            refuse_dropped(known["rows_dropped_for_length"], known["rows"], training.settings.max_dropped_share)
            publish(entry, out)
            return f"{label}: fingerprint {entry.name} was trained before; published its adapter"
        left_out = 0
        manifest = {**manifest, "rows": _rows(training.options)}
        if training.prepare:
            dataset, left_out = training.prepare(entry)
            training = replace(training, options={**training.options, "dataset": str(Path(dataset).resolve())})
        if validates(training.settings):
            training = _with_validation(training, entry)
        steps, seconds = _train(training, entry, manifest, left_out)
        publish(entry, out)
    return f"{label}: {steps} steps in {seconds:.0f} s, fingerprint {entry.name}"


def _require_packages(training: Training) -> None:
    """Raise InputError for a package that the training uses and that this machine, a node of a cluster maybe, lacks."""
    tracking = training.settings.tracking
    used = [*optional_packages(training.options), *([] if tracking == "none" else [tracking])]
    if missing := [package for package in used if importlib.util.find_spec(package) is None]:
        raise InputError(
            f"{training.label}: {', '.join(missing)} cannot be found by {sys.executable} on {platform.node()}; "
            "install it there"
        )


def _with_validation(training: Training, entry: Path) -> Training:
    """The training with some of its samples held out, both written into the store entry."""
    rows = read_jsonl(training.options["dataset"])
    files = {"dataset": entry / "train.jsonl", "val_dataset": entry / "validation.jsonl"}
    for path, part in zip(files.values(), hold_out(rows, training.settings, training.options["seed"]), strict=True):
        write_jsonl(path, part)
        print(f"{training.label}: {len(part)} samples in {path.name}", flush=True)
    return replace(training, options={**training.options, **{name: str(path) for name, path in files.items()}})


def _train(training: Training, entry: Path, manifest: dict, left_out: int) -> tuple[int, float]:
    """Train to the last step and put the result into the entry; returns the steps, and the seconds that it took."""
    started, label = time.time(), training.label
    _require_packages(training)
    checkpoints = entry / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    options = {**training.options, "output_dir": str(checkpoints)}
    remember_checkpoints(checkpoints)
    if damaged := delete_damaged(checkpoints):
        print(f"{label}: WARNING: {', '.join(damaged)} cut short or damaged, and deleted", flush=True)
    resumed = newest_checkpoint(checkpoints)
    if resumed:
        print(f"{label}: resumes from {resumed.name}", flush=True)
        options["resume_from_checkpoint"] = str(resumed)
    if training.settings.num_gpus > 1 and not hardware()["gpus"]:
        # Otherwise each process on a CPU takes itself for the only one, and all of them write the same checkpoints.
        options["use_cpu"] = True
    last = _run(training, options, entry, resumed)
    final, steps = _kept(training, last), _steps(last)[0]
    dropped = (rows_dropped(entry / TRAINER_OUTPUT, _rows(options)) or (0, 0))[0] + left_out
    if dropped:
        print(f"{label}: WARNING: {dropped} samples are longer than max_length and were not trained on", flush=True)
    log = training_log(checkpoints)
    # A sick training logs NaN, which our own JSON writers refuse.
    write_text(entry / TRAINING_LOG, "".join(json.dumps(line) + "\n" for line in log))
    seconds = time.time() - started
    manifest = {
        **manifest,
        "parent_adapter": manifest["identity"].get("start_adapter") or merged_adapter(manifest["start_model"]),
        "fingerprint": entry.name,
        "options": options,
        "versions": trainer_versions(*optional_packages(options)),
        "hardware": hardware(),
        "steps": steps,
        "kept_step": _steps(final)[0],
        "resumed_from": resumed.name if resumed else None,
        "rows_dropped_for_length": dropped,
        "wall_seconds": round(seconds, 1),
        "last_log": finite(log[-1]) if log else {},
    }
    # Whoever loads the adapter looks for the model that the user named, not for the links that ms-swift saw, and not on
    # this machine's disk.
    adapter_config = read_json(final / ADAPTER_CONFIG) | {"base_model_name_or_path": manifest["start_model"]}
    write_json(entry / ADAPTER_CONFIG, adapter_config)
    sources = {ADAPTER_WEIGHTS: final, ADAPTER_CONFIG: entry, TRAINING_LOG: entry}
    files = {name: folder / name for name, folder in sources.items()}
    finish(entry, files, manifest)
    return steps, seconds


def _run(training: Training, options: dict[str, Any], entry: Path, resumed: Path | None) -> Path:
    """Run the trainer to its last step, from a checkpoint if there is one; returns the last checkpoint.

    Raises InputError if the trainer fails, stops early, or leaves out too many samples as too long.
    """
    checkpoints, output = entry / "checkpoints", entry / TRAINER_OUTPUT
    settings, label = training.settings, training.label
    check = _check_dropped(_rows(options), settings.max_dropped_share)
    checks: list[Callable[[Path], None]] = [
        check,
        _warn_of_no_checkpoint(checkpoints, options["save_steps"], label),
        Watchdog(settings.stall_minutes, label),
    ]

    def watch(log: Path) -> None:
        for one in checks:
            one(log)
        remember_checkpoints(checkpoints)

    # A trainer that resumes at its last step would do one more. So a training that was killed after that step is not
    # started again. Without a checkpoint the number of steps is not known, but is not 0.
    if not (resumed and _is_done(training, resumed)):
        with without_foreign_files(training.model, entry / "model") as seen:
            cache = str(entry / "datasets")
            environment = swift_environment(seen, HF_DATASETS_CACHE=cache, **_following(training, entry))
            # The revision of a hub model has been fetched into the folder that is seen.
            shown = {name: value for name, value in options.items() if name != "model_revision"} | model_options(seen)
            run_swift(launch(training.command, settings.num_gpus), shown, output, environment, label, watch)
    remember_checkpoints(checkpoints, rest=0.0)
    final = newest_checkpoint(checkpoints)
    if final is None:
        raise InputError(f"{label}: the trainer left no whole checkpoint; see {output}")
    if not _is_done(training, final):
        done, total = _steps(final)
        remedy = "run it again" if done < total else f"delete {final} and run it again"
        raise InputError(f"{label}: stopped at step {done} of {total}; {remedy}")
    check(output)
    return final


def _rows(options: dict[str, Any]) -> int:
    """Samples of the dataset that the trainer is given."""
    return Path(options["dataset"]).read_bytes().count(b"\n")


def _following(training: Training, entry: Path) -> dict[str, str]:
    """Variables of a trainer: its own, and where those who follow it look; keys are in the user's environment."""
    followers = {
        "TENSORBOARD_LOGGING_DIR": str(entry / "tensorboard"),
        "TRACKIO_DIR": str(entry / "trackio"),
        "SWANLAB_LOG_DIR": str(entry / "swanlab"),
        # It makes a folder `wandb` there.
        "WANDB_DIR": str(entry),
        "WANDB_PROJECT": "holdings-adjustment",
    }
    return {
        **{name: os.environ.get(name, value) for name, value in followers.items()},
        "HOLDINGS_EARLY_STOPPING": str(training.settings.early_stopping),
        **training.environment,
    }


def _warn_of_no_checkpoint(checkpoints: Path, save_steps: float, label: str) -> Callable[[Path], None]:
    """A check for `run_swift`: warns once, at the first step, of a training that saves nothing before its end."""
    told: list[int] = []

    def check(_: Path) -> None:
        if told or not (entries := _log_entries(checkpoints)):
            return
        total = int(entries[-1][STEP].split("/")[1])
        told.append(total)
        if save_steps >= total > 1:
            print(
                f"{label}: WARNING: no checkpoint before the end, because it has {total} steps and save_steps is "
                f"{save_steps}: what ends it hard loses everything. A share such as 0.1 saves ten times",
                flush=True,
            )

    return check


def _is_done(training: Training, checkpoint: Path) -> bool:
    """Whether a checkpoint is that of the training's last step, or of the validation that ended it early."""
    state, settings = read_json(checkpoint / "trainer_state.json"), training.settings
    values = list(validations(settings, state["log_history"]).values())
    return state["global_step"] == state["max_steps"] or is_over(settings.early_stopping, values)


def _kept(training: Training, last: Path) -> Path:
    """The checkpoint to publish of a finished training."""
    if training.settings.keep == "last":
        return last
    step = best_step(training.settings, read_json(last / "trainer_state.json")["log_history"])
    best = last.with_name(f"checkpoint-{step}")
    if not is_whole(best):
        raise InputError(
            f"{training.label}: the best checkpoint, {best}, is not whole; delete {last.parent} to train again"
        )
    return best


def _steps(checkpoint: Path) -> tuple[int, int]:
    """Optimizer steps of a checkpoint, and of its whole training."""
    state = read_json(checkpoint / "trainer_state.json")
    return state["global_step"], state["max_steps"]


def write_reward_settings(entry: Path, settings: dict) -> dict[str, str]:
    """Write the plugin's settings file into the entry; returns the variable that names it."""
    path = entry / "reward_settings.json"
    write_json(path, settings)
    return {"HOLDINGS_REWARD_SETTINGS": str(path)}
