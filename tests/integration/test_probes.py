"""The probes by the real ms-swift: a model that was trained on the test answers is caught, an honest one is not.

Both are trained from scratch, in the same way and for as long, until they know their windows by heart: one on the test
windows, the other on those of the SFT split. So what tells them apart is whose answers they have seen.
"""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.project import Project, checkout, tiny_config
from workflow_scripts.holdings.evaluation.probes import BY_NAME
from workflow_scripts.holdings.texts.conversations import sft_rows
from workflow_scripts.plumbing.files import read_jsonl
from workflow_scripts.training.demo_model import Example, make_repeatable, pretrain, save_model, train_tokenizer
from workflow_scripts.training.demo_settings import DemoModelSettings

pytestmark = pytest.mark.slow
WINDOWS, DECIMALS, STEPS, BATCH = 48, 3, 90, 24
TRAINED_ON = {"planted": "test", "honest": "sft"}


def config(run: str, **changes) -> dict:
    settings = {
        "run": run,
        "firm_types": ["banks"],
        "windows": {"history_quarters": 2},
        "sample": {name: {"per_type_limit": WINDOWS} for name in ("sft", "grpo", "test")},
        "prompts": {"decimals": 2},
        "labels": {"decimals": DECIMALS, "think": "none"},
        "evaluation": {"stages": ["base"]},
        "generation": {"max_tokens": 24},
    }
    return tiny_config(**(settings | changes))


def examples(project: Project, split: str) -> list[Example]:
    folder = project.root / "results/data/banks"
    sample, prompts = pq.read_table(folder / f"samples/{split}.parquet"), read_jsonl(folder / f"prompts/{split}.jsonl")
    rows, _ = sft_rows(prompts, sample, "holding_delta", DECIMALS, None)
    return [Example(*(message["content"] for message in row["messages"])) for row in rows]


@pytest.fixture(scope="module")
def probed(tmp_path_factory) -> Project:
    """A run of each model up to the page of the probes."""
    project = checkout(tmp_path_factory.mktemp("probes"))
    result = project.run(
        config("data"), *(f"results/data/banks/prompts/{split}.jsonl" for split in TRAINED_ON.values())
    )
    assert result.returncode == 0, result.stdout + result.stderr
    make_repeatable(1)
    seen = {name: examples(project, split) for name, split in TRAINED_ON.items()}
    tokenizer = train_tokenizer([one for part in seen.values() for one in part], 512)
    training = DemoModelSettings(steps=STEPS, batch=BATCH, learning_rate=4e-3)
    for name, known in seen.items():
        rng = np.random.default_rng(0)
        batches = [[known[i] for i in rng.choice(len(known), BATCH, replace=False)] for _ in range(STEPS)]
        model = pretrain(batches.__getitem__, tokenizer, training, 1, lambda line: None)
        (project.root / name).mkdir()
        save_model(model, tokenizer, project.root / name)
        result = project.run(config(name, model={"path": name}), "probe")
        assert result.returncode == 0, result.stdout + result.stderr
    return project


def table(project: Project, run: str) -> pd.DataFrame:
    return pd.read_csv(project.root / f"results/{run}/probes/banks.csv").set_index(["probe", "statistic"])


def test_a_model_that_has_seen_the_test_answers_is_caught(probed):
    """By the digits that nobody can forecast: its low error alone could be skill."""
    found = table(probed, "planted")
    digits = found.loc[("digits", "rank")]
    assert digits["estimate"] > 0.9
    assert digits["lower"] > 0.8
    assert "it REMEMBERS: the true last digits" in digits["finding"]
    page = (probed.root / "results/planted/probes/report.html").read_text()
    assert "banks, base: memory of the test windows is shown (rank of the true last digits" in page


def test_a_model_that_has_learnt_other_windows_as_thoroughly_is_not(probed):
    found = table(probed, "honest")
    digits = found.loc[("digits", "rank")]
    assert digits["n_windows"] > 40
    assert digits["lower"] < 0.5 < digits["upper"]
    assert digits["finding"] == "no memory of the answers' last digits shown"
    page = (probed.root / "results/honest/probes/report.html").read_text()
    assert "banks, base: no memory of the test windows is shown (rank" in page
    assert "REMEMBERS" not in page


def test_every_statistic_is_in_the_table_and_every_column_described(probed):
    for run in TRAINED_ON:
        found = pd.read_csv(probed.root / f"results/{run}/probes/banks.csv")
        # Without a knowledge cut-off nothing is told apart by it.
        assert [(row.probe, row.statistic) for row in found.itertuples()] == [
            key for key in BY_NAME if not key[1].endswith("_cutoff")
        ]
        described = pd.read_csv(probed.root / f"results/{run}/probes/data_dictionary.csv")
        assert list(described["column"]) == list(found.columns)


def test_log_probabilities_are_those_of_transformers_and_peft(edited):
    """By ms-swift's template in padded batches, or the tokens of each answer alone after the chat template's prompt."""
    names = ("base", "sft")
    folder = edited.results("banks/probes")
    targets = [f"results/tiny/banks/probes/log_probabilities/{name}.jsonl" for name in names]
    result = edited.run(tiny_config(probes={"windows": 6, "answers": 3}), *targets)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = read_jsonl(folder / "ranked.jsonl")
    assert len(rows) >= 6
    model = AutoModelForCausalLM.from_pretrained(edited.results("demo_model"), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(edited.results("demo_model"))
    values = {}
    for name in names:
        if name == "sft":
            model = PeftModel.from_pretrained(model, edited.results("banks/adapters/sft"))
        values[name] = np.array(
            [row["log_probabilities"] for row in read_jsonl(folder / f"log_probabilities/{name}.jsonl")]
        )
        expected = [
            [answer_log_probability(model, tokenizer, row["messages"], answer) for answer in row["answers"]]
            for row in rows
        ]
        np.testing.assert_allclose(values[name], expected, rtol=1e-4)
    assert np.abs(values["sft"] - values["base"]).min() > 1e-4, "the adapter counts"
    # What the store has is not looked at again.
    (folder / "log_probabilities/sft.jsonl").unlink()
    result = edited.run(tiny_config(probes={"windows": 6, "answers": 3}), targets[1])
    assert f"0 ranked, {len(rows)} from the store" in result.stdout + result.stderr


def answer_log_probability(model, tokenizer, messages: list[dict], answer: str) -> float:
    prompt = tokenizer(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))["input_ids"]
    # What SFT learns of an answer: ms-swift's template closes it with a line break.
    tokens = tokenizer(f"{answer}<|im_end|>\n")["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    return float(logits.log_softmax(-1)[range(len(tokens)), tokens].sum())


def test_a_second_run_does_nothing_and_another_setting_of_probes_trains_nothing(probed):
    settings = config("honest", model={"path": "honest"})
    assert probed.plan(settings, "probe") == {}
    probes = {"build_probes": 1, "generate_probes": 1, "rank_answers": 1, "score_probes": 1, "report_probes": 1}
    assert probed.plan(settings | {"probes": {"answers": 5}}, "probe") == {**probes, "probe": 1}
