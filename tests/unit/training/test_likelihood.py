"""Log-probabilities of given answers: padding and batches change none, and the store has each for its own model."""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from workflow_scripts import rank_answers
from workflow_scripts.plumbing.files import read_jsonl, write_jsonl
from workflow_scripts.training import generation, store
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.likelihood import IGNORED, log_probabilities

PROMPT = [5, 6, 7, 8]
MESSAGES = [{"role": "user", "content": "?"}]


class Template:
    """A token per character of an answer, after the prompt's, which carry no loss."""

    tokenizer = SimpleNamespace(pad_token_id=0)
    mode = ""

    def set_mode(self, mode: str) -> None:
        self.mode = mode

    def encode(self, conversation: dict) -> dict:
        assert conversation["messages"][:-1] == MESSAGES
        answer = [ord(one) - 40 for one in conversation["messages"][-1]["content"]]
        return {"input_ids": PROMPT + answer, "labels": [IGNORED] * len(PROMPT) + answer}


@pytest.fixture(scope="module")
def engine():
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, initializer_range=0.5,
    )  # fmt: skip
    return SimpleNamespace(model=Qwen2ForCausalLM(config).eval(), template=Template())


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_answers_of_any_length_in_any_batch_have_their_own_log_probability(engine, batch_size):
    answers = ["1", "12345", "-9.5", "7777777777"]
    expected = []
    for answer in answers:
        ids = engine.template.encode({"messages": [*MESSAGES, {"role": "assistant", "content": answer}]})["input_ids"]
        with torch.no_grad():
            each = engine.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected.append(sum(float(each[place - 1, ids[place]]) for place in range(len(PROMPT), len(ids))))
    found = log_probabilities(engine, MESSAGES, answers, batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.fixture
def ranked(tmp_path, monkeypatch, engine):
    """Runs the entry module on two windows; returns its line and the fingerprint in the store."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    save_file({"w": np.ones(4)}, tmp_path / "model/model.safetensors")
    (tmp_path / "adapter").mkdir()
    save_file({"a": np.ones(4)}, tmp_path / "adapter/adapter_model.safetensors")
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps({"r": 8, "lora_alpha": 32}))
    monkeypatch.setattr(generation, "build_engine", lambda model, adapter, settings: engine)
    monkeypatch.setattr(generation, "check_adapter", lambda adapter, model: None)

    def run(answers=("1", "22"), adapter="adapter", batch_size=4) -> tuple[str, str]:
        rows = [{"window_id": f"w{n}/digits", "messages": MESSAGES, "answers": answers, "true_place": 1} for n in "12"]
        write_jsonl(tmp_path / "ranked.jsonl", rows)
        before = set((tmp_path / "store").glob("*"))
        line = rank_answers.main(
            argparse.Namespace(
                firm_type="banks", stage="sft", ranked=str(tmp_path / "ranked.jsonl"),
                adapter="none" if adapter == "none" else str(tmp_path / adapter),
                settings=rank_answers.Settings(ModelSettings(str(tmp_path / "model")), batch_size),
                store=str(tmp_path / "store"), out=str(tmp_path / "out.jsonl"),
            )
        )  # fmt: skip
        return line, "".join(path.name for path in set((tmp_path / "store").glob("*")) - before)

    return run, tmp_path


def test_what_the_store_has_is_not_looked_at_again_and_goes_on_where_it_was_killed(ranked):
    run, folder = ranked
    assert run()[0] == "rank_answers banks sft: 2 ranked, 0 from the store"
    whole = read_jsonl(folder / "out.jsonl")
    assert [sorted(row) for row in whole] == [["log_probabilities", "window_id"]] * 2
    assert run()[0] == "rank_answers banks sft: 0 ranked, 2 from the store"
    (cache,) = folder.glob("store/*/completions.jsonl")
    cache.write_text(cache.read_text()[:-20])
    assert run()[0] == "rank_answers banks sft: 1 ranked, 1 from the store"
    assert read_jsonl(folder / "out.jsonl") == whole
    assert run(answers=("1", "23"))[0] == "rank_answers banks sft: 2 ranked, 0 from the store"


def test_all_that_can_change_a_probability_is_in_its_fingerprint(ranked, monkeypatch):
    """Else a table would show the memory of another model."""
    run, folder = ranked
    assert run()[1]
    assert run()[1] == "", "the same again"
    assert run(adapter="none")[1]
    assert run(batch_size=5)[1]
    config = folder / "adapter/adapter_config.json"
    config.write_text(json.dumps({"r": 8, "lora_alpha": 64}))
    assert run()[1], "the same matrices, scaled otherwise"
    save_file({"a": np.zeros(4)}, folder / "adapter/adapter_model.safetensors")
    assert run()[1]
    save_file({"w": np.zeros(4)}, Path(folder / "model/model.safetensors"))
    assert run()[1]
    version = store.importlib.metadata.version
    monkeypatch.setattr(store.importlib.metadata, "version", lambda name: version(name) + "x")
    assert run()[1]
