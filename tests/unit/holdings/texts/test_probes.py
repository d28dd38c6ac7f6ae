"""Probes change one thing of the run's prompts, and the true answer stands among others that chance could have made."""

import re

import numpy as np
import pyarrow.compute as pc
import pytest

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.holdings.texts.probe_answers import DIGITS, OTHERS, AnswerStyle, answer_rows, digit_grid
from workflow_scripts.holdings.texts.probe_prompts import (
    ASKED,
    IDENTITY,
    RECALL,
    REIDENTIFICATION,
    SCALE,
    ProbeSettings,
    factors,
    probe_rows,
)
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts

TICKERS = {10107: ("MSFT", "Microsoft Corp")}
MONEY_NUMBER = re.compile(
    r"(?:me|be|aum|outaum|holding|price)=([\d.]+)|(?:to t(?:-\d)?:|holding_t = -) ?(-?\d+(?:\.\d+)?)"
)
RATIO = re.compile(r"(?:profit|Gat|beta)=(\S+)")


@pytest.fixture
def sample(one_window_panel):
    return sample_of(one_window_panel, rows=1)


@pytest.fixture
def windows():
    """Sixty windows of ten stocks, with positions and changes of many digits."""
    rng = np.random.default_rng(3)
    rows = [row for stock in range(10) for row in make_run(7 + stock % 3, 10100 + stock, list(rng.uniform(10, 30, 10)))]
    sample = sample_of(make_panel(rows))
    return sample.filter(pc.is_finite(sample["holding_t1"]))


def user_texts(rows: list[dict]) -> dict[str, str]:
    return {row["probe"]: row["messages"][1]["content"] for row in rows}


def test_another_currency_changes_every_amount_of_money_and_nothing_else(sample):
    """Ratios, names and words stay; every amount, price and bound is the same times the factor."""
    plain = build_prompts(sample, PromptSettings())[0]["user"]
    row = probe_rows(sample, np.array([4.0]), PromptSettings())[0]
    scaled = row["messages"][1]["content"]
    before, after = ([float(a or b) for a, b in MONEY_NUMBER.findall(text)] for text in (plain, scaled))
    assert len(before) == 27
    np.testing.assert_allclose(after, 4 * np.array(before), atol=3e-6)
    assert RATIO.findall(scaled) == RATIO.findall(plain)
    assert MONEY_NUMBER.sub("", scaled) == MONEY_NUMBER.sub("", plain)
    assert (row["factor"], row["holding_t"]) == (4.0, 4 * 3.357637)


def test_factors_are_as_often_below_one_as_above():
    found = factors(4000, 8.0, np.random.default_rng(1))
    assert 1 / 8 <= found.min() < 0.13
    assert 7.7 < found.max() <= 8
    assert abs(np.log(found).mean()) < 0.06


@pytest.mark.parametrize(
    ("identity", "tickers", "shown"),
    [("permno", None, ""), ("ticker", TICKERS, ""), ("hidden", TICKERS, "MSFT"), ("hidden", None, "permno 10107")],
)
def test_the_identity_probe_hides_what_is_named_and_names_what_is_hidden(sample, identity, tickers, shown):
    settings = PromptSettings(identity=identity)
    plain = build_prompts(sample, settings, tickers)[0]["user"].split("\n")
    row = next(row for row in probe_rows(sample, np.ones(1), settings, tickers) if row["probe"] == IDENTITY)
    other = row["messages"][1]["content"].split("\n")
    named, hidden = (other, plain) if identity == "hidden" else (plain, other)
    assert [line for line in named if line not in hidden] == [named[2]]
    assert [line for line in hidden if line not in named] == []
    assert named[2].startswith("Ticker: ")
    assert shown in named[2]
    assert (row["identity"] == "hidden") == (identity != "hidden")


def test_recall_is_asked_without_any_history_and_names_the_quarter_of_the_label(sample):
    text = user_texts(probe_rows(sample, np.ones(1), PromptSettings(), TICKERS))[RECALL]
    # The window ends in 2015Q4; its label is the position of 2016Q1.
    assert text.count("2016Q1") == 2
    assert "number 7 " in text
    assert "MSFT (Microsoft Corp)" in text
    assert "data}" not in text
    assert not re.search(r"\d\.\d", text)


def test_a_hidden_window_is_shown_whole_and_without_its_name(sample):
    rows = probe_rows(sample, np.ones(1), PromptSettings(), TICKERS)
    text, plain = (
        user_texts(rows)[REIDENTIFICATION],
        build_prompts(sample, PromptSettings(identity="hidden"))[0]["user"],
    )
    assert text.split("\n")[1:-1] == plain.split("\n")[2:-1]
    assert "holding_delta" not in text
    assert not {"MSFT", "Microsoft", "10107"} & set(re.findall(r"\w+", text))
    assert next(row for row in rows if row["probe"] == REIDENTIFICATION)["stock"] == "MSFT"
    assert probe_rows(sample, np.ones(1), PromptSettings())[0]["stock"] == "10107"


def test_no_question_shows_what_is_dated_after_t(one_window_panel):
    """The position of t+1 scrambled: the same questions, to the letter."""
    late = one_window_panel.to_pandas()
    late.loc[3, "holding_t1"] = late.loc[4, "holding_t"] = 999.25
    asked = [
        probe_rows(sample_of(panel, rows=1), np.array([3.0]), PromptSettings())
        for panel in (one_window_panel, type(one_window_panel).from_pandas(late, one_window_panel.schema))
    ]
    assert asked[0] == asked[1]
    assert [row["probe"] for row in asked[0]] == list(ASKED)
    assert "999" not in str(asked)
    assert asked[0][0]["probe"] == SCALE


def test_the_truth_is_anywhere_in_its_grid_and_the_grid_within_its_span():
    """Only then is each of the numbers as likely to be the true one: a model that likes the middle gains nothing."""
    truth, span = np.full(4000, 12.34), np.full(4000, 0.5)
    grid, place = digit_grid(truth, span, 2, 5, np.random.default_rng(2))
    assert (grid[np.arange(4000), place] == 12.34).all()
    np.testing.assert_allclose(np.diff(grid, axis=1), 0.12)
    assert np.abs(np.bincount(place) / 4000 - 0.2).max() < 0.03
    coarse, _ = digit_grid(truth[:1], np.array([0.03]), 2, 5, np.random.default_rng(2))
    assert np.isnan(coarse).all()


@pytest.mark.parametrize("error", [1.0, 0.5, 0.2])
def test_nobody_can_forecast_the_last_digits_however_good_the_forecast(error):
    """Of a model that knows the density of the truth, and prefers round numbers, the ranks are those of chance.

    `error` is the standard deviation of its forecast's error, in mean past changes. What skill adds is a fifteenth of
    the grid's span over that: .003, .007 and .017.
    """
    rng = np.random.default_rng(4)
    n, answers, span = 40_000, 10, ProbeSettings.digit_span
    truth = rng.normal(size=n)
    forecast = truth + error * rng.normal(size=n)
    grid, place = digit_grid(truth, np.full(n, span), 4, answers, rng)
    density = -(((grid - forecast[:, None]) / error) ** 2) / 2 + 0.3 * (np.rint(grid * 1e4) % 10 == 0)
    true = density[np.arange(n), place]
    rank = ((density < true[:, None]).sum(axis=1) + ((density == true[:, None]).sum(axis=1) - 1) / 2) / (answers - 1)
    assert abs(rank.mean() - 0.5 - span / error / 15) < 0.005


def test_sets_hold_the_true_answer_once_and_others_that_could_be_true(windows):
    style = AnswerStyle("holding_delta", 3, None)
    prompts = build_prompts(windows, PromptSettings(think=False))
    rows = answer_rows(windows, prompts, style, ProbeSettings(), np.random.default_rng(5))
    known = {one["window_id"]: one for one in windows.to_pylist()}
    by_probe = {probe: [row for row in rows if row["probe"] == probe] for probe in (DIGITS, OTHERS)}
    assert len(by_probe[OTHERS]) == len(known)
    assert len(by_probe[DIGITS]) > 0.8 * len(known)
    for row in rows:
        one = known[row["window"]]
        numbers = [parse_completion(answer, one["holding_t"], Contract(think=False)) for answer in row["answers"]]
        assert all(number.valid for number in numbers), "answers obey the contract and its bound"
        truth = round(one["holding_t1"] - one["holding_t"], 3)
        assert numbers[row["true_place"]].delta == truth
        if row["probe"] == DIGITS:
            assert len({number.delta for number in numbers}) == 10
            assert max(abs(number.delta - truth) for number in numbers) < ProbeSettings.digit_span * 20
        assert row["messages"][1]["content"] == next(p["user"] for p in prompts if p["window_id"] == row["window"])
    places = np.array([row["true_place"] for row in by_probe[OTHERS]])
    assert len(set(places.tolist())) > 5


def test_trades_that_can_be_forecast_to_the_last_digit_are_no_digits(one_window_panel):
    """A full exit, and a position that stays: their digits are known without any memory."""
    for last, kept in ((0.0, 0), (3.357637, 0), (5.0, 1)):
        holdings = [10.0, 12.5, 12.25, 3.357637, last]
        sample = sample_of(make_panel(make_run(7, 10107, holdings)), rows=1)
        prompts = build_prompts(sample, PromptSettings())
        rows = answer_rows(
            sample, prompts, AnswerStyle("holding_delta", 2, None), ProbeSettings(), np.random.default_rng(1)
        )
        assert sum(row["probe"] == DIGITS for row in rows) == kept, last
