"""The check of a stage's answers says where another way to load it answers differently."""

import argparse

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from workflow_scripts import check_answers
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import write_jsonl
from workflow_scripts.training import answers
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.generation import GenerationSettings


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Two models, and an engine that gives -1 on the adapter and what `said` holds by way and number of the prompt."""
    for name in ("start", "merged"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        save_file({"w": np.ones(4)}, tmp_path / name / "model.safetensors")
    row = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "secret"}], "holding_t": 5.0}
    write_jsonl(tmp_path / "test.jsonl", [{**row, "window_id": f"w{n}"} for n in range(60)])
    said: dict[tuple[str, int], str] = {}
    asked = []

    def engine(model, adapter, settings):
        by_vllm = settings.backend == "vllm"
        return ("vllm_adapter" if by_vllm else "adapter") if adapter else "vllm" if by_vllm else "merged"

    def complete(engine, prompts, settings, seed):
        assert (settings.temperature, settings.samples) == (0.0, 1), "greedy, whatever the config says"
        for prompt in prompts:
            assert [message["role"] for message in prompt["messages"]] == ["user"]
            asked.append((engine, prompt["window_id"]))
            usual = '<think>x</think><answer>{"holding_delta": -1}</answer>'
            text = said.get((engine, int(prompt["window_id"][1:])), usual)
            yield [{"window_id": prompt["window_id"], "completion": text}]

    monkeypatch.setattr(answers, "build_engine", engine)
    monkeypatch.setattr(answers, "complete", complete)
    monkeypatch.setattr(answers, "_free_memory", lambda: None)

    def run(**model) -> str:
        return check_answers.main(
            argparse.Namespace(
                firm_type="banks",
                stage="sft",
                dataset=str(tmp_path / "test.jsonl"),
                adapter=str(tmp_path / "adapter"),
                merged=str(tmp_path / "merged"),
                settings=check_answers.Settings(
                    ModelSettings(str(tmp_path / "start"), **model),
                    GenerationSettings(temperature=0.7, samples=3),
                    Contract(),
                ),
                out=str(tmp_path / "sft.csv"),
            )
        )

    return run, said, asked, tmp_path / "sft.csv"


def test_equal_answers_are_told_without_a_warning(stage):
    run, _, asked, out = stage
    message = run()
    assert "WARNING" not in message
    assert "merged gives another text than the adapter on its start model for 0 of 20 prompts" in message
    assert "compared adapter, merged; vLLM is not installed here, or there is no GPU" in message
    assert asked[:20] == [("adapter", f"w{3 * n}") for n in range(20)], "evenly over the dataset"
    assert pd.read_csv(out)["merged_delta"].tolist() == [-1.0] * 20


def test_another_text_and_another_forecast_are_told_apart(stage):
    run, said, _, out = stage
    said["merged", 3] = '<think>y</think><answer>{"holding_delta": -1.0}</answer>'
    said["merged", 9] = '<think>x</think><answer>{"holding_delta": 2}</answer>'
    said["merged", 12] = "nothing"
    message = run()
    assert "WARNING: merged gives another text" in message
    assert "for 3 of 20 prompts, another forecast for 2: w9, w12" in message
    table = pd.read_csv(out).set_index("window_id")
    assert table.loc["w9", ["adapter_delta", "merged_delta"]].tolist() == [-1.0, 2.0]
    assert np.isnan(table.loc["w12", "merged_delta"])


def test_a_merged_model_that_answers_otherwise_in_float32_is_an_error(stage):
    run, said, _, out = stage
    assert "WARNING" not in run(torch_dtype="float32")
    said["merged", 9] = '<think>x</think><answer>{"holding_delta": 2}</answer>'
    assert "WARNING: merged" in run(torch_dtype="bfloat16")
    with pytest.raises(
        InputError, match=r"for 1 of 20 prompts, another forecast for 1: w9\nIn float32 they have to be"
    ):
        run(torch_dtype="float32")
    assert pd.read_csv(out).set_index("window_id").loc["w9", "merged_delta"] == 2.0, "the table is there all the same"


def test_vllm_is_compared_where_it_is_there(stage, monkeypatch):
    run, said, _, _ = stage
    monkeypatch.setattr(answers.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(answers, "hardware", lambda: {"gpus": ["one"]})
    said["vllm", 0] = said["vllm_adapter", 3] = said["vllm_adapter", 6] = "nothing"
    message = run()
    assert "WARNING: vllm_adapter gives another text than the adapter on its start model for 2 of 20" in message
    assert "WARNING: vllm gives another text" in message
    assert "WARNING: merged" not in message
