"""Complete the test prompts of one firm type with one stage's model, through ms-swift's engine.

Steps: fingerprint of model, adapter, generation settings and versions → read the completions that
the store already has for these prompts → complete the missing rows in batches, each appended at
once → write all rows in the order of the dataset, raw text untouched. A killed job loses one batch.
"""

import dataclasses
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts import cli
from workflow_scripts.base_model import ModelSettings, check_model
from workflow_scripts.holdings.files import (
    check_safetensors,
    file_digest,
    json_digest,
    read_jsonl,
    write_json,
    write_jsonl,
)
from workflow_scripts.store import alone_in, model_identity, open_entry, trainer_versions
from workflow_scripts.trainer import ADAPTER_FILES, swift_environment

CACHE = "completions.jsonl"


@dataclasses.dataclass(frozen=True)
class GenerationSettings:
    """How completions are drawn; temperature 0 is greedy. `backend` is transformers or vllm.

    `samples` completions are drawn per prompt.
    """

    backend: str = "transformers"
    batch_size: int = 32
    max_tokens: int = 512
    temperature: float = 0.0
    samples: int = 1


def read_cache(path: Path) -> dict[tuple[str, int], dict]:
    """Rows by prompt digest and number of the sample.

    A last line that a kill cut short is cut off the file, and one that a dead node has left unreadable is passed over:
    their prompts are completed again.
    """
    if not path.is_file():
        return {}
    rows = {}
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        os.truncate(path, end)
    for line in content[:end].split(b"\n")[:-1]:
        try:
            row = json.loads(line)
        except ValueError:
            print(f"WARNING: {path}: a line is no JSON; its prompt is completed again", file=sys.stderr, flush=True)
            continue
        rows[row.pop("prompt"), row["sample"]] = row
    return rows


def engine_options(model: ModelSettings) -> dict:
    """Precision, model type, template and revision as ms-swift's engines take them."""
    return {
        "torch_dtype": model.torch_dtype,
        "model_type": model.model_type or None,
        "template_type": model.template or None,
        "revision": model.hub_revision or None,
    }


def request_options(settings: GenerationSettings, seed: int) -> dict:
    """The whole request: what is left open, ms-swift takes from the model's own generation config.

    Qwen's instruct models, for one, bring a repetition penalty, which GRPO's rollouts do not use and
    which would push digits away that the prompt already has.
    """
    return {
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "top_p": 1.0,
        "top_k": -1,
        "repetition_penalty": 1.0,
        "seed": seed,
    }


def build_engine(model: ModelSettings, adapter: str | None, settings: GenerationSettings):
    """The ms-swift engine of the backend, with the adapter loaded."""
    # Importing swift costs seconds and reads its environment once, so it happens here.
    import torch
    from swift.infer_engine import TransformersEngine

    options = {**engine_options(model), "torch_dtype": getattr(torch, model.torch_dtype), "use_hf": True}
    adapters = [str(Path(adapter).resolve())] if adapter else []
    if settings.backend == "transformers":
        return TransformersEngine(model.location, adapters=adapters, max_batch_size=settings.batch_size, **options)
    from swift.infer_engine import VllmEngine

    rank = json.loads((Path(adapter) / "adapter_config.json").read_text())["r"] if adapter else 16
    lora = {"enable_lora": True, "max_lora_rank": rank} if adapter else {}
    return VllmEngine(model.location, adapters=adapters, **lora, **options)


def complete(engine, prompts: list[dict], settings: GenerationSettings, seed: int) -> Iterator[list[dict]]:
    """Batches of rows: window_id, sample, completion, finish_reason, prompt_tokens, completion_tokens.

    `prompts` have window_id, sample and messages.
    """
    import torch
    from swift.infer_engine import InferRequest, RequestConfig

    # Prompts of similar length share a batch, so that little of it is padding; samples of a prompt do not, because
    # one request configuration, hence one seed, holds for a whole batch.
    prompts = sorted(prompts, key=lambda row: (row["sample"], sum(len(m["content"]) for m in row["messages"])))
    batches = [
        rows[start : start + settings.batch_size]
        for rows in (list(group) for _, group in itertools.groupby(prompts, key=lambda row: row["sample"]))
        for start in range(0, len(rows), settings.batch_size)
    ]
    for batch in batches:
        sample = batch[0]["sample"]
        config = RequestConfig(**request_options(settings, seed + sample))
        # The transformers backend ignores the request's seed; a batch's draw depends on its first row alone.
        torch.manual_seed(int(json_digest([seed, sample, batch[0]["window_id"]])[:8], 16))
        requests = [InferRequest(messages=row["messages"]) for row in batch]
        responses = engine.infer(requests, config, use_tqdm=False)
        yield [
            {
                "window_id": row["window_id"],
                "sample": sample,
                "completion": response.choices[0].message.content,
                "finish_reason": response.choices[0].finish_reason,
                "prompt_tokens": response.usage.prompt_tokens,
                "completion_tokens": response.usage.completion_tokens,
            }
            for row, response in zip(batch, responses, strict=True)
        ]


def fill_cache(cache: Path, done: dict, missing: list[dict], digests: dict, adapter, args, label: str) -> str:
    """Complete the missing rows, append each batch to the cache at once and add it to `done`; returns the speed."""
    check_model(args.model)
    if adapter:
        check_safetensors(Path(adapter) / ADAPTER_FILES[0])
    engine = build_engine(args.model, adapter, args.settings)
    started, finished, tokens = time.monotonic(), 0, 0
    with cache.open("a", encoding="utf-8") as file:
        for batch in complete(engine, missing, args.settings, args.seed):
            for row in batch:
                digest = digests[row["window_id"]]
                file.write(json.dumps({"prompt": digest, **row}, ensure_ascii=False) + "\n")
                done[digest, row["sample"]] = row
            file.flush()
            os.fsync(file.fileno())
            finished += len(batch)
            tokens += sum(row["completion_tokens"] for row in batch)
            print(f"{label}: {finished}/{len(missing)}", file=sys.stderr, flush=True)
    return f", {tokens / (time.monotonic() - started):,.0f} tokens/s"


def main(args) -> str:
    """Write the completions of every test row to `--out`, samples of a row one after the other.

    `--conditions` says under which conditions they were made.
    """
    os.environ.update(swift_environment(args.model.path, LOG_LEVEL="WARNING", TQDM_DISABLE="1"))
    adapter = None if args.adapter == "none" else args.adapter
    rows = read_jsonl(args.dataset, ("window_id", "messages"))
    prompts = [
        {"window_id": row["window_id"], "messages": [m for m in row["messages"] if m["role"] != "assistant"]}
        for row in rows
    ]
    digests = {prompt["window_id"]: json_digest(prompt) for prompt in prompts}
    conditions = {
        "engine": engine_options(args.model) | {"revision": None},
        "request": request_options(args.settings, args.seed),
        # Padding changes sums in low precision, and batches share a random stream.
        "batch_size": args.settings.batch_size,
        "backend": args.settings.backend,
        "versions": trainer_versions(),
    }
    identity = {
        "stage": "completions",
        "model": model_identity(args.model.path),
        "revision": args.model.hub_revision,
        "adapter": file_digest(Path(adapter) / ADAPTER_FILES[0]) if adapter else None,
        **conditions,
    }
    entry = open_entry(args.store, identity)
    wanted = [{**prompt, "sample": k} for prompt in prompts for k in range(args.settings.samples)]
    label = f"generate_completions {args.firm_type} {args.stage}"
    # Two processes that append to one cache would tear each other's lines.
    with alone_in(entry, label):
        done = read_cache(entry / CACHE)
        missing = [row for row in wanted if (digests[row["window_id"]], row["sample"]) not in done]
        speed = fill_cache(entry / CACHE, done, missing, digests, adapter, args, label) if missing else ""
    write_jsonl(args.out, [done[digests[row["window_id"]], row["sample"]] for row in wanted])
    # What must be the same for stages that are compared: everything but the weights.
    conditions |= {"samples": args.settings.samples, "prompts": json_digest(sorted(digests.values()))}
    weights = {"model": identity["model"], "adapter": identity["adapter"]}
    write_json(args.conditions, {"digest": json_digest(conditions), **conditions, **weights})
    return f"{label}: {len(missing)} completed, {len(wanted) - len(missing)} from the store{speed}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        dataset=cli.TEXT,
        model=cli.settings_option(ModelSettings),
        adapter={"help": "folder of the adapter, or none"},
        settings=cli.settings_option(GenerationSettings),
        seed=cli.INTEGER,
        store=cli.TEXT,
        out=cli.TEXT,
        conditions=cli.TEXT,
    )
