"""Completions of prompts by ms-swift's engines, and the cache that a killed job leaves."""

import dataclasses
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.plumbing.files import json_digest
from workflow_scripts.training.base_model import ModelSettings

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
