"""Answers that are quantiles: what is asked for, imitated and read; nothing that is no distribution passes for one."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_panel, make_run, sample_of
from workflow_scripts.holdings.texts.answers import LEVELS, MIDDLE, QUANTILES, Contract, quantile_object
from workflow_scripts.holdings.texts.completions import contract_pattern, parse_completion
from workflow_scripts.holdings.texts.conversations import sft_rows, target_numbers, target_quantiles
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.texts.quantile_rule import row_quantiles
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.holdings.windows.labels import label_arrays

CONTRACT = Contract(answer="quantiles")
BARE = Contract(think=False, answer="quantiles")
NUMBERS = ["-1.5", "-1", "0", "0", "0.25", "2", "3"]


def say(said: str, key: str = "holding_delta") -> str:
    return f'<think>x</think><answer>{{"{key}": {said}}}</answer>'


def pairs(*numbers, names=QUANTILES) -> str:
    return "{" + ", ".join(f'"{name}": {number}' for name, number in zip(names, numbers, strict=True)) + "}"


GOOD = pairs(*NUMBERS)


def test_the_form_by_hand():
    text = '{"q05": -1.5, "q10": -1, "q25": 0, "q50": 0, "q75": 0.25, "q90": 2, "q95": 3}'
    assert GOOD == quantile_object(NUMBERS) == text
    parsed = parse_completion(say(text), 2.0, CONTRACT)
    assert parsed.valid
    assert (parsed.delta, parsed.quantiles) == (0.0, (-1.5, -1.0, 0.0, 0.0, 0.25, 2.0, 3.0))
    assert parse_completion(say(GOOD.replace(" ", "\n  ")), 2.0, CONTRACT) == parsed, "white space aside"
    assert parse_completion(say(GOOD), 2.0, BARE).fault == "not one answer block and nothing else"


def test_quantiles_of_a_position_are_read_as_those_of_its_change():
    contract = Contract("holding_tp1", answer="quantiles")
    parsed = parse_completion(say(pairs(0, 0, 1, 2, 2, 3, 4), "holding_tp1"), 2.0, contract)
    assert parsed.valid
    assert (parsed.delta, parsed.quantiles) == (0.0, (-2.0, -2.0, -1.0, 0.0, 0.0, 1.0, 2.0))


@pytest.mark.parametrize(
    ("said", "fault", "quantiles"),
    [
        (pairs(0, 0, 0.5, names=("q05", "q10", "q50")), "other quantiles than asked for", [0.5] * 7),
        (pairs(0.5, names=("q50",)), "other quantiles than asked for", [0.5] * 7),
        (pairs(-9, *NUMBERS, names=("q01", *QUANTILES)), "other quantiles than asked for", [0.0] * 7),
        (pairs(*NUMBERS[::-1], names=QUANTILES[::-1]), "the quantiles are in another order", None),
        ("-1.5", "one number instead of quantiles", [-1.5] * 7),
        (GOOD.replace("2,", '"2",'), "the number is in quotes", None),
        (GOOD.replace(" 2,", " +2,"), "the number is not as JSON has it (+2.5, .5, 2., 02)", None),
    ],
)
def test_what_is_not_as_asked_earns_nothing_and_is_read_without_flattery(said, fault, quantiles):
    """Evaluation reads the median; what is missing is not filled in: such a forecast is sure of its median."""
    strict, read = (parse_completion(say(said), 2.0, CONTRACT, lenient) for lenient in (False, True))
    assert (strict.delta, strict.quantiles, strict.valid, strict.fault) == (None, (), False, fault)
    assert (read.contract, read.fault) == (False, fault)
    assert list(read.quantiles) == (quantiles or [float(number) for number in NUMBERS])
    assert read.delta == read.quantiles[MIDDLE]


@pytest.mark.parametrize(
    "numbers", [(-1, -1.5, 0, 0.5, 1, 2, 3), (3, 2, 1, 0.5, 0, -1, -1.5), (0, 0, 0, 0.5, 1, 2, 1.9)]
)
def test_quantiles_that_fall_are_no_distribution(numbers):
    """They break the contract. Rewards pay for them as written; evaluation does not sort them: sure of the median."""
    strict, read = (parse_completion(say(pairs(*numbers)), 2.0, CONTRACT, lenient) for lenient in (False, True))
    for parsed in (strict, read):
        assert (parsed.delta, parsed.contract, parsed.valid, parsed.bound) == (0.5, False, False, True)
        assert parsed.fault == "the quantiles fall"
    assert (strict.quantiles, read.quantiles) == (numbers, (0.5,) * 7)


@pytest.mark.parametrize(
    "said",
    [
        pairs(0, 0, names=("q50", "q50")),
        pairs(*NUMBERS, 9, names=(*QUANTILES, "q50")),
        pairs(*NUMBERS[:3], *NUMBERS[4:], names=[name for name in QUANTILES if name != "q50"]),
        "{}", "{,}", GOOD.replace("}", ",}"), GOOD.replace(", ", " "), GOOD.replace("-1.5", "1,5"),
        GOOD.replace("-1.5", "NaN"), GOOD.replace(" 3}", " 1e999}"), GOOD.replace("3}", "[3]}"),
        GOOD.replace("-1.5", GOOD), "[" + ", ".join(NUMBERS) + "]", GOOD.replace('"q', "'q").replace('":', "':"),
        GOOD.replace("q05", "５"), GOOD + GOOD, GOOD[:-1], GOOD.upper(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lenient", [False, True])
def test_what_says_no_median_or_two_is_no_answer(said, lenient):
    parsed = parse_completion(say(said), 2.0, CONTRACT, lenient)
    assert (parsed.delta, parsed.quantiles, parsed.contract, parsed.bound) == (None, (), False, False)


def test_the_bound_holds_for_each_quantile():
    """A lower quantile below a full exit breaks it, though the median does not; it is kept as written."""
    parsed = parse_completion(say(GOOD), 1.25, CONTRACT)
    assert (parsed.contract, parsed.bound, parsed.fault) == (True, False, "below the bound -holding_t")
    assert parsed.quantiles[0] == -1.5
    scientific = parse_completion(say(GOOD.replace("0.25", "2.5e-1")), 2.0, CONTRACT)
    assert (scientific.quantiles[4], scientific.fault) == (0.25, "scientific notation")


def test_where_one_number_is_asked_for_quantiles_are_none():
    for lenient in (False, True):
        assert parse_completion(say(GOOD), 2.0, Contract(), lenient).delta is None
    assert parse_completion(say("1"), 2.0, Contract()).quantiles == ()


@pytest.mark.parametrize("target", list(TARGETS))
@given(data=st.data())
def test_what_an_engine_may_draw_breaks_the_contract_by_falling_quantiles_at_most(target, data):
    """A regular expression compares no numbers; all else that vLLM is given obeys the contract, but for the bound."""
    contract = Contract(target, True, "quantiles")
    text = data.draw(st.from_regex(contract_pattern(contract), fullmatch=True))
    parsed = parse_completion(text, 1.0, contract)
    assert parsed.contract or parsed.fault == "the quantiles fall"


# Parts of right and wrong objects.
pieces = st.sampled_from(
    ["<think>", "</think>", "<answer>", "</answer>", '{"holding_delta": ', "{", "}", ",", ":", '"', "-", "e5", " ", "0",
     "1.5", "9" * 30, "1e999", "NaN", "null", "\u0661", "\x00", *(f'"{name}": ' for name in QUANTILES), '"q01": ']
)  # fmt: skip
objects = st.lists(
    st.tuples(st.sampled_from((*QUANTILES, "q01")), st.sampled_from(("0", "-1", "2.5", "+1", "1e1", "x")))
)
texts = st.one_of(
    st.lists(pieces, max_size=30).map("".join),
    objects.map(lambda found: say(pairs(*(number for _, number in found), names=[name for name, _ in found]))),
    st.lists(st.integers(-3, 3), min_size=7, max_size=7).map(lambda numbers: say(pairs(*numbers))),
    st.tuples(st.just(say(GOOD)), st.integers(0, 150), pieces).map(lambda t: t[0][: t[1]] + t[2] + t[0][t[1] :]),
)


@given(texts, st.floats(0, 1e12))
def test_never_raises_and_never_lies(text, holding):
    parsed, read = (parse_completion(text, holding, CONTRACT, lenient) for lenient in (False, True))
    assert (read.contract, read.fault) == (parsed.contract, parsed.fault), "one contract for both"
    assert parsed.delta in (None, read.delta)
    for one in (parsed, read):
        assert len(one.quantiles) == (0 if one.delta is None else 7)
        assert all(map(math.isfinite, one.quantiles))
        assert one.delta is None or one.delta == one.quantiles[MIDDLE]
    assert list(read.quantiles) == sorted(read.quantiles), "no distribution but a distribution"
    assert not parsed.contract or list(parsed.quantiles) == sorted(parsed.quantiles)
    if parsed.valid:
        answer = json.loads(text.split("<answer>")[1].split("</answer>")[0])["holding_delta"]
        assert list(answer) == list(QUANTILES)
        assert tuple(map(float, answer.values())) == parsed.quantiles
        assert parsed.quantiles[0] >= -holding - 1e-6


@given(st.lists(st.decimals(-1000, 1000, places=6), min_size=7, max_size=7).map(sorted))
def test_what_we_write_we_read(numbers):
    text = f'<answer>{{"holding_delta": {quantile_object(f"{number:f}" for number in numbers)}}}</answer>'
    parsed = parse_completion(text, 1000.0, BARE)
    assert parsed.valid
    assert parsed.quantiles == tuple(map(float, numbers))


def test_a_long_hostile_text_takes_no_time():
    """Seven numbers that can each be read in thirty ways are not tried in 30^7."""
    for said in (
        "{" + '"q05": 1, ' * 100_000 + "}",
        "{" + " " * 500_000,
        pairs(*["1" * 60] * 7).replace("}", "x}"),
        "{" + ", ".join(f'"{name}": {"1" * 59}' for name in QUANTILES),
    ):
        for lenient in (False, True):
            assert parse_completion(say(said), 1.0, CONTRACT, lenient).delta is None


@pytest.fixture
def sample(one_window_panel):
    return sample_of(one_window_panel, rows=1)


def test_golden_prompt_and_row(sample, golden):
    prompts = build_prompts(sample, PromptSettings(answer="quantiles", think=False))
    golden("prompt_quantiles.json", json.dumps(prompts[0], indent=1) + "\n")
    several = windows_with(CHANGES, HELD)
    prompts = build_prompts(several, PromptSettings(answer="quantiles", think=False))
    rows, _ = sft_rows(prompts, several, "holding_delta", 2, None, "quantiles")
    golden("sft_quantiles.jsonl", "".join(json.dumps(row) + "\n" for row in rows[1:3]))


@pytest.mark.parametrize("think", [True, False])
@pytest.mark.parametrize("target", list(TARGETS))
def test_a_prompt_shows_the_very_form_that_the_contract_wants(sample, target, think):
    """Its example, with numbers put in, is an answer that obeys the contract."""
    asked, plain = (
        build_prompts(sample, PromptSettings(target, answer=answer, think=think))[0]["user"].split("\n")
        for answer in ("quantiles", "number")
    )
    assert asked[:-1] == plain[:-1]
    example = "<answer>" + asked[-1].split("<answer>")[1].split("</answer>")[0] + "</answer>"
    for number in "0123456":
        example = example.replace("<number>", number, 1)
    contract = Contract(target, think, "quantiles")
    assert parse_completion("<think></think>" * think + example, 9.0, contract).valid
    assert TARGETS[target].bound.split("{")[0] in asked[-1]


def windows_with(changes: list[float], held: list[float]) -> pa.Table:
    """A window per change, of a manager and a stock of its own, whose price stays the same."""
    pairs_of = enumerate(zip(changes, held, strict=True), start=1)
    rows = [row for pair, (change, at) in pairs_of for row in make_run(pair, pair, [at, at, at, at, at + change])]
    sample = sample_of(make_panel(rows))
    return sample.filter(pc.is_finite(sample["holding_t1"]))


CHANGES = [-10.0, -3.0, -1.0, 0.5, 0.0, 1.0, 2.0, 8.0, 40.0]
HELD = [10.0, 20.0, 10.0, 10.0, 40.0, 10.0, 10.0, 20.0, 10.0]


@pytest.mark.parametrize("target", list(TARGETS))
def test_the_label_by_hand(target):
    """median = truth; the others are truth + holding_t (r_p - r_50), r over this sample, and no less than an exit."""
    sample = windows_with(CHANGES, HELD)
    known = label_arrays(sample)
    held, change = known["holding_t"], known[TARGETS[target].label]
    ratios = np.sort(change / held)
    r = np.array([np.interp((len(ratios) + 1) * p - 1, np.arange(len(ratios)), ratios) for p in LEVELS])
    expected = np.maximum(change[:, None] + held[:, None] * (r - np.median(ratios)), -held[:, None])
    rows, counts = sft_rows(build_prompts(sample, PromptSettings()), sample, target, 6, None, "quantiles")
    contract = Contract(target, False, "quantiles")
    for row, quantiles, true, at in zip(rows, expected, change, held, strict=True):
        parsed = parse_completion(row["messages"][-1]["content"], at, contract)
        assert parsed.valid, parsed.fault
        assert parsed.delta == pytest.approx(true, abs=1e-6)
        assert parsed.quantiles == pytest.approx(quantiles, abs=2e-6)
    assert counts["rows"] == len(sample)


def test_the_median_is_the_label_of_one_number_to_the_digit():
    sample = windows_with(CHANGES, HELD)
    for target in TARGETS:
        said = [json.loads(text)["q50"] for text in target_quantiles(sample, target, 1)]
        assert said == [float(number) for number in target_numbers(sample, target, 1)]


@given(st.lists(st.tuples(st.floats(-1, 5), st.floats(0.001, 1e5)), min_size=1, max_size=12), st.integers(0, 6))
def test_every_label_obeys_the_contract(windows, decimals):
    """Whatever the changes, the positions and the rounding: rising, and never below a full exit."""
    held = np.array([at for _, at in windows])
    tp1 = held * (1 + np.array([share for share, _ in windows]))
    sample = pa.table({"window_id": [str(i) for i in range(len(held))], "holding_t": held, "holding_t1": tp1,
                       "price_ratio": np.ones(len(held)), "split_ratio": np.full(len(held), np.nan)})  # fmt: skip
    for target in TARGETS:
        for said, at in zip(target_quantiles(sample, target, decimals), held, strict=True):
            parsed = parse_completion(say(said, target), at, Contract(target, True, "quantiles"))
            assert parsed.valid, (said, parsed.fault)


def test_a_sample_without_a_position_gives_no_width():
    sample = windows_with([1.0, 2.0], [5.0, 5.0]).slice(0, 0)
    assert target_quantiles(sample, "holding_delta", 2) == []
    assert np.isnan(row_quantiles(np.empty((1, 0)))).all()
