"""Whether a stage answers the same however it is loaded: its adapter on the start model, merged into it, by vLLM."""

import dataclasses
import gc
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from workflow_scripts.training.base_model import ModelSettings, without_foreign_files
from workflow_scripts.training.generation import GenerationSettings, build_engine, complete
from workflow_scripts.training.hardware import hardware

# The others are compared with the first. The workflow's completions are drawn in the first way, with the backend vllm
# in the third.
ADAPTER, MERGED, VLLM_ADAPTER, VLLM = "adapter", "merged", "vllm_adapter", "vllm"


def spread(rows: Sequence[dict], count: int) -> list[dict]:
    """At most `count` rows, evenly over all.

    >>> spread([{"n": n} for n in range(5)], 2)
    [{'n': 0}, {'n': 2}]
    """
    return [rows[i * len(rows) // count] for i in range(count)] if len(rows) > count else list(rows)


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to load a stage: its name, the model, the adapter on it if any, the engine."""

    name: str
    model: ModelSettings
    adapter: str | None
    backend: Literal["transformers", "vllm"]


def ways(model: ModelSettings, adapter: str, merged: str) -> list[Way]:
    """The ways that this machine has; vLLM is one where it is installed and there is a GPU."""
    whole = dataclasses.replace(model, path=merged, revision="")
    has_vllm = importlib.util.find_spec("vllm") is not None and bool(hardware()["gpus"])
    by_vllm = [Way(VLLM_ADAPTER, model, adapter, "vllm"), Way(VLLM, whole, None, "vllm")]
    return [
        Way(ADAPTER, model, adapter, "transformers"),
        Way(MERGED, whole, None, "transformers"),
        *(by_vllm if has_vllm else []),
    ]


def answers(way: Way, prompts: Sequence[dict], settings: GenerationSettings, links: Path) -> dict[str, str]:
    """Greedy completions by window_id; the engine and its memory are gone afterwards."""
    greedy = dataclasses.replace(settings, backend=way.backend, temperature=0.0, samples=1)
    rows = [{**prompt, "sample": 0} for prompt in prompts]
    with without_foreign_files(way.model, links) as seen:
        engine = build_engine(seen, way.adapter, greedy)
        found = {row["window_id"]: row["completion"] for batch in complete(engine, rows, greedy, 0) for row in batch}
    del engine
    _free_memory()
    return found


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def differing(found: Mapping[str, Mapping[str, object]]) -> dict[str, list[str]]:
    """By way the windows, in their order, that it answers in another way than the first does."""
    first, *others = found
    return {name: [key for key, answer in found[first].items() if found[name][key] != answer] for name in others}
