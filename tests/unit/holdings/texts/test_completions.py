"""The one parser: exact about the contract, careful about the number, silent about nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.completions import contract_pattern, parse_completion
from workflow_scripts.holdings.texts.targets import TARGETS

GOOD = '<think>because</think><answer>{"holding_delta": -1.5}</answer>'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        '<think></think><answer>{"holding_delta":0}</answer>',
        '  <think>\nlong\n</think>\n\n<answer> { "holding_delta" : 12.000001 } </answer>\n',
        '<think>a < b > c {"holding_delta": 9}</think><answer>{"holding_delta": -0.0}</answer>',
    ],
)
def test_obeys_the_contract(text):
    assert parse_completion(text, 2.0).valid


@pytest.mark.parametrize("think", [True, False])
@pytest.mark.parametrize("target", list(TARGETS))
@given(data=st.data())
def test_what_an_engine_may_draw_obeys_the_contract(think, target, data):
    """The pattern that vLLM is given allows nothing that the contract forbids, but for the bound."""
    text = data.draw(st.from_regex(contract_pattern(Contract(target, think)), fullmatch=True))
    assert parse_completion(text, 1.0, Contract(target, think)).contract


@pytest.mark.parametrize(
    ("text", "delta"),
    [
        ('<answer>{"holding_delta": 1.5}</answer>', 1.5),
        ('sure! <think>x</think><answer>{"holding_delta": 1.5}</answer>', 1.5),
        ('<think>x</think><answer>{"holding_delta": 1.5}</answer> done', 1.5),
        ('<think>x</think><answer>{"holding_delta": 1.5e0}</answer>', 1.5),
        ('<think>x</think><answer>{"holding_delta": 1E-3}</answer>', 0.001),
        ('<answer>{"holding_delta": 1.5}</answer><think>x</think>', 1.5),
        ('<think>x</think><think>y</think><answer>{"holding_delta": 1.5}</answer>', 1.5),
        ('<think>x<answer>{"holding_delta": 1.5}</answer></think>', 1.5),
        ('<think>x</think>\u00a0<answer>{"holding_delta": 1.5}</answer>', 1.5),
    ],
)
def test_a_readable_number_outside_the_contract(text, delta):
    parsed = parse_completion(text, 2.0)
    assert parsed.delta == pytest.approx(delta)
    assert not parsed.contract
    assert parsed.fault


@pytest.mark.parametrize(
    "number",
    ["", "+1", "01", ".5", "1.", "1,5", "1_000", "NaN", "Infinity", "-Infinity", "null", "true", '"1.5"', "[1.5]",
     "1 .5", "--1", "1e999", "0x10", "\uff11", "\u0661", "1.5}{", '1, "holding_delta": 2', "9" * 400],
)  # fmt: skip
def test_what_is_no_number_is_not_guessed(number):
    parsed = parse_completion(f'<think>x</think><answer>{{"holding_delta": {number}}}</answer>', 2.0)
    assert parsed.delta is None
    assert not parsed.valid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.5",
        '{"holding_delta": 1.5}',
        GOOD + '<answer>{"holding_delta": 2}</answer>',
        '<think><answer>{"holding_delta": 2}</answer></think><answer>{"holding_delta": 2}</answer>',
        '</answer><think></think><answer>{"holding_delta": 2}',
        '<ANSWER>{"holding_delta": 2}</ANSWER>',
        '<answer>{"holding_tp1": 2}</answer>',
        "<answer></answer>",
        None,
        3.5,
    ],
)
def test_nothing_to_parse(text):
    parsed = parse_completion(text, 2.0)
    assert parsed.delta is None
    assert not parsed.contract
    assert not parsed.bound


def test_the_bound():
    at = '<think></think><answer>{"holding_delta": -3.357637}</answer>'
    assert parse_completion(at, 3.3576366).valid, "the prompt prints six decimals: a copied bound is no violation"
    assert not parse_completion(at, 3.3576).bound
    assert parse_completion(at, 3.3576).contract
    assert parse_completion(at, 3.3576).delta == -3.357637, "a forecast below the bound is kept as written"


def test_the_level_target():
    text = '<think></think><answer>{"holding_tp1": 3.5}</answer>'
    assert parse_completion(text, 2.0, Contract("holding_tp1")).delta == 1.5
    assert parse_completion(text.replace("3.5", "-0.1"), 2.0, Contract("holding_tp1")).bound is False
    assert parse_completion(text, 2.0).delta is None


ALONE = '<answer>{"holding_delta": -1.5}</answer>'


@pytest.mark.parametrize("text", [ALONE, f" \n{ALONE}\n", '<answer> {"holding_delta":0} </answer>'])
def test_without_a_think_block_the_answer_alone_obeys_the_contract(text):
    assert parse_completion(text, 2.0, Contract(think=False)).valid
    assert not parse_completion(text, 2.0).contract, "with one it does not"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"<think></think>{ALONE}",
        f"{ALONE}<think></think>",
        f"<think>{ALONE}",
        f"{ALONE}</think>",
        f"It is {ALONE}",
        f"{ALONE} done",
        f"\u00a0{ALONE}",
    ],
)
def test_what_stands_beside_the_answer_breaks_a_contract_without_a_think_block(text):
    """`labels.think: none`: the number is read all the same, but no think block earns the contract's reward."""
    parsed = parse_completion(text, 2.0, Contract(think=False))
    assert (parsed.delta, parsed.contract) == (-1.5, False)
    assert parsed.fault == "not one answer block and nothing else"


def test_the_bound_and_the_number_are_judged_without_a_think_block_too():
    below = parse_completion(ALONE, 1.0, Contract(think=False))
    assert (below.contract, below.bound, below.fault) == (True, False, "below the bound -holding_t")
    assert parse_completion(ALONE.replace("1.5", "1.5e0"), 2.0, Contract(think=False)).fault == "scientific notation"


def test_a_long_hostile_text_takes_no_time():
    for text in (
        "<answer>" * 200_000,
        GOOD + " " * 500_000,
        "<think>" + "{" * 500_000,
        '<answer>{"holding_delta": ' + "1" * 10**6,
    ):
        assert not parse_completion(text, 1.0).valid or text.startswith(GOOD)


pieces = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        '{"holding_delta": ',
        "}",
        "1.5",
        "-",
        "e5",
        " ",
        "\n",
        "x",
        "{",
        '"',
    ]
)


@given(st.lists(pieces, max_size=14).map("".join) | st.text(max_size=40), st.floats(0, 1e12), st.booleans())
def test_never_raises_and_never_lies(text, holding, think):
    parsed = parse_completion(text, holding, Contract(think=think))
    assert parsed.delta is None or math.isfinite(parsed.delta)
    read = parse_completion(text, holding, Contract(think=think), lenient=True)
    assert (read.contract, read.fault) == (parsed.contract, parsed.fault), "one contract for both"
    assert parsed.delta in (None, read.delta)
    if parsed.contract:
        assert [text.count(tag) for tag in ("<think>", "</think>", "<answer>", "</answer>")] == [think, think, 1, 1]
        assert "e5" not in text.split("<answer>")[1]
    if parsed.valid:
        assert parsed.delta >= -holding - 1e-6
        assert parsed.fault == ""


@given(st.decimals(-1000, 1000, places=6), st.text(alphabet='ab \n{}:"0.', max_size=20))
def test_what_we_write_we_read(number, think):
    text = f'<think>{think}</think><answer>{{"holding_delta": {number:f}}}</answer>'
    parsed = parse_completion(text, 1000.0)
    assert parsed.valid
    assert parsed.delta == float(number)
