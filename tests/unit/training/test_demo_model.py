"""The demo's tokenizer survives the reload that ms-swift does; its corpus has the shape of the task."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.holdings.texts.conversations import ThinkStyle
from workflow_scripts.holdings.texts.prompts import LAST_CHANGE, PromptSettings
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.training.demo_model import (
    CorpusStyle,
    build_corpus,
    chat_text,
    curriculum,
    pretrain,
    save_model,
    thin,
    train_tokenizer,
)
from workflow_scripts.training.demo_settings import DemoModelSettings

STYLE = CorpusStyle(PromptSettings(decimals=1), ThinkStyle("holding {holding_change}", 1, 4), 1)
SETTINGS = DemoModelSettings(hidden=16, layers=1, heads=2, feed_forward=16, steps=3, batch=2)


@pytest.fixture(scope="module")
def corpus():
    return build_corpus(STYLE, 0.4, 40, 7)


@pytest.mark.parametrize("template", [None, "", "holding {holding_change}"])
def test_a_share_of_the_corpus_breaks_the_contract_of_the_run_whatever_that_is(template):
    """With a think block, an empty one and none: the base model knows the form, and knows it badly."""
    think = None if template is None else ThinkStyle(template, 1, 4)
    style = CorpusStyle(PromptSettings(decimals=1, think=think is not None), think, 1)
    corpus = build_corpus(style, 0.4, 40, 7)
    contract = Contract(think=think is not None)
    faults = Counter(parse_completion(example.completion, 1e9, contract).fault for example in corpus)
    assert 0.3 < 1 - faults[""] / len(corpus) < 0.5


def test_corpus_is_deterministic_and_partly_malformed(corpus):
    assert corpus == build_corpus(STYLE, 0.4, 40, 7)
    assert len({example.system for example in corpus}) == 7
    faults = Counter(parse_completion(example.completion, 1e9).fault for example in corpus)
    assert 0.3 < 1 - faults[""] / len(corpus) < 0.5


def test_answers_break_by_the_last_change_so_that_greedy_decoding_shows_them(corpus):
    """Of prompts with the same last change all answers break the contract, or none does."""
    broken = {}
    for example in corpus:
        last = example.user.split(LAST_CHANGE)[1].split()[0]
        broken.setdefault(last, set()).add(bool(parse_completion(example.completion, 1e9).fault))
    assert len(broken) > 20
    assert all(len(kinds) == 1 for kinds in broken.values())
    assert {True} in broken.values()
    assert {False} in broken.values()


def test_reloaded_tokenizer_is_the_same(corpus, tmp_path):
    """transformers replaces the pre-tokenizer of every qwen2 tokenizer by Qwen2's own on loading."""
    tokenizer = train_tokenizer(corpus, 512)
    model = pretrain(curriculum(corpus, SETTINGS, 1), tokenizer, SETTINGS, 1, lambda line: None)
    save_model(model, tokenizer, tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    for example in corpus[:50]:
        text = chat_text(example.system, example.user) + example.completion
        ids = tokenizer(text)["input_ids"]
        assert reloaded(text)["input_ids"] == ids
        assert reloaded.decode(ids) == text
    assert (reloaded.pad_token, reloaded.eos_token) == ("<|endoftext|>", "<|im_end|>")


def test_pretraining_is_deterministic(corpus):
    torch.set_num_threads(1)
    tokenizer = train_tokenizer(corpus, 512)
    models = [pretrain(curriculum(corpus, SETTINGS, 1), tokenizer, SETTINGS, 1, lambda line: None) for _ in range(2)]
    for a, b in zip(*(model.state_dict().values() for model in models), strict=True):
        assert torch.equal(a, b)


def test_thinning_keeps_the_last_change(corpus):
    rng = np.random.default_rng(0)
    bare = thin(corpus[0], 0.0, rng).user.split("\n")
    assert len(bare) == 2
    assert bare[1].startswith(LAST_CHANGE)
    assert thin(corpus[0], 1.0, rng) == corpus[0]


def test_tokenizer_does_not_depend_on_the_process():
    """Hash seeds differ from process to process; a vocabulary in their order made every demo another one."""
    code = """
from workflow_scripts.holdings.texts.conversations import ThinkStyle
from workflow_scripts.training.demo_model import CorpusStyle, build_corpus, train_tokenizer
from workflow_scripts.holdings.texts.prompts import PromptSettings
corpus = build_corpus(CorpusStyle(PromptSettings(), ThinkStyle("x", 2, 4), 2), 0.4, 8, 1)
print(hash("a"), train_tokenizer(corpus, 512)._tokenizer.to_str())
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split(" ", 1)
        for seed in ("1", "2")
    ]
    assert len({seed for seed, _ in outputs}) == 2
    assert len({tokenizer for _, tokenizer in outputs}) == 1
