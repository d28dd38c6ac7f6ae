"""The page escapes what it shows, says what was run, and picks sample answers by what became of them."""

import json
import re

import pandas as pd
import pytest

from workflow_scripts.holdings.evaluation.tables import HEADLINE_TARGET
from workflow_scripts.holdings.report.answers import Answer
from workflow_scripts.holdings.report.captions import CAPTIONS
from workflow_scripts.holdings.report.figures import figure
from workflow_scripts.holdings.report.page import SHOWN_WARNINGS, Chapter, Formula, Page, figure_part, render
from workflow_scripts.holdings.report.run_facts import PANELS, RunSettings, run_facts
from workflow_scripts.holdings.report.samples import (
    GAINED,
    LOST,
    UNREAD,
    USUAL,
    Answered,
    Sample,
    chosen_windows,
    sample_answers,
)
from workflow_scripts.holdings.report.tables import table
from workflow_scripts.holdings.windows.splits import SplitSettings
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.settings.config import MADE_PANELS, OWN_SLICES

EVIL = '<b onmouseover="x">&'


def test_everything_that_is_shown_is_escaped():
    frame = pd.DataFrame({"firm_type": [EVIL], "detail": [EVIL]})
    sample = Sample("banks", UNREAD, "w1", [("user", EVIL)], EVIL, EVIL)
    parts = [EVIL, table(EVIL, frame), table(EVIL, frame, folded=True, note=EVIL), sample, [Formula(EVIL, EVIL)]]
    text = render(Page(EVIL, [EVIL], [Answer(EVIL, "good")], [Chapter("One", parts)], [EVIL], warnings=[EVIL]))
    assert "<b onmouseover" not in text
    assert text.count("&lt;b onmouseover=&#34;x&#34;&gt;&amp;") >= 14
    assert "1 row)" in text


def test_a_page_has_contents_figures_with_words_and_folded_warnings(tmp_path):
    with figure("x", tmp_path / "skill", (1, 1), 2.0):
        pass
    page = Page("run", [], [], [Chapter("By quarter", [figure_part(tmp_path / "skill.png", "banks")])],
                warnings=[f"warning {i}" for i in range(SHOWN_WARNINGS + 2)])  # fmt: skip
    text = render(page)
    assert '<a href="#by-quarter">By quarter</a>' in text
    assert 'id="by-quarter"' in text
    assert f"<b>{CAPTIONS['skill'].title}: banks.</b>" in text
    width, height = map(int, re.search(r'width="(\d+)" height="(\d+)" src="data:image/png', text).groups())
    assert (width, height) == (1040, 400), "inches times dots"
    assert "<summary>2 more</summary>" in text
    assert '<meta name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text
    assert render(page) == text


def test_every_figure_of_the_rules_has_a_caption():
    names = re.findall(r'"(\w+)"', re.search(r"FIGURES = \((.*?)\)", (ROOT / "rules/report.smk").read_text(), re.S)[1])
    distributions = re.search(
        r"DISTRIBUTION_TABLES = \((.*?)\)", "".join(p.read_text() for p in (ROOT / "rules").glob("*.smk")), re.S
    )
    names += re.findall(r'"(\w+)"', distributions[1])
    assert len(names) == 9
    of_runs = {"differences", "curve"}
    assert {*names, "skill", "answer", "training"} | of_runs == set(CAPTIONS)


def windows(*rows: tuple) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Truth and predictions from (window_id, position, truth, forecast); a forecast of None was not read."""
    table = pd.DataFrame(rows, columns=["window_id", "holding_t", "truth", "predicted_delta"])
    predictions = table[["window_id", "predicted_delta"]].astype({"predicted_delta": float})
    return table[["window_id", "holding_t", "truth"]], predictions.assign(parsed=predictions["predicted_delta"].notna())


def test_samples_are_picked_by_their_gain_on_no_change_over_the_position():
    """By hand: gains .1 - 0 = .1; 0; (1 - 3) / 10 = -.2; c gains more dollars than a, and less of its position."""
    truth, predictions = windows(
        ("a", 10.0, 1.0, 1.0), ("b", 10.0, 1.0, 0.0), ("c", 1000.0, 5.0, 5.0), ("d", 10.0, 1.0, 4.0),
        ("e", 10.0, 1.0, None), ("f", 0.0, 1.0, 1.0),
    )  # fmt: skip
    assert chosen_windows(truth, predictions) == {GAINED: "a", USUAL: "c", LOST: "d", UNREAD: "e"}


def test_nothing_is_called_a_gain_that_is_none():
    truth, predictions = windows(("a", 10.0, 1.0, 0.0), ("b", 10.0, 1.0, 0.0))
    assert chosen_windows(truth, predictions) == {USUAL: "b"}
    truth, predictions = windows(("a", 10.0, 1.0, None))
    assert chosen_windows(truth, predictions) == {UNREAD: "a"}


def test_a_sample_shows_what_was_asked_and_written_and_not_the_label(tmp_path):
    messages = [{"role": "user", "content": "asked"}, {"role": "assistant", "content": "the label"}]
    row = {"window_id": "a", "holding_t": 10.0, "label_delta": -1.0, "messages": messages}
    (tmp_path / "test.jsonl").write_text(json.dumps(row) + "\n")
    written = [{"window_id": "a", "sample": i, "completion": f"answer {i}"} for i in range(2)]
    (tmp_path / "grpo.jsonl").write_text("".join(json.dumps(one) + "\n" for one in written))
    (tmp_path / "grpo.csv").write_text("window_id,predicted_delta,parsed\na,-0.5,True\n")
    files = Answered("banks", tmp_path / "test.jsonl", tmp_path / "grpo.jsonl", tmp_path / "grpo.csv")
    (sample,) = sample_answers(files, "label_delta")
    assert sample.messages == [("user", "asked")]
    assert sample.completion == "answer 0"
    assert sample.kind == GAINED
    assert sample.outcome.replace("\N{MINUS SIGN}", "-") == "forecast -0.500, truth -1.000, position 10.000 ($ million)"


@pytest.fixture
def settings() -> RunSettings:
    return RunSettings("simulated", 4, SplitSettings(), seed=7, samples=1, temperature=0.0, max_tokens=64)


def test_what_was_run_is_told_in_the_order_of_the_stages(settings):
    panel = {"firm_type": "banks", "rows": 12345, "managers": 8, "stocks": 20,
             "first_quarter": "2014Q1", "last_quarter": "2021Q4"}  # fmt: skip
    manifest = {
        "firm_type": "banks", "steps": 30, "rows": 1600,
        "identity": {"stage": "grpo", "options": {"lora_rank": 32, "learning_rate": 4e-4, "reward_weights": [0.3, 0.7]},
                     "rewards": {"settings": {"names": ["contract_holdings", "mse_holdings"]}},
                     "versions": {"torch": "2.13.0", "ms-swift": "4.6.0"}},
    }  # fmt: skip
    sft = {**manifest, "identity": {**manifest["identity"], "stage": "sft", "rewards": {}}}
    samples = [{"firm_type": "banks", "split": "test", "sampled": 1000}]
    facts = {one.term: list(one.lines) for one in run_facts(
        settings, "active_delta", [panel], samples, [manifest, sft], ["Qwen/Qwen2.5-7B-Instruct"])}  # fmt: skip
    assert facts["Panel"] == [
        "simulated: no real manager is in it",
        "banks: 2014Q1 to 2021Q4, 12,345 rows, 8 managers, 20 stocks",
    ]
    assert facts["Windows"][-1] == "test: 2019-01-01 to the last quarter; windows: banks 1,000"
    assert facts["Base model"] == ["Qwen/Qwen2.5-7B-Instruct"]
    assert facts["Trained on"] == [
        "the active change (active_delta)",
        "banks SFT: 30 steps on 1,600 windows, LoRA of rank 32, learning rate 0.0004",
        "banks GRPO: 30 steps on 1,600 windows, LoRA of rank 32, learning rate 0.0004, rewards 0.3 contract_holdings, "
        "0.7 mse_holdings",
    ]
    assert facts["Seed"] == ["7"]
    assert facts["Versions"] == ["ms-swift 4.6.0, torch 2.13.0"]


def test_the_toy_is_not_taken_for_a_language_model(settings):
    facts = {one.term: one.lines for one in run_facts(settings, "holding_delta", [], [], [], ["demo"])}
    assert "no language model" in facts["Base model"][0]
    without = [one.term for one in run_facts(settings, "holding_delta", [], [], [], [])]
    assert "Base model" not in without
    assert "Answers" not in without


def test_every_kind_of_panel_has_its_words():
    assert set(PANELS) == {*MADE_PANELS, OWN_SLICES}
    assert HEADLINE_TARGET == "active_change", "the question says so"
