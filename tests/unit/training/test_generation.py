"""Sampled completions depend on their own row alone: not on the batch that they share, nor on what the store has."""

import argparse
import dataclasses
import json
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from workflow_scripts import generate_completions
from workflow_scripts.holdings.evaluation.conditions import check_conditions
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_json, write_jsonl
from workflow_scripts.training import generation
from workflow_scripts.training.base_model import MERGED_ADAPTER, ModelSettings, merge_record
from workflow_scripts.training.generation import GenerationSettings, RowSampler, complete, row_seed

ROWS = [
    {"window_id": f"w{number}", "sample": sample, "messages": [{"role": "user", "content": "x" * (number % 3 + 1)}]}
    for number in range(4)
    for sample in range(2)
]


@pytest.fixture(autouse=True)
def swift(monkeypatch):
    """ms-swift's request classes, whose import would take many seconds."""
    module = types.ModuleType("swift.infer_engine")
    module.InferRequest = dataclasses.make_dataclass("InferRequest", ["messages"])
    module.RequestConfig = SimpleNamespace
    monkeypatch.setitem(sys.modules, "swift", types.ModuleType("swift"))
    monkeypatch.setitem(sys.modules, "swift.infer_engine", module)


def responses(texts):
    usage = SimpleNamespace(prompt_tokens=1, completion_tokens=1)
    return [
        SimpleNamespace(
            choices=[SimpleNamespace(message=SimpleNamespace(content=text), finish_reason="stop")], usage=usage
        )
        for text in texts
    ]


class TransformersEngine:
    """As ms-swift's: one step of a greedy search over a vocabulary, the same logits for every row."""

    def __init__(self):
        self.batches = []

    def infer(self, requests, config, use_tqdm):
        return self._infer(requests, config)

    def _infer(self, requests, config, pre_infer_hook=lambda kwargs: kwargs):
        self.batches.append(len(requests))
        assert config.temperature == 0, "a search that draws by itself would share a stream within the batch"
        kwargs = pre_infer_hook({"inputs": {}})
        tokens = []
        for _ in range(6):
            scores = torch.zeros(len(requests), 50)
            for processor in kwargs["inputs"].get("logits_processor", []):
                scores = processor(None, scores)
            tokens.append(scores.argmax(dim=1).tolist())
        return responses([" ".join(map(str, row)) for row in zip(*tokens, strict=True)])


class VllmEngine:
    """As ms-swift's: the seed of the request is that of the first row, those of the others are numbered from it."""

    def _add_request(self, inputs, generation_config, request_id, adapter_request=None):
        self.seeds.append(generation_config.seed)

    def infer(self, requests, config, use_tqdm):
        self.seeds = []
        for number, request in enumerate(requests):
            self._add_request(request, SimpleNamespace(seed=config.seed + number), str(number), adapter_request=None)
        return responses(self.seeds)


def drawn(engine, rows, **settings) -> dict:
    settings = GenerationSettings(**{"temperature": 0.9, "samples": 2, "batch_size": 3} | settings)
    return {
        (row["window_id"], row["sample"]): row["completion"]
        for batch in complete(engine, rows, settings, seed=1)
        for row in batch
    }


@pytest.mark.parametrize(("engine", "backend"), [(TransformersEngine, "transformers"), (VllmEngine, "vllm")])
def test_a_row_is_drawn_the_same_whatever_is_drawn_beside_it(engine, backend):
    whole = drawn(engine(), ROWS, backend=backend)
    assert len(whole) == len(ROWS)
    assert len(set(whole.values())) == len(ROWS), "and no two rows share a stream"
    for start in range(len(ROWS)):
        assert drawn(engine(), ROWS[start:], backend=backend).items() <= whole.items()
    assert drawn(engine(), ROWS, backend=backend, batch_size=2) == whole


def test_batches_have_the_size_of_the_settings():
    engine = TransformersEngine()
    drawn(engine, ROWS)
    assert engine.batches == [3, 3, 2]


def test_greedy_completions_need_no_seed():
    assert set(drawn(TransformersEngine(), ROWS, temperature=0.0, samples=1).values()) == {"0 0 0 0 0 0"}


def test_the_sampler_draws_from_the_softmax():
    logits, temperature = torch.tensor([0.0, 1.0, 2.0, -1.0]), 0.7
    rows = 20_000
    sampler = RowSampler([row_seed(1, {"window_id": str(row), "sample": 0}) for row in range(rows)], temperature)
    tokens = sampler(None, logits.repeat(rows, 1)).argmax(dim=1)
    shares = torch.bincount(tokens, minlength=4) / rows
    expected = torch.softmax(logits / temperature, dim=0)
    # Four standard errors of a share.
    assert torch.all((shares - expected).abs() < 4 * (expected * (1 - expected) / rows).sqrt())


def test_a_stream_goes_on_from_token_to_token():
    sampler = RowSampler([7], 1.0)
    first, second = (sampler(None, torch.zeros(1, 9)) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(RowSampler([7], 1.0)(None, torch.zeros(1, 9)), first)


def test_each_batch_is_on_the_disk_before_the_next_one(tmp_path, monkeypatch):
    """A node that dies loses one batch."""
    synced, sync = [], generation.os.fsync
    cache = tmp_path / "completions.jsonl"

    def observed(number: int) -> None:
        synced.append(len(cache.read_text().splitlines()))
        sync(number)

    monkeypatch.setattr(generation.os, "fsync", observed)
    row = {"sample": 0, "completion": "x", "completion_tokens": 1}
    batches = [[row | {"window_id": "a"}], [row | {"window_id": "b"}]]
    done = {}
    generation.fill_cache(cache, done, batches, {"a": "digest a", "b": "digest b"}, "label")
    assert synced == [1, 2]
    assert set(done) == {("digest a", 0), ("digest b", 0)}
    assert generation.read_cache(cache).keys() == done.keys()


def test_stages_on_other_base_models_are_not_compared(tmp_path):
    """A base model that was swapped in place between two stages: evaluation refuses them."""
    model, merged = tmp_path / "model", tmp_path / "merged"
    for folder in (model, merged):
        folder.mkdir()
        save_file({"w": np.ones(4)}, folder / "model.safetensors")
    record = merge_record(ModelSettings(str(model)), "adapter")
    (merged / MERGED_ADAPTER).write_text(json.dumps(record))
    assert merge_record(ModelSettings(str(merged)), "another adapter")["base_model"] == record["base_model"]
    write_jsonl(tmp_path / "prompts.jsonl", [])

    def conditions(name: str, folder) -> dict:
        generation = GenerationSettings()
        arguments = {
            "settings": generate_completions.Settings(seed=1, model=ModelSettings(str(folder)), generation=generation),
            "dataset": tmp_path / "prompts.jsonl",
            "store": tmp_path / "store",
            "adapter": "none",
            "firm_type": "banks",
            "stage": name,
            "out": tmp_path / f"{name}.jsonl",
            "conditions": tmp_path / f"{name}.json",
        }
        generate_completions.main(argparse.Namespace(**arguments))
        return {name: read_json(tmp_path / f"{name}.json")}

    grpo = conditions("grpo", merged)
    check_conditions(conditions("base", model) | grpo)
    save_file({"w": np.zeros(4)}, model / "model.safetensors")
    with pytest.raises(InputError, match=r"grpo and base differ in base_model"):
        check_conditions(conditions("base", model) | grpo)
