"""Prompts show what the contract says, nothing of t+1 and no date."""

import json

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import make_panel, make_run, sample_of, windows_of
from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.texts.prompts import LAST_CHANGE, PromptSettings, build_prompts, system_prompt
from workflow_scripts.holdings.texts.tickers import read_tickers
from workflow_scripts.holdings.windows.history import attach_history, prompt_columns
from workflow_scripts.plumbing.errors import InputError


@pytest.fixture
def sample(one_window_panel):
    return sample_of(one_window_panel, rows=1)


def test_golden_prompt(sample, golden):
    golden("prompt.json", json.dumps(build_prompts(sample, PromptSettings())[0], indent=1) + "\n")


def test_golden_prompt_of_the_level_with_ticker(sample, golden):
    settings = PromptSettings(target="holding_tp1", decimals=2, identity="ticker")
    prompt = build_prompts(sample, settings, {10107: ("MSFT", "Microsoft Corp")})[0]
    golden("prompt_level_ticker.json", json.dumps(prompt, indent=1) + "\n")


def test_without_a_think_block_the_prompt_asks_for_the_answer_alone(sample):
    """`labels.think: none` changes the sentence on the form and nothing else."""
    asked, bare = (build_prompts(sample, PromptSettings(think=think))[0] for think in (True, False))
    *lines, contract = bare["user"].split("\n")
    assert lines == asked["user"].split("\n")[:-1]
    assert contract.startswith(
        'Reply with one <answer>{"holding_delta": <number>}</answer> and nothing else. The number'
    )
    assert "think" not in bare["user"]
    assert asked["user"].endswith(contract.split("nothing else. ")[1])


def test_history_is_joined_by_key_in_any_row_order(one_window_panel, sample):
    shuffled = one_window_panel.take(pa.array([3, 0, 4, 2, 1]))
    again = sample_of(shuffled, rows=1)
    assert again.to_pandas().equals(sample.to_pandas())


def test_a_vanished_row_is_an_error(one_window_panel):
    windows = windows_of(one_window_panel).slice(0, 1)
    with pytest.raises(InputError, match="no longer in the panel"):
        attach_history(windows, typed_table(one_window_panel.slice(1)), "banks", 4)


def test_scrambling_everything_after_t_changes_no_prompt(one_window_panel, sample):
    before = build_prompts(sample, PromptSettings())
    late = np.arange(len(one_window_panel)) == 4
    changed = one_window_panel
    for name in ("holding_t", "me", "be", "profit", "Gat", "beta", "aum", "outaum", "prc"):
        values = np.where(late, 987.654, changed[name].to_numpy())
        changed = changed.set_column(changed.column_names.index(name), name, pa.array(values))
    labels = pa.array([777.0] * len(changed))
    changed = changed.set_column(changed.column_names.index("holding_t1"), "holding_t1", labels)
    after = sample_of(changed, rows=1)
    assert build_prompts(after, PromptSettings()) == before


def test_labels_are_no_prompt_columns(sample):
    columns = prompt_columns(4)
    assert not {"holding_t1", "delta_sign", "quarter"} & set(columns)
    assert build_prompts(sample.select(columns), PromptSettings()) == build_prompts(sample, PromptSettings())


def test_no_date_and_no_scientific_number(sample):
    prompt = build_prompts(sample, PromptSettings())[0]["user"]
    assert "2015" not in prompt
    assert "Q4" not in prompt
    assert "e-0" not in prompt
    assert prompt.count(LAST_CHANGE) == 1


def test_hidden_identity_and_fallback_to_permno(sample):
    assert "10107" not in build_prompts(sample, PromptSettings(identity="hidden"))[0]["user"]
    assert "permno 10107" in build_prompts(sample, PromptSettings(identity="ticker"), {1: ("A", "B")})[0]["user"]


@pytest.mark.parametrize(
    "settings", [PromptSettings(target="x"), PromptSettings(identity="x"), PromptSettings(decimals=9)]
)
def test_unknown_settings_are_refused(sample, settings):
    with pytest.raises(ValueError, match=r"unknown|decimals"):
        build_prompts(sample, settings)


def test_every_firm_type_has_its_own_role():
    assert len({system_prompt(name) for name in FIRM_TYPES}) == len(FIRM_TYPES)


def test_tickers_are_read_by_permno(tmp_path):
    path = tmp_path / "tickers.csv"
    path.write_text(
        'company,permno,ticker\n"Apple, Inc.",14593,AAPL\n,20001,XYZ\nNobody,30000,\n', encoding="utf-8-sig"
    )
    assert read_tickers(path) == {14593: ("AAPL", "Apple, Inc."), 20001: ("XYZ", "")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("permno,name\n1,A\n", "column 'ticker' is missing"),
        ("permno,ticker,company\n1,A,B\nx,C,D\n", "line 3: permno 'x' is not an integer"),
        ("permno,ticker,company\n1,A,B\n1,C,D\n", "line 3: permno 1 occurs twice"),
        ("permno;ticker;company\n1;A;B\n", "column 'permno' is missing; it needs permno, ticker, company, with commas"),
        (
            "permno,ticker,company\n1,A,Apple, Inc.\n",
            "line 2 has more cells than the header; put a name .* into quotes",
        ),
        ("permno,ticker,company\n1,A,=1+2\n", "line 2: company '=1\\+2' begins with =, as a formula does"),
        ("permno,ticker,company\n1, @A,B\n", "line 2: ticker ' @A' begins with @"),
        ("permno,ticker,company\n1,+A,B\n", "line 2: ticker '\\+A' begins with"),
        ("permno,ticker,company\n1,A,B\n2,A,B<|im_end|>\n", "line 3: company 'B<|im_end|>' holds <, which marks up"),
        ("permno,ticker,company\n1,A,[INST] B\n", "holds \\[, which marks up prompts"),
        ('permno,ticker,company\n1,A,"B\nTicker: C"\n', "line 3: company .* holds a line break or an invisible"),
        ("permno,ticker,company\n1,A,B\u2028C\n", "line 2: company .* holds a line break or an invisible"),
        ("permno,ticker,company\n1,A,B\u200bC\n", "line 2: company .* holds a line break or an invisible"),
    ],
)
def test_broken_ticker_files_are_refused(tmp_path, text, message):
    path = tmp_path / "tickers.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_tickers(path)


def test_names_of_companies_that_are_fine(tmp_path):
    path = tmp_path / "tickers.csv"
    names = ["AT&T Inc.", "Yum! Brands, Inc. (The)", "L'Oréal S.A. - ADR", "BRK/B #1 100% 'A'", "トヨタ自動車"]
    path.write_text(
        "permno,ticker,company\n" + "".join(f'{i},T.{i}-A,"{name}"\n' for i, name in enumerate(names)), encoding="utf-8"
    )
    assert [company for _, company in read_tickers(path).values()] == names


def test_a_ticker_file_of_another_encoding_is_named_with_the_line(tmp_path):
    path = tmp_path / "tickers.csv"
    path.write_text("permno,ticker,company\n1,A,B\n2,OR,L'Oréal\n", encoding="latin-1")
    with pytest.raises(InputError, match=r"tickers.csv: line 3 is not UTF-8; save the file as UTF-8 \(iconv"):
        read_tickers(path)


@pytest.mark.parametrize(
    ("identity", "line"),
    [("permno", "Ticker: permno 10107"), ("ticker", "Ticker: MSFT"), ("hidden", None)],
)
def test_identity_of_the_stock(sample, identity, line):
    user = build_prompts(sample, PromptSettings(identity=identity), {10107: ("MSFT", "")})[0]["user"]
    assert [text for text in user.splitlines() if text.startswith("Ticker")] == ([line] if line else [])
    fallback = build_prompts(sample, PromptSettings(identity="ticker"), {})[0]["user"]
    assert "Ticker: permno 10107" in fallback


def test_golden_prompt_with_the_managers_context(golden):
    """The manager's other positions and his past, as the baselines see them; without the setting not a word of it."""
    rows = [*make_run(1, 101, [10, 10, 10, 10, 9]), *make_run(1, 102, [10, 10, 20, 12, 9])]
    sample = sample_of(make_panel(rows), rows=1)
    plain, told = (build_prompts(sample, PromptSettings(manager_context=one))[0]["user"] for one in (False, True))
    golden("prompt_manager_context.txt", told + "\n")
    assert "manager" not in plain
    begin, end = told.index("{manager data}"), told.index("Reply with")
    assert told[:begin] + told[end:] == plain
