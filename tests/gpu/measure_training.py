"""What only a GPU can show: SFT, GRPO and generation in bf16 on a local model of real size.

    python -m tests.gpu.measure_training                       a Qwen2-shaped model of 0.5 billion parameters
    python -m tests.gpu.measure_training --vllm                with rollouts and generation by vLLM as well
    python -m tests.gpu.measure_training --size tiny --dtype float32     the same steps on a CPU, to try the script

The model is built here with random weights: speed and memory do not depend on what it has learned. Steps: simulated
datasets of one firm type -> model folder -> `train_sft`, and the bare ms-swift command with the same arguments ->
merge -> `train_grpo` -> completions. Prints a table: seconds per step, tokens or completions per second, peak memory.
"""

import argparse
import itertools
import json
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from workflow_scripts.holdings.texts.conversations import ThinkStyle
from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.plumbing.files import read_jsonl
from workflow_scripts.training.demo_model import CorpusStyle, build_corpus, save_model, train_tokenizer
from workflow_scripts.training.trainer import swift_environment

ROOT = Path(__file__).resolve().parents[2]
# Qwen2.5-0.5B's shape; the vocabulary's size too, because its logits take much of the memory.
SIZES = {
    "half_billion": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
                     "num_key_value_heads": 2, "vocab_size": 151936},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 2, "vocab_size": 1024},
}  # fmt: skip
FIRM_TYPE = "banks"
LORA = {
    "target_modules": "all-linear",
    "num_train_epochs": 1,
    "max_length": 2048,
    "save_steps": 1000,
    "logging_steps": 1,
}


class PeakMemory:
    """Highest memory in use on the first GPU, over all processes, in GiB; 0 without a GPU."""

    def __enter__(self):
        self.peak, self.running = 0.0, True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
        while self.running and shutil.which(query[0]):
            result = subprocess.run(query, capture_output=True, text=True)
            self.peak = max(self.peak, float(result.stdout.strip() or 0) / 1024)
            time.sleep(0.2)

    def __exit__(self, *_):
        self.running = False
        self.thread.join()


def run(*command: object, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Seconds and peak GPU memory of a process that must succeed."""
    started = time.monotonic()
    with PeakMemory() as memory:
        subprocess.run([str(word) for word in command], cwd=ROOT, check=True, env=environment)
    return time.monotonic() - started, memory.peak


def module(name: str, **options: object) -> list[str]:
    words = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    return [sys.executable, "-m", f"workflow_scripts.{name}", *words]


def build_model(folder: Path, size: str, dtype: str) -> None:
    """A model folder with random weights and the demo's tokenizer."""
    corpus = build_corpus(CorpusStyle(PromptSettings(), ThinkStyle("x", 2, 4), 2), 0.0, 20, 1)
    tokenizer = train_tokenizer(corpus, 512)
    torch.manual_seed(1)
    tokens = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    model = Qwen2ForCausalLM(
        Qwen2Config(**SIZES[size], max_position_embeddings=4096, tie_word_embeddings=True, **tokens)
    )
    save_model(model.to(getattr(torch, dtype)), tokenizer, folder)
    print(f"model: {sum(p.numel() for p in model.parameters()) / 1e6:,.0f} million parameters")


def seconds_per_step(log: Path) -> float:
    """Median time between the logged steps but the first two, from ms-swift's own log."""
    rates = [entry["train_speed(s/it)"] for entry in read_jsonl(log) if "train_speed(s/it)" in entry]
    steps = [rate * i for i, rate in enumerate(rates, start=1)]
    differences = sorted(b - a for a, b in itertools.pairwise(steps[1:]))
    return differences[len(differences) // 2]


def main(arguments: argparse.Namespace) -> None:
    out = arguments.folder.resolve()
    shutil.rmtree(out, ignore_errors=True)
    table = [("what", "s in all", "s per step", "per second", "peak GiB")]
    run(
        Path(sys.executable).with_name("snakemake"), "datasets", "--cores", 2, "--configfile", "config/demo.yaml",
        "--config", "run=gpu", f'firm_types=["{FIRM_TYPE}"]',
    )  # fmt: skip
    data = ROOT / "results/gpu" / FIRM_TYPE / "datasets"
    build_model(out / "model", arguments.size, arguments.dtype)
    model = {"path": str(out / "model"), "model_type": "qwen2", "template": "qwen2_5", "torch_dtype": arguments.dtype}
    sft = LORA | {"lora_rank": 8, "lora_alpha": 32, "learning_rate": 1e-4, "max_steps": arguments.steps}
    sft |= {"per_device_train_batch_size": arguments.batch, "gradient_accumulation_steps": 1}
    shared = {"firm_type": FIRM_TYPE}
    common = {**shared, "stage": "sft", "settings": json.dumps({"seed": 1, "model": model, "training": sft})}
    seconds, memory = run(
        *module("train_sft", **common, dataset=data / "sft.jsonl", store=out / "sft", out=out / "adapter")
    )
    entry = next((out / "sft").iterdir())
    log = (entry / "trainer.log").read_text()
    tokens = token_count(out / "model", data / "sft.jsonl", arguments.batch)
    pace = seconds_per_step(entry / "checkpoints/logging.jsonl")
    table.append(("train_sft", f"{seconds:.0f}", f"{pace:.3f}", f"{tokens / pace:,.0f} tokens", f"{memory:.1f}"))
    bare = shlex.split(log.splitlines()[0])
    bare[bare.index("--output_dir") + 1] = str(out / "bare")
    seconds, memory = run(*bare, environment=swift_environment(str(out / "model")))
    pace = seconds_per_step(out / "bare/logging.jsonl")
    table.append(
        (
            "bare ms-swift, same arguments",
            f"{seconds:.0f}",
            f"{pace:.3f}",
            f"{tokens / pace:,.0f} tokens",
            f"{memory:.1f}",
        )
    )
    merge = module("merge_adapter", firm_type=FIRM_TYPE, stage="sft", settings=json.dumps(model),
                   adapter=out / "adapter", export_log=out / "export.log", out=out / "merged")  # fmt: skip
    run(*merge)
    grpo = LORA | {"lora_rank": 32, "lora_alpha": 128, "learning_rate": 1e-6, "max_steps": arguments.steps}
    grpo |= {"per_device_train_batch_size": arguments.batch, "gradient_accumulation_steps": 1, "num_generations": 8}
    grpo["max_completion_length"] = arguments.tokens
    for backend in ("transformers", *(["vllm"] if arguments.vllm else [])):
        settings = {
            "seed": 1,
            "model": model | {"path": str(out / "merged")},
            "training": grpo | {"use_vllm": backend == "vllm"},
            "rewards": {"names": ["contract_holdings", "mse_holdings"], "constants": {}},
        }
        options = {**shared, "stage": "grpo", "settings": json.dumps(settings)}
        store = out / f"grpo_{backend}"
        command = module("train_grpo", **options, dataset=data / "grpo.jsonl", store=store,
                         out=out / f"adapter_{backend}")  # fmt: skip
        seconds, memory = run(*command)
        pace = seconds_per_step(next(store.iterdir()) / "checkpoints/logging.jsonl")
        rate = f"{arguments.batch / pace:,.1f} completions"
        table.append((f"train_grpo, {backend}", f"{seconds:.0f}", f"{pace:.3f}", rate, f"{memory:.1f}"))
        generation = {"backend": backend, "batch_size": 64, "max_tokens": arguments.tokens}
        target = out / f"completions_{backend}.jsonl"
        options = {**shared, "stage": "sft", "adapter": out / "adapter"}
        options |= {
            "settings": json.dumps({"seed": 1, "model": model, "generation": generation}),
            "store": out / "completions",
            "out": target,
            "conditions": target.with_suffix(".json"),
        }
        command = module("generate_completions", **options, dataset=data / "test.jsonl")
        seconds, memory = run(*command)
        made = sum(row["completion_tokens"] for row in read_jsonl(target))
        rate = f"{made / seconds:,.0f} tokens"
        table.append((f"generate_completions, {backend}, start included", f"{seconds:.0f}", "", rate, f"{memory:.1f}"))
    for row in table:
        print(f"{row[0]:<50}{row[1]:>10}{row[2]:>12}{row[3]:>22}{row[4]:>10}")


def token_count(model: Path, dataset: Path, batch: int) -> float:
    """Mean tokens of a batch of SFT conversations, by the model's tokenizer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = ["".join(m["content"] for m in row["messages"]) for row in read_jsonl(dataset)]
    return batch * sum(len(tokenizer(text)["input_ids"]) for text in texts) / len(texts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="half_billion")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--batch", type=int, default=16, help="samples, and completions, per step")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=256, help="longest completion")
    parser.add_argument("--vllm", action="store_true")
    parser.add_argument("--folder", type=Path, default=ROOT / "results/gpu/measured")
    main(parser.parse_args())
