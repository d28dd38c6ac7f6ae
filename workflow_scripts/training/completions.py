"""Completions of prompts by ms-swift's engines, and the cache that a killed job leaves."""

import dataclasses
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_doc import Doc
from annotated_types import Ge

from workflow_scripts.plumbing.files import json_digest
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.store import trainer_versions

CACHE = "completions.jsonl"


@dataclasses.dataclass(frozen=True)
class GenerationSettings:
    """How completions of the test prompts are drawn: the same for every stage."""

    backend: Annotated[Literal["transformers", "vllm"], Doc("Engine of ms-swift.")] = "transformers"
    batch_size: Annotated[int, Ge(1), Doc("Prompts per batch.")] = 16
    max_tokens: Annotated[int, Ge(1), Doc("Longest completion in tokens.")] = 512
    temperature: Annotated[float, Ge(0), Doc("0 is greedy.")] = 0.0
    samples: Annotated[
        int, Ge(1), Doc("Completions per prompt, more than 1 with a temperature only; the forecast is their median.")
    ] = 1


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


def build_engine(model: ModelSettings, adapter: str | None, settings: GenerationSettings) -> Any:
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


def complete(engine: Any, prompts: list[dict], settings: GenerationSettings, seed: int) -> Iterator[list[dict]]:
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


def generation_conditions(model: ModelSettings, settings: GenerationSettings, seed: int) -> dict[str, object]:
    """Under which conditions completions are drawn, the weights apart: part of their identity in the store."""
    return {
        "engine": engine_options(model) | {"revision": None},
        "request": request_options(settings, seed),
        # Padding changes sums in low precision, and batches share a random stream.
        "batch_size": settings.batch_size,
        "backend": settings.backend,
        "versions": trainer_versions(),
    }


def fill_cache(
    cache: Path, done: dict[tuple[str, int], dict], batches: Iterable[list[dict]], digests: dict[str, str], label: str
) -> str:
    """Append each batch to the cache at once and add it to `done`, by the digest of its prompt; returns the speed."""
    started, finished, tokens = time.monotonic(), 0, 0
    with cache.open("a", encoding="utf-8") as file:
        for batch in batches:
            for row in batch:
                digest = digests[row["window_id"]]
                file.write(json.dumps({"prompt": digest, **row}, ensure_ascii=False) + "\n")
                done[digest, row["sample"]] = row
            file.flush()
            os.fsync(file.fileno())
            finished += len(batch)
            tokens += sum(row["completion_tokens"] for row in batch)
            print(f"{label}: {finished}", file=sys.stderr, flush=True)
    return f", {tokens / (time.monotonic() - started):,.0f} tokens/s"
