"""What only a GPU can show: SFT, GRPO and generation in bf16 on a local model of real size.

    python -m tests.gpu.measure_training                       a Qwen2-shaped model of 0.5 billion parameters
    python -m tests.gpu.measure_training --size seven_billion --only sft generation
    python -m tests.gpu.measure_training --only grpo generation --backend vllm
    python -m tests.gpu.measure_training --size tiny --dtype float32 --tokens 32    the same on a CPU, to try the script

The model is built here with random weights: speed and memory do not depend on what it has learned. Its prompts are
those of the published recipe, on a simulated panel. Beside each of our commands runs the bare one of ms-swift with the
same arguments. Prints a table; `figures.json` in the folder has it as well, and what the other steps found:

- sft, grpo, generation: seconds in all, seconds per step, tokens or completions per second, peak memory
- repeat: are greedy and sampled completions the same bytes when they are drawn a second time?
- resume: a training that gets SIGTERM goes on; how far is its end from that of an undisturbed one (needs sft)?
- validation: the best checkpoint is kept, and the training ends early

A step that fails prints the end of its log, and the next one goes on.
"""

import argparse
import importlib.util
import itertools
import json
import os
import platform
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from workflow_scripts.holdings.texts.conversations import ThinkStyle
from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.plumbing.files import file_digest, read_json, read_jsonl, write_jsonl
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.demo_model import (
    CHAT_TEMPLATE,
    END,
    PAD,
    START,
    CorpusStyle,
    build_corpus,
    chat_text,
    save_model,
)
from workflow_scripts.training.hardware import hardware, has_gpu
from workflow_scripts.training.options import ADAPTER_WEIGHTS, command_line
from workflow_scripts.training.store import trainer_versions
from workflow_scripts.training.trainer import STEP, launch, swift_environment

ROOT = Path(__file__).resolve().parents[2]
# The shapes of Qwen2.5; the vocabulary's size too, because its logits take much of the memory.
SIZES = {
    "half_billion": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
                     "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True},
    "seven_billion": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
                      "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
                      "tie_word_embeddings": False},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 2, "vocab_size": 2048, "tie_word_embeddings": True},
}  # fmt: skip
FIRM_TYPE = "banks"
THINK = ThinkStyle("From t-1 to t: me {me_change}, be {be_change}, holding {holding_change}.", 2, 4)
VOCABULARY = 1500
# What SFT leaves, and what generation and GRPO start from; prompts per batch of generation.
ADAPTER, BATCH = "adapters/sft_0", 64
LORA = {
    "target_modules": "all-linear",
    "num_train_epochs": 1,
    "max_length": 2048,
    "save_steps": 1000,
    "logging_steps": 1,
    "gradient_accumulation_steps": 1,
}
IMPORTS = "from swift.pipelines import sft_main, rlhf_main, export_main, infer_main"
# Steps after which a training is stopped, to see how it goes on.
STOP_AFTER = 5
# ms-swift's key of the mean seconds per step since the start of its process.
SPEED = "train_speed(s/it)"


class StepError(Exception):
    """A command failed or took too long; the message has the end of its log."""


class PeakMemory:
    """Highest memory in use on the first GPU, over all processes, in GiB; 0 without a GPU."""

    def __enter__(self):
        self.peak, self.process = 0.0, None
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0", "-lms", "250"]
        if shutil.which(query[0]):
            self.process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
            self.thread = threading.Thread(target=self._watch)
            self.thread.start()
        return self

    def _watch(self) -> None:
        for line in self.process.stdout:
            if line.strip().isdigit():
                self.peak = max(self.peak, int(line) / 1024)

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.thread.join()
            self.process.wait()


@dataclass
class Run:
    """A finished command: what it printed, its wall time in seconds, the peak of the GPU's memory in GiB."""

    log: str
    seconds: float
    peak: float


class Bench:
    """The folder of a measurement, its settings, and its figures."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.out = arguments, arguments.folder.resolve()
        self.data = arguments.datasets or ROOT / "results/gpu" / FIRM_TYPE / "datasets"
        self.figures: dict[str, Any] = {"facts": {}, "rows": []}
        self.model = {"path": str(self.out / "model"), "model_type": "qwen2", "template": "qwen2_5",
                      "torch_dtype": arguments.dtype}  # fmt: skip
        self.merged = self.model | {"path": str(self.out / "merged")}

    def run(self, name: str, command: list[Any], stop: Path | None = None, **environment: str) -> Run:
        """Run a command that must succeed; or end it by SIGTERM some steps after the trainer's log below `stop`."""
        log = self.out / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        started, stopped = time.monotonic(), False
        with PeakMemory() as memory, log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env=swift_environment(ModelSettings(**self.model), **environment),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            while process.poll() is None and time.monotonic() - started < self.arguments.timeout:
                time.sleep(0.05)
                if stop and not stopped and len(steps_of(stop)) >= STOP_AFTER:
                    process.terminate()
                    stopped = True
            if is_late := process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        seconds, text = time.monotonic() - started, log.read_text(encoding="utf-8", errors="replace")
        if is_late or (status == 0) == (stop is not None):
            tail = "\n".join(text.splitlines()[-20:])
            raise StepError(f"{name}: {'too slow' if is_late else f'status {status}'} after {seconds:.0f} s\n{tail}")
        return Run(text, seconds, memory.peak)

    def fact(self, name: str, value: object) -> None:
        """Print and keep something that is no line of the table."""
        print(f"{name}: {value}", flush=True)
        self.figures["facts"][name] = value
        self._save()

    def row(self, name: str, run: Run, pace: float | None, rate: float, unit: str) -> None:
        """A line of the table: seconds per step, and tokens or completions per second once it is under way."""
        figures = {"what": name, "seconds": round(run.seconds, 1), "seconds_per_step": pace and round(pace, 4),
                   "per_second": round(rate, 1), "unit": unit, "peak_gib": round(run.peak, 1)}  # fmt: skip
        self.figures["rows"].append(figures)
        print(json.dumps(figures), flush=True)
        self._save()

    def _save(self) -> None:
        (self.out / "figures.json").write_text(json.dumps(self.figures, indent=1) + "\n", encoding="utf-8")

    def table(self) -> str:
        """All rows in columns."""
        lines = [("what", "s in all", "s per step", "per second", "peak GiB")]
        for row in self.figures["rows"]:
            pace = "" if row["seconds_per_step"] is None else f"{row['seconds_per_step']:.3f}"
            rate = f"{row['per_second']:,.1f} {row['unit']}"
            lines.append((row["what"], f"{row['seconds']:.0f}", pace, rate, f"{row['peak_gib']:.1f}"))
        return "\n".join(f"{a:<44}{b:>9}{c:>12}{d:>22}{e:>10}" for a, b, c, d, e in lines)


def module(name: str, **options: object) -> list[str]:
    """The command line of one of our entry modules."""
    words = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    return [sys.executable, "-m", f"workflow_scripts.{name}", f"--firm-type={FIRM_TYPE}", *words]


def describe_machine(bench: Bench) -> None:
    """What it is, and how long the imports of a process of ms-swift take: from a cold disk, then from memory."""
    for name, value in {"machine": hardware(), "has_gpu": has_gpu(), "python": platform.python_version()}.items():
        bench.fact(name, value)
    bench.fact("versions", trainer_versions("vllm"))
    bench.fact("vllm is installed", importlib.util.find_spec("vllm") is not None)
    for name in ("cold", "warm"):
        run = bench.run(f"imports_{name}", [sys.executable, "-c", IMPORTS])
        bench.fact(f"seconds of ms-swift's imports, {name}", round(run.seconds, 1))


def build_datasets(bench: Bench) -> None:
    """The datasets of one firm type in the published recipe's form, unless a folder with them was given."""
    if not bench.arguments.datasets:
        snakemake = [Path(sys.executable).with_name("snakemake"), "datasets", "--cores", 2]
        recipe = ["--configfile", "config/demo.yaml", "config/recipes/published.yaml"]
        bench.run("datasets", [*snakemake, *recipe, "--config", "run=gpu", f'firm_types=["{FIRM_TYPE}"]'])
    bench.fact("samples", {path.stem: len(read_jsonl(path)) for path in sorted(bench.data.glob("*.jsonl"))})


def build_model(bench: Bench) -> None:
    """A model folder with random weights; its tokenizer gives each digit a token of its own, as Qwen's does."""
    corpus = build_corpus(CorpusStyle(PromptSettings(), THINK, 2), 0.0, 20, 1)
    texts = [chat_text(one.system, one.user) + one.completion for one in corpus]
    tokenizer = Qwen2Tokenizer().train_new_from_iterator(
        texts, VOCABULARY, new_special_tokens=[START, END], show_progress=False
    )
    tokenizer.pad_token, tokenizer.eos_token, tokenizer.chat_template = PAD, END, CHAT_TEMPLATE
    tokens = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(1)
    torch.set_default_dtype(getattr(torch, bench.arguments.dtype))
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2ForCausalLM(Qwen2Config(**SIZES[bench.arguments.size], max_position_embeddings=4096, **tokens))
    save_model(model.cpu(), tokenizer, bench.out / "model")
    bench.fact("million parameters", round(sum(p.numel() for p in model.parameters()) / 1e6))
    lengths = [
        len(tokenizer("".join(message["content"] for message in row["messages"]))["input_ids"])
        for row in read_jsonl(bench.data / "sft.jsonl")
    ]
    bench.fact("tokens of a conversation", round(statistics.mean(lengths)))


def steps_of(folder: Path) -> list[dict]:
    """Entries of the steps in ms-swift's own log below a folder; none where there is no log yet."""
    log = next(folder.rglob("logging.jsonl"), None)
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log else []
    entries = [json.loads(line) for line in lines if line.endswith("\n")]
    return [entry for entry in entries if "loss" in entry and SPEED in entry]


def pace_of(folder: Path) -> float:
    """Median seconds between the logged steps of one process, without the first two."""
    elapsed = [entry[SPEED] * int(entry[STEP].split("/")[0]) for entry in steps_of(folder)]
    return statistics.median(b - a for a, b in itertools.pairwise(elapsed[2:]))


def training_settings(bench: Bench, stage: str, backend: str) -> dict[str, Any]:
    """The settings of a training, as its entry module takes them."""
    arguments = bench.arguments
    training = LORA | {"per_device_train_batch_size": arguments.batch}
    if stage == "sft":
        training |= {"lora_rank": 8, "lora_alpha": 32, "learning_rate": 1e-4, "max_steps": arguments.steps}
        return {"seed": 1, "model": bench.model, "training": training}
    training |= {"lora_rank": 32, "lora_alpha": 128, "learning_rate": 1e-6, "max_steps": arguments.grpo_steps}
    training |= {"num_generations": 8, "max_completion_length": arguments.tokens, "use_vllm": backend == "vllm"}
    rewards = {"names": ["contract_holdings", "mse_holdings"], "constants": {}}
    return {"seed": 1, "model": bench.merged, "training": training, "rewards": rewards}


def train(bench: Bench, name: str, settings: dict, store: str, stop: bool = False) -> Run:
    """Run our training, SFT or GRPO by its settings, in a store of its own."""
    stage, store = "grpo" if "rewards" in settings else "sft", bench.out / "store" / store
    command = module(f"train_{stage}", stage=stage, dataset=bench.data / f"{stage}.jsonl", store=store,
                     settings=json.dumps(settings), out=bench.out / "adapters" / store.name)  # fmt: skip
    return bench.run(name, command, store if stop else None)


def alternate(bench: Bench, ours: Callable[[int], float], bare: Callable[[int], float], what: str) -> None:
    """Measure both in turns (ours, bare, bare, ours, ...), so that neither always finds the machine warmed up."""
    rates: dict[Callable[[int], float], list[float]] = {ours: [], bare: []}
    for turn in range(bench.arguments.rounds):
        for measured in (ours, bare) if turn % 2 == 0 else (bare, ours):
            rates[measured].append(measured(turn))
    share = statistics.mean(rates[ours]) / statistics.mean(rates[bare])
    bench.fact(f"{what}: our rate by that of the bare command", round(share, 3))


def beside_bare(bench: Bench, stage: str) -> None:
    """Our training, and ms-swift's command with the same arguments, in batches per second."""
    settings, facts = training_settings(bench, stage, bench.arguments.backend), bench.figures["facts"]
    unit, size = ("tokens", facts["tokens of a conversation"]) if stage == "sft" else ("completions", 1)
    work = bench.arguments.batch * size

    def rate(name: str, run: Run, folder: Path) -> float:
        pace = pace_of(folder)
        bench.row(name, run, pace, work / pace, unit)
        return 1 / pace

    def ours(turn: int) -> float:
        store = f"{stage}_{turn}"
        return rate(f"train_{store}", train(bench, f"train_{store}", settings, store), bench.out / "store" / store)

    def bare(turn: int) -> float:
        entry, folder = next((bench.out / "store" / f"{stage}_0").iterdir()), bench.out / "bare" / f"{stage}_{turn}"
        words = shlex.split((entry / "trainer.log").read_text(encoding="utf-8").splitlines()[0])
        # The folder of links that ms-swift has seen as the model is gone.
        for option, value in (("--output_dir", folder), ("--model", settings["model"]["path"])):
            words[words.index(option) + 1] = str(value)
        rewards, cache = str(entry / "reward_settings.json"), str(folder / "datasets")
        environment = {"HOLDINGS_REWARD_SETTINGS": rewards, "HF_DATASETS_CACHE": cache}
        run = bench.run(f"bare_{stage}_{turn}", words, **environment)
        return rate(f"bare ms-swift, {stage}_{turn}", run, folder)

    alternate(bench, ours, bare, stage)


def sft(bench: Bench) -> None:
    """SFT, and the bare command."""
    beside_bare(bench, "sft")


def grpo(bench: Bench) -> None:
    """GRPO on the merged model, and the bare command."""
    folders = {"adapter": bench.out / ADAPTER, "out": bench.merged["path"]}
    options = {"stage": "sft", "settings": json.dumps(bench.model), "export_log": bench.out / "logs/export.log"}
    command = module("merge_adapter", **options, **folders)
    run = bench.run("merge_adapter", command)
    bench.row("merge_adapter", run, None, 1 / run.seconds, "models")
    beside_bare(bench, "grpo")


def some_prompts(bench: Bench, count: int) -> Path:
    """The first of the test prompts."""
    dataset = bench.out / f"test_{count}.jsonl"
    write_jsonl(dataset, read_jsonl(bench.data / "test.jsonl")[:count])
    return dataset


def complete(bench: Bench, name: str, dataset: Path, **generation: Any) -> tuple[Run, Path]:
    """Run our generation in a store of its own."""
    generation = {
        "backend": bench.arguments.backend,
        "batch_size": BATCH,
        "max_tokens": bench.arguments.tokens,
    } | generation
    out = bench.out / "completions" / f"{name}.jsonl"
    command = module("generate_completions", stage="sft", dataset=dataset, adapter=bench.out / ADAPTER, out=out,
                     settings=json.dumps({"seed": 1, "model": bench.model, "generation": generation}),
                     store=bench.out / "store" / name, conditions=out.with_suffix(".json"))  # fmt: skip
    return bench.run(name, command), out


def generation(bench: Bench) -> None:
    """Greedy completions of test prompts with the SFT adapter, and `swift infer` with the same batch size."""
    dataset = some_prompts(bench, bench.arguments.prompts)
    options = {
        **{name: value for name, value in bench.model.items() if name != "path"},
        "model": bench.model["path"],
        "adapters": str(bench.out / ADAPTER),
        "load_args": False,
        "val_dataset": str(dataset),
        "infer_backend": bench.arguments.backend,
        "max_batch_size": BATCH,
        "max_new_tokens": bench.arguments.tokens,
        "temperature": 0,
    }

    def rate(name: str, run: Run, pattern: str) -> float:
        found = float(re.findall(pattern, run.log)[-1].replace(",", ""))
        bench.row(name, run, None, found, "tokens")
        return found

    def ours(turn: int) -> float:
        run, _ = complete(bench, f"generate_{turn}", dataset)
        return rate(f"generate_completions_{turn}", run, r", ([\d,]+) tokens/s")

    def bare(turn: int) -> float:
        words = command_line(options | {"result_path": str(bench.out / f"bare/infer_{turn}.jsonl")})
        run = bench.run(f"bare_infer_{turn}", [*launch("infer"), *words])
        return rate(f"bare ms-swift, infer_{turn}", run, r"'tokens/s': ([\d.]+)")

    alternate(bench, ours, bare, "generation")
    run, _ = complete(bench, "generate_large", dataset, batch_size=4 * BATCH)
    rate(f"generate_completions, batches of {4 * BATCH}", run, r", ([\d,]+) tokens/s")


def repeat(bench: Bench) -> None:
    """The same completions twice, in stores of their own: greedy, and at the temperature of the rollouts."""
    dataset = some_prompts(bench, 64)
    for kind, temperature in (("greedy", 0.0), ("sampled", 0.9)):
        digests = []
        for name in ("first", "second"):
            _, out = complete(bench, f"{kind}_{name}", dataset, temperature=temperature, batch_size=BATCH // 2)
            digests.append(file_digest(out))
        bench.fact(f"{kind} completions are the same bytes again", digests[0] == digests[1])


def resume(bench: Bench) -> None:
    """A training that is stopped by SIGTERM and goes on, beside the undisturbed one."""
    settings = training_settings(bench, "sft", "transformers")
    train(bench, "stopped", settings, "resumed", stop=True)
    train(bench, "resumed", settings, "resumed")
    found = [bench.out / ADAPTER, bench.out / "adapters/resumed"]
    bench.fact("resumed from", read_json(found[1] / "manifest.json")["resumed_from"])
    undisturbed, resumed = (load_file(folder / ADAPTER_WEIGHTS) for folder in found)
    apart = sum(float((weight - resumed[name]).square().sum()) for name, weight in undisturbed.items())
    size = sum(float(weight.square().sum()) for weight in undisturbed.values())
    bench.fact("resumed adapter apart from the undisturbed one, relative", (apart / size) ** 0.5)


def validation(bench: Bench) -> None:
    """A training whose validation cannot improve, because its learning rate is next to nothing, ends early."""
    settings = training_settings(bench, "sft", "transformers")
    settings["training"] |= {"validation_share": 0.1, "keep": "best", "early_stopping": 1, "save_steps": 3}
    settings["training"] |= {"learning_rate": 1e-30}
    train(bench, "validated", settings, "validated")
    manifest = read_json(bench.out / "adapters/validated/manifest.json")
    log = read_jsonl(bench.out / "adapters/validated/training_log.jsonl")
    bench.fact("validations", {entry[STEP]: entry["eval_loss"] for entry in log if "eval_loss" in entry})
    bench.fact("validated training: steps, kept step", [manifest["steps"], manifest["kept_step"]])


PREPARATION = (describe_machine, build_datasets, build_model)
STEPS = {step.__name__: step for step in (sft, grpo, generation, repeat, resume, validation)}


def main(arguments: argparse.Namespace) -> int:
    """Prepare, take the steps, print the table; returns how many steps failed."""
    bench, failed = Bench(arguments), 0
    shutil.rmtree(bench.out, ignore_errors=True)
    bench.out.mkdir(parents=True)
    for step in PREPARATION:
        step(bench)
    for name in arguments.only:
        try:
            STEPS[name](bench)
        except (StepError, OSError, LookupError, ValueError) as error:
            print(f"{name} FAILED: {type(error).__name__}: {error}", flush=True)
            failed += 1
    print(bench.table())
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="half_billion")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--batch", type=int, default=16, help="samples, and completions, per step")
    parser.add_argument("--steps", type=int, default=60, help="of SFT")
    parser.add_argument("--grpo-steps", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=256, help="longest completion")
    parser.add_argument("--rounds", type=int, default=2, help="of both commands, in turns")
    parser.add_argument("--prompts", type=int, default=512, help="test prompts to complete")
    parser.add_argument("--backend", choices=["transformers", "vllm"], default="transformers")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="steps, in this order")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds that a command may take")
    parser.add_argument("--datasets", type=Path, help="folder with sft.jsonl, grpo.jsonl and test.jsonl of a run")
    parser.add_argument("--folder", type=Path, default=ROOT / "results/gpu/measured")
    sys.exit(main(parser.parse_args()))
