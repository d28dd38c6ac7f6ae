"""Running ms-swift: command lines, environment, resume and progress of one training.

ms-swift is called as `python -m swift.cli.*` in a process of its own: its `swift` wrapper orphans the
child on SIGTERM. Its output goes to a log file, a line of progress per logged step to ours.
"""

import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from workflow_scripts.code_digest import ROOT
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.files import file_digest, write_json
from workflow_scripts.store import finish, is_finished, model_identity, newest_checkpoint, publish, trainer_versions

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
TRAINING_LOG = "training_log.jsonl"


@dataclass(frozen=True)
class ModelSettings:
    """The base model and how ms-swift loads it; empty texts leave the choice to ms-swift."""

    path: str
    model_type: str = ""
    template: str = ""
    torch_dtype: str = "bfloat16"


@dataclass(frozen=True)
class LoraSettings:
    """LoRA and optimisation of one stage; names are ms-swift's. `max_steps` -1 means whole epochs."""

    lora_rank: int
    lora_alpha: int
    target_modules: str
    learning_rate: float
    num_train_epochs: float
    max_steps: int
    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    max_length: int
    save_steps: int
    logging_steps: int
    warmup_ratio: float = 0.05
    lr_scheduler_type: str = "cosine"


@dataclass(frozen=True)
class GrpoSettings(LoraSettings):
    """What GRPO adds; rewards and weights belong together, in order."""

    num_generations: int = 8
    max_completion_length: int = 512
    temperature: float = 0.9
    beta: float = 0.02
    loss_type: str = "grpo"
    scale_rewards: str = "group"
    rewards: list[str] = field(default_factory=lambda: ["contract_holdings", "mse_holdings"])
    reward_weights: list[float] = field(default_factory=lambda: [0.3, 0.7])


def what_decides(settings: object) -> dict:
    """The settings that can change a result, for its fingerprint.

    Left out: where the model lies (its digest counts), how often checkpoints are written, how many
    prompts share a batch of the generation.
    """
    neutral = ("path", "save_steps", "batch_size")
    return {name: value for name, value in dataclasses.asdict(settings).items() if name not in neutral}


def training_identity(stage: str, dataset: str, model: ModelSettings, settings: LoraSettings, seed: int) -> dict:
    """What the fingerprint of a training covers; the versions of the trainers are part of it."""
    return {
        "stage": stage,
        "data": file_digest(dataset),
        "model": model_identity(model.path),
        "model_settings": what_decides(model),
        "settings": what_decides(settings),
        "seed": seed,
        "versions": trainer_versions(),
    }


def swift_environment(model: str, **extra: str) -> dict[str, str]:
    """Environment of a trainer: the project on the path, no telemetry, offline for a local model."""
    environment = {**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "USE_HF": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    if Path(model).is_dir():
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return environment | extra


def model_arguments(model: ModelSettings) -> list[str]:
    """Model, template and precision as options that training and export share."""
    folder = Path(model.path)
    arguments = ["--model", str(folder.resolve()) if folder.is_dir() else model.path]
    arguments += ["--torch_dtype", model.torch_dtype]
    if model.model_type:
        arguments += ["--model_type", model.model_type]
    if model.template:
        arguments += ["--template", model.template]
    return arguments


def training_arguments(model: ModelSettings, settings: LoraSettings, dataset: str, seed: int) -> list[str]:
    """Options that SFT and GRPO share, without the output folder."""
    # Setting only torch_dtype float32 would silently train in fp16.
    bf16, fp16 = model.torch_dtype == "bfloat16", model.torch_dtype == "float16"
    values = {
        "dataset": str(Path(dataset).resolve()),
        "split_dataset_ratio": 0,
        # Otherwise the trainer asks a hub about the model, with retries, whatever the environment says.
        "check_model": "false",
        "tuner_type": "lora",
        "lora_rank": settings.lora_rank,
        "lora_alpha": settings.lora_alpha,
        "target_modules": settings.target_modules,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.lr_scheduler_type,
        "warmup_ratio": settings.warmup_ratio,
        "num_train_epochs": settings.num_train_epochs,
        "max_steps": settings.max_steps,
        "per_device_train_batch_size": settings.per_device_train_batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "max_length": settings.max_length,
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "logging_steps": settings.logging_steps,
        "bf16": str(bf16).lower(),
        "fp16": str(fp16).lower(),
        "seed": seed,
        "data_seed": seed,
        "eval_strategy": "no",
        "report_to": "none",
        "callbacks": "graceful_exit",
        "dataset_num_proc": 1,
        "dataloader_num_workers": 0,
        "add_version": "false",
    }
    return model_arguments(model) + [text for k, v in values.items() for text in (f"--{k}", str(v))]


def grpo_arguments(settings: GrpoSettings) -> list[str]:
    """Options that only GRPO has."""
    values = {
        "rlhf_type": "grpo",
        "num_generations": settings.num_generations,
        "max_completion_length": settings.max_completion_length,
        "temperature": settings.temperature,
        "beta": settings.beta,
        "loss_type": settings.loss_type,
        "scale_rewards": settings.scale_rewards,
        "use_vllm": "false",
        "log_completions": "false",
    }
    arguments = [text for k, v in values.items() for text in (f"--{k}", str(v))]
    arguments += ["--external_plugins", str(ROOT / "workflow_scripts/plugins/swift_rewards.py")]
    arguments += ["--reward_funcs", *settings.rewards]
    return [*arguments, "--reward_weights", *map(str, settings.reward_weights)]


def run_swift(command: str, arguments: list[str], log: Path, environment: dict[str, str], label: str) -> None:
    """Run `python -m swift.cli.{command}`; forwards SIGTERM and SIGINT, raises InputError on failure.

    The exact command line opens the log. While it runs, new lines of the trainer's own
    `logging.jsonl` are reported.
    """
    call = [sys.executable, "-m", f"swift.cli.{command}", *arguments]
    output = Path(arguments[arguments.index("--output_dir") + 1])
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"{label}: trainer log {os.path.relpath(log)}", flush=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(shlex.join(call) + "\n")
        file.flush()
        seen = len(_log_lines(output))
        process = subprocess.Popen(call, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT)
        stopped_by = []

        def forward(number: int, _frame: object) -> None:
            stopped_by.append(number)
            process.send_signal(number)

        handlers = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while process.poll() is None:
                time.sleep(1)
                lines = _log_lines(output)
                for line in lines[seen:]:
                    report = _progress(line)
                    if report:
                        print(f"{label}: {report}", flush=True)
                seen = max(seen, len(lines))
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    if stopped_by:
        raise InputError(f"{label}: stopped by signal {stopped_by[0]}; a rerun resumes from the newest checkpoint")
    if process.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        raise InputError(f"{label}: ms-swift ended with status {process.returncode}; the end of {log}:\n{tail}")


def _log_lines(output: Path) -> list[str]:
    path = output / "logging.jsonl"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _progress(line: str) -> str:
    """`step 10/50 loss 0.31 reward 0.5` from a line of the trainer's log, empty where it has no step."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return ""
    if "global_step/max_steps" not in entry:
        return ""
    shown = {name: entry[name] for name in ("loss", "reward", "kl") if isinstance(entry.get(name), int | float)}
    return " ".join([f"step {entry['global_step/max_steps']}", *(f"{k} {v:.3g}" for k, v in shown.items())])


def training_log(checkpoints: Path) -> list[dict]:
    """The trainer's log as one entry per step: after a resume the later entry of a step counts."""
    steps: dict[int, dict] = {}
    for line in _log_lines(checkpoints):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "loss" in entry and "global_step/max_steps" in entry:
            steps[int(str(entry["global_step/max_steps"]).split("/")[0])] = entry
    return [steps[step] for step in sorted(steps)]


def train(
    command: str,
    arguments: list[str],
    model: ModelSettings,
    entry: Path,
    out: str | Path,
    manifest: dict,
    label: str,
    extra_environment: dict[str, str] | None = None,
) -> str:
    """Train in the store `entry` unless it is finished, then publish to `out`; returns a summary line.

    Continues from the newest complete checkpoint of this entry. Publishes adapter, adapter config,
    one training log without repeated steps, and the manifest.
    """
    if is_finished(entry):
        publish(entry, out)
        return f"{label}: fingerprint {entry.name} was trained before; published its adapter"
    checkpoints = entry / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    arguments = [*arguments, "--output_dir", str(checkpoints)]
    resumed = newest_checkpoint(checkpoints)
    if resumed:
        print(f"{label}: resumes from {resumed.name}", flush=True)
        arguments += ["--resume_from_checkpoint", str(resumed)]
    environment = swift_environment(model.path, HF_DATASETS_CACHE=str(entry / "datasets"), **(extra_environment or {}))
    started = time.time()
    run_swift(command, arguments, entry / "trainer.log", environment, label)
    final = newest_checkpoint(checkpoints)
    if final is None:
        raise InputError(f"{label}: the trainer left no complete checkpoint; see {entry / 'trainer.log'}")
    state = json.loads((final / "trainer_state.json").read_text(encoding="utf-8"))
    if state["global_step"] < state["max_steps"]:
        raise InputError(f"{label}: stopped at step {state['global_step']} of {state['max_steps']}; run it again")
    log = training_log(checkpoints)
    lines = "".join(json.dumps(line) + "\n" for line in log)
    (entry / TRAINING_LOG).write_text(lines, encoding="utf-8")
    files = {name: final / name for name in ADAPTER_FILES} | {TRAINING_LOG: entry / TRAINING_LOG}
    finish(
        entry,
        files,
        {
            **manifest,
            "fingerprint": entry.name,
            "command": arguments,
            "versions": trainer_versions(),
            "steps": state["global_step"],
            "resumed_from": resumed.name if resumed else None,
            "wall_seconds": round(time.time() - started, 1),
            "last_log": log[-1] if log else {},
        },
    )
    publish(entry, out)
    return f"{label}: {state['global_step']} steps in {time.time() - started:.0f} s, fingerprint {entry.name}"


def write_reward_settings(entry: Path, settings: dict) -> dict[str, str]:
    """Write the plugin's settings file into the entry; returns the variable that names it."""
    path = entry / "reward_settings.json"
    write_json(path, settings)
    return {"HOLDINGS_REWARD_SETTINGS": str(path)}
