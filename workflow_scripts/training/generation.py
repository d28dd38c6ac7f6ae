"""Completions of prompts by ms-swift's engines, and the cache that a killed job leaves."""

import contextlib
import dataclasses
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
from workflow_scripts.training.base_model import ModelSettings, check_model, device_map, without_foreign_files
from workflow_scripts.training.own_adapters import check_adapter, without_other_files
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
        int,
        Ge(1),
        Doc(
            "Completions per prompt, more than 1 with a temperature only; the forecast is their median, and their "
            "quantiles are scored as a distribution."
        ),
    ] = 1


def without_answers(rows: Iterable[dict]) -> list[dict]:
    """window_id and messages of dataset rows as a model is asked: what an assistant answers there is the label."""
    return [
        {"window_id": row["window_id"], "messages": [m for m in row["messages"] if m["role"] != "assistant"]}
        for row in rows
    ]


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
    """Device, precision, model type, template and revision as ms-swift's engines take them."""
    return {
        "device_map": device_map(model),
        "torch_dtype": model.torch_dtype,
        "model_type": model.model_type or None,
        "template_type": model.template or None,
        "revision": model.hub_revision or None,
    }


def request_options(settings: GenerationSettings, seed: int) -> dict:
    """The whole request. What it left open, ms-swift would take from the model's own generation config.

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
    # vLLM has devices of its own, and settings refuse it on a CPU.
    del options["device_map"]
    return VllmEngine(model.location, adapters=adapters, **lora, **options)


@contextlib.contextmanager
def loaded_engine(
    model: ModelSettings, adapter: str | None, settings: GenerationSettings, entry: Path
) -> Iterator[Any]:
    """`build_engine` of a model and an adapter, both checked, and without the files that do not belong to them.

    Links to the files that do lie in `entry`, the store's, meanwhile. InputError as `check_model` and `check_adapter`.
    """
    check_model(model)
    if adapter:
        check_adapter(adapter, model)
    with (
        without_foreign_files(model, entry / "model") as seen,
        without_other_files(adapter, entry / "adapter") as seen_adapter,
    ):
        yield build_engine(seen, seen_adapter, settings)


class RowSampler:
    """Draws every row of a batch from a random stream of its own: a logits processor of transformers.

    The largest of logits / temperature + Gumbel noise is a draw from the softmax of logits / temperature (Gumbel 1954;
    Maddison et al. 2014, "A* sampling"), so that a greedy search on what this returns samples. So neither the other
    rows of the batch nor what the store already has changes a draw.
    """

    def __init__(self, seeds: list[int], temperature: float) -> None:
        self.seeds = seeds
        self.temperature = temperature
        self.streams: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores (rows × vocabulary) of the next token, noise added."""
        import torch

        self.streams = self.streams or [torch.Generator(scores.device).manual_seed(seed) for seed in self.seeds]
        noise = torch.stack([row.new_empty(len(row)).exponential_(generator=stream)
                             for row, stream in zip(scores, self.streams, strict=True)])  # fmt: skip
        return scores / self.temperature - noise.log()


def row_seed(seed: int, row: dict) -> int:
    """Where the random stream of a row starts: by the seed of the run, its window and the number of the sample."""
    return int(json_digest([seed, row["sample"], row["window_id"]])[:8], 16)


def _infer(engine: Any, rows: list[dict], settings: GenerationSettings, seed: int) -> list:
    """ms-swift's responses to a batch, each row drawn by its own seed; neither engine of ms-swift does so by itself."""
    from swift.infer_engine import InferRequest, RequestConfig

    requests = [InferRequest(messages=row["messages"]) for row in rows]
    options = request_options(settings, seed)
    seeds = [row_seed(seed, row) for row in rows]
    if settings.backend == "vllm":
        # ms-swift numbers the seeds within a batch, so that they would depend on what else is in it.
        add_request, waiting = engine._add_request, iter(seeds)

        def add_seeded_request(inputs: Any, generation_config: Any, *args: Any, **kwargs: Any) -> Any:
            generation_config.seed = next(waiting)
            return add_request(inputs, generation_config, *args, **kwargs)

        engine._add_request = add_seeded_request
        try:
            return engine.infer(requests, RequestConfig(**options), use_tqdm=False)
        finally:
            engine._add_request = add_request
    if settings.temperature == 0:
        return engine.infer(requests, RequestConfig(**options), use_tqdm=False)

    def add_sampler(kwargs: dict) -> dict:
        kwargs["inputs"]["logits_processor"] = [RowSampler(seeds, settings.temperature)]
        return kwargs

    # The sampler draws, and the search behind it is greedy.
    return engine._infer(requests, RequestConfig(**options | {"temperature": 0}), pre_infer_hook=add_sampler)


def complete(engine: Any, prompts: list[dict], settings: GenerationSettings, seed: int) -> Iterator[list[dict]]:
    """Batches of rows: window_id, sample, completion, finish_reason, prompt_tokens, completion_tokens.

    `prompts` have window_id, sample and messages.
    """
    # Prompts of similar length share a batch, so that little of it is padding.
    prompts = sorted(prompts, key=lambda row: sum(len(message["content"]) for message in row["messages"]))
    for start in range(0, len(prompts), settings.batch_size):
        batch = prompts[start : start + settings.batch_size]
        responses = _infer(engine, batch, settings, seed)
        yield [
            {
                "window_id": row["window_id"],
                "sample": row["sample"],
                "completion": response.choices[0].message.content,
                "finish_reason": response.choices[0].finish_reason,
                "prompt_tokens": response.usage.prompt_tokens,
                "completion_tokens": response.usage.completion_tokens,
            }
            for row, response in zip(batch, responses, strict=True)
        ]


def generation_versions(backend: str) -> dict[str, str]:
    """Versions of the packages that draw completions; stages are compared under the same ones only."""
    return trainer_versions(*(["vllm"] if backend == "vllm" else []))


def generation_conditions(model: ModelSettings, settings: GenerationSettings, seed: int) -> dict[str, object]:
    """Under which conditions completions are drawn, the weights apart: part of their identity in the store."""
    return {
        "engine": engine_options(model) | {"revision": None},
        "request": request_options(settings, seed),
        # Padding changes sums in low precision.
        "batch_size": settings.batch_size,
        "backend": settings.backend,
        "versions": generation_versions(settings.backend),
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
