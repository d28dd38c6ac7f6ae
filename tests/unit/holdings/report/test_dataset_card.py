"""The dataset card: what `datasets` reads of it, and what it must say."""

import yaml
from datasets import load_dataset

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.report.dataset_card import CardFacts, dataset_card, split_facts
from workflow_scripts.holdings.texts.conversations import grpo_rows, holdout_rows, sft_rows
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.plumbing.files import file_digest, write_jsonl


def write_splits(folder, **overrides):
    """The three datasets of two windows in a folder; returns the rows by split."""
    panel = make_panel(make_run(1, 7, [1.0, 2, 3, 4, 5]) + make_run(2, 7, [9.0, 8, 7, 6, 5.5]), **overrides)
    sample = sample_of(panel).take([0, 2])
    prompts = build_prompts(sample, PromptSettings())
    rows = {
        "sft": sft_rows(prompts, sample, "holding_delta", 2, None)[0],
        "grpo": grpo_rows(prompts, sample),
        "test": holdout_rows(prompts, sample),
    }
    for name, part in rows.items():
        write_jsonl(folder / f"{name}.jsonl", part)
    return rows


def test_all_splits_have_the_same_columns_and_load_in_one_call(tmp_path):
    """`load_dataset` refuses splits of different columns: before, those of sft, grpo and test differed."""
    rows = write_splits(tmp_path)
    assert {tuple(row) for part in rows.values() for row in part} == {tuple(rows["test"][0])}
    files = {name: str(tmp_path / f"{name}.jsonl") for name in rows}
    splits = load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in splits.items()} == {"sft": 2, "grpo": 2, "test": 2}
    assert splits["sft"].features == splits["test"].features


def test_the_folder_loads_by_its_card_even_where_a_label_is_missing_everywhere(tmp_path):
    """Without a price there is no active change. A column without any value has no type but the card's."""
    rows = write_splits(tmp_path, prc=lambda i: None)
    assert {row["label_active"] for row in rows["sft"]} == {None}
    splits = {name: split_facts(part, file_digest(tmp_path / f"{name}.jsonl")) for name, part in rows.items()}
    card = dataset_card("mutual_funds", CardFacts("slices", "holding_delta", 1), splits)
    (tmp_path / "README.md").write_text(card)
    loaded = load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["sft", "grpo", "test"]
    assert loaded["sft"].features["label_active"].dtype == "float64"
    assert loaded["test"][0]["messages"] == rows["test"][0]["messages"]
    assert loaded["test"].column_names == list(rows["test"][0]), "the card names every column"


def test_the_card_tells_what_the_rows_are_and_whose(tmp_path):
    rows = write_splits(tmp_path)
    splits = {name: split_facts(part, "0" * 64) for name, part in rows.items()}
    card = dataset_card("mutual_funds", CardFacts("slices", "holding_delta", 1), splits)
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["configs"][0]["data_files"][0] == {"split": "sft", "path": "sft.jsonl"}
    assert "| test | 2 | 2015Q4 to 2015Q4 | 2 | 1 |" in card
    assert "licence" in card
    assert "simulated" in dataset_card("banks", CardFacts("simulated", "holding_delta", 1), splits)
    assert "| `label_active` | $ million | true active change" in card
