"""Running ms-swift: command lines, environment, resume and progress of one training.

ms-swift is called as `python -m swift.cli.*` in a process of its own: its `swift` wrapper orphans the
child on SIGTERM. Its output goes to a log file, a line of progress per logged step to ours.
"""

import contextlib
import ctypes
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import file_digest, read_json, write_json, write_text
from workflow_scripts.training.base_model import (
    ModelSettings,
    merged_adapter,
    model_identity,
    model_options,
    without_foreign_files,
)
from workflow_scripts.training.checkpoints import delete_damaged, newest_checkpoint, remember_checkpoints
from workflow_scripts.training.hardware import hardware
from workflow_scripts.training.store import (
    MANIFEST,
    alone_in,
    finish,
    is_finished,
    publish,
    trainer_versions,
)
from workflow_scripts.training.training_settings import OWN_SETTINGS, GrpoSettings, LoraSettings

# Loaded by ms-swift, in the process of the trainer.
REWARDS_PLUGIN = "workflow_scripts.training.rewards_plugin"
ADAPTER_WEIGHTS, ADAPTER_CONFIG = ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
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


def swift_environment(model: str, **extra: str) -> dict[str, str]:
    """Environment of a trainer: the project on the path, no telemetry, offline for a local model."""
    environment = {**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "USE_HF": "1", "TOKENIZERS_PARALLELISM": "false"}
    # Only at this level does ms-swift log what it leaves out for its length, whatever the user's environment says.
    environment["LOG_LEVEL"] = "INFO"
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    if Path(model).is_dir():
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return environment | extra


def training_options(model: ModelSettings, settings: LoraSettings, dataset: str, seed: int) -> dict[str, Any]:
    """All ms-swift options of a training but the output folder: the settings, and what never varies.

    `extra_args` come last; `check_arguments` has refused those that would override another option.
    """
    # An empty text and null leave an option to ms-swift.
    recipe = {
        name: value for name, value in asdict(settings).items() if name not in OWN_SETTINGS and value not in ("", None)
    }
    options = {
        **model_options(model),
        "dataset": str(Path(dataset).resolve()),
        **recipe,
        # Setting only torch_dtype float32 would silently train in fp16.
        "bf16": model.torch_dtype == "bfloat16",
        "fp16": model.torch_dtype == "float16",
        "seed": seed,
        "data_seed": seed,
        # Otherwise the trainer asks a hub about the model, with retries, whatever the environment says.
        "check_model": False,
        # args.json beside a model may name plugins.
        "load_args": False,
        "tuner_type": "lora",
        "split_dataset_ratio": 0,
        "eval_strategy": "no",
        "report_to": "none",
        "callbacks": "graceful_exit",
        "dataset_num_proc": 1,
        "dataloader_num_workers": 0,
        "save_total_limit": 2,
        "add_version": False,
    }
    if isinstance(settings, GrpoSettings):
        options |= {
            "rlhf_type": "grpo",
            "reward_funcs": options.pop("rewards"),
            "external_plugins": str(Path(__file__).with_name("rewards_plugin.py")),
            "log_completions": False,
        }
        memory = options.pop("vllm_gpu_memory_utilization")
        if settings.use_vllm:
            options |= {"vllm_mode": "colocate", "vllm_gpu_memory_utilization": memory}
    return options | settings.extra_args


def command_line(options: dict[str, Any]) -> list[str]:
    """Options as words; a list gives several words, true and false are spelt in small letters.

    >>> command_line({"seed": 1, "bf16": True, "reward_funcs": ["a", "b"]})
    ['--seed', '1', '--bf16', 'true', '--reward_funcs', 'a', 'b']
    """
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *map(_word, values)]
    return words


def _word(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def training_identity(options: dict[str, Any], num_gpus: int = 1) -> dict:
    """What the fingerprint of a training covers: data and model by content, every option, the versions.

    Options that cannot change the result are left out: where files lie, how often checkpoints are
    written and how many are kept. Several GPUs enlarge the batch.
    """
    neutral = {"model", "dataset", "external_plugins", "save_steps", "save_total_limit"}
    return {
        "data": file_digest(options["dataset"]),
        "model": model_identity(options["model"]),
        "options": {name: _by_content(value) for name, value in options.items() if name not in neutral},
        "num_gpus": num_gpus,
        "versions": trainer_versions(*_engines(options)),
    }


def _by_content(value: object) -> object:
    """An option's value, with the content of a file that it names, such as a configuration of DeepSpeed."""
    if isinstance(value, dict):
        return {name: _by_content(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_by_content(part) for part in value]
    # A trainer runs in the folder in which the workflow runs, and so does this.
    if isinstance(value, str) and len(value) < 4096 and Path(value).is_file():
        return {"file": file_digest(value)}
    return value


def _engines(options: dict[str, Any]) -> list[str]:
    """Packages beside the trainer's own that a training uses by its options."""
    return ["deepspeed"] * bool(options.get("deepspeed")) + ["vllm"] * bool(options.get("use_vllm"))


def launch(command: str, num_gpus: int = 1) -> list[str]:
    """How a command of ms-swift is started: as a module, or on several GPUs by torch's launcher, as ms-swift does."""
    module = f"swift.cli.{command}"
    if num_gpus == 1:
        return [sys.executable, "-m", module]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_gpus}", "-m", module]


def _end_with_parent() -> None:
    """In the trainer's process: have Linux ask it to save and stop when ours is killed hard; elsewhere it goes on."""
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
        finally:
            # Where `check` has ended the run: a launcher of several processes needs time to end them.
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
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
    """The trainer's log as one entry per step: after a resume the later entry of a step counts."""
    steps = {int(entry[STEP].split("/")[0]): entry for entry in _log_entries(checkpoints) if "loss" in entry}
    return [steps[step] for step in sorted(steps)]


def rows_dropped(log: Path) -> tuple[int, int] | None:
    """Samples that ms-swift left out as longer than `max_length`, and samples in all; None before it has said so."""
    with log.open("rb") as file:
        # The trainer says so before its first step.
        text = file.read(4_000_000).decode("utf-8", errors="replace")
    found = re.findall(r"Dataset filtered, origin length: (\d+), filtered dataset length: (\d+)", text)
    if not found:
        return None
    before, after = map(int, found[-1])
    return before - after, before


def _check_dropped(limit: float) -> Callable[[Path], None]:
    """A check for `run_swift`: fails as soon as the log tells of too many samples that are left out."""
    told: list[tuple[int, int]] = []

    def check(log: Path) -> None:
        if told or (counts := rows_dropped(log)) is None:
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
        manifest = {**manifest, "rows": Path(training.options["dataset"]).read_bytes().count(b"\n")}
        if training.prepare:
            dataset, left_out = training.prepare(entry)
            training = replace(training, options={**training.options, "dataset": str(Path(dataset).resolve())})
        steps, seconds = _train(training, entry, manifest, left_out)
        publish(entry, out)
    return f"{label}: {steps} steps in {seconds:.0f} s, fingerprint {entry.name}"


def _train(training: Training, entry: Path, manifest: dict, left_out: int) -> tuple[int, float]:
    """Train to the last step and put the result into the entry; returns the steps, and the seconds that it took."""
    started, label = time.time(), training.label
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
    final, steps = _run(training, options, entry, resumed)
    dropped = (rows_dropped(entry / TRAINER_OUTPUT) or (0, 0))[0] + left_out
    if dropped:
        print(f"{label}: WARNING: {dropped} samples are longer than max_length and were not trained on", flush=True)
    log = training_log(checkpoints)
    # A sick training logs NaN, which our own JSON writers refuse.
    write_text(entry / TRAINING_LOG, "".join(json.dumps(line) + "\n" for line in log))
    seconds = time.time() - started
    manifest = {
        **manifest,
        "parent_adapter": merged_adapter(manifest["start_model"]),
        "fingerprint": entry.name,
        "options": options,
        "versions": trainer_versions(*_engines(options)),
        "hardware": hardware(),
        "steps": steps,
        "resumed_from": resumed.name if resumed else None,
        "rows_dropped_for_length": dropped,
        "wall_seconds": round(seconds, 1),
        "last_log": log[-1] if log else {},
    }
    # Whoever loads the adapter looks for the model that the user named, not for the links that ms-swift saw.
    adapter_config = read_json(final / ADAPTER_CONFIG) | {"base_model_name_or_path": options["model"]}
    write_json(entry / ADAPTER_CONFIG, adapter_config)
    sources = {ADAPTER_WEIGHTS: final, ADAPTER_CONFIG: entry, TRAINING_LOG: entry}
    files = {name: folder / name for name, folder in sources.items()}
    finish(entry, files, manifest)
    return steps, seconds


def _run(training: Training, options: dict[str, Any], entry: Path, resumed: Path | None) -> tuple[Path, int]:
    """Run the trainer to its last step, from a checkpoint if there is one; returns the last checkpoint and its step.

    Raises InputError if the trainer fails, stops early, or leaves out too many samples as too long.
    """
    checkpoints, output = entry / "checkpoints", entry / TRAINER_OUTPUT
    check = _check_dropped(training.settings.max_dropped_share)

    def watch(log: Path) -> None:
        check(log)
        remember_checkpoints(checkpoints)

    # A trainer that resumes at its last step would do one more. So a training that was killed after that step is not
    # started again. Without a checkpoint the number of steps is not known, but is not 0.
    done, total = _steps(resumed) if resumed else (0, 1)
    if done < total:
        with without_foreign_files(training.model, entry / "model") as seen:
            cache = str(entry / "datasets")
            environment = swift_environment(seen.path, HF_DATASETS_CACHE=cache, **training.environment)
            # The revision of a hub model has been fetched into the folder that is seen.
            shown = {name: value for name, value in options.items() if name != "model_revision"} | model_options(seen)
            launcher = launch(training.command, training.settings.num_gpus)
            run_swift(launcher, shown, output, environment, training.label, watch)
    remember_checkpoints(checkpoints, rest=0.0)
    final = newest_checkpoint(checkpoints)
    if final is None:
        raise InputError(f"{training.label}: the trainer left no whole checkpoint; see {output}")
    done, total = _steps(final)
    if done != total:
        remedy = "run it again" if done < total else f"delete {final} and run it again"
        raise InputError(f"{training.label}: stopped at step {done} of {total}; {remedy}")
    check(output)
    return final, done


def _steps(checkpoint: Path) -> tuple[int, int]:
    """Optimizer steps of a checkpoint, and of its whole training."""
    state = read_json(checkpoint / "trainer_state.json")
    return state["global_step"], state["max_steps"]


def write_reward_settings(entry: Path, settings: dict) -> dict[str, str]:
    """Write the plugin's settings file into the entry; returns the variable that names it."""
    path = entry / "reward_settings.json"
    write_json(path, settings)
    return {"HOLDINGS_REWARD_SETTINGS": str(path)}
