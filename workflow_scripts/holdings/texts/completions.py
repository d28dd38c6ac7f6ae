"""The output contract of a completion, and the one parser that everything uses.

A completion obeys the contract when it is exactly one `<think>...</think>` block followed by one
`<answer>{"<target>": <number>}</answer>`, white space aside, the number in plain decimals, and the
position that it implies is not negative. With `labels.think: none` it is the answer block alone.
"""

import functools
import math
import re
from dataclasses import dataclass

from workflow_scripts.holdings.texts.targets import TARGETS, Target

# Prompts print at most six decimals, so a bound copied from the prompt may be off by half of the last.
BOUND_TOLERANCE = 0.5e-6

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_SPACE = r"[ \t\r\n]*"
# Digits are ASCII and at most 30 on each side of the point, so that reading takes linear time.
_NUMBER = r"(?P<number>[+-]?(?:[0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30}))(?P<exponent>[eE][+-]?[0-9]{1,3})?"
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?")
# By whether a think block is asked for: how often each of the _TAGS stands there, the frame, and what to say otherwise.
_FORMS = {
    True: (
        (1, 1, 1, 1),
        re.compile(rf"{_SPACE}<think>(?s:.*)</think>{_SPACE}<answer>(?s:.*)</answer>{_SPACE}"),
        "not one think block followed by one answer block",
    ),
    False: (
        (0, 0, 1, 1),
        re.compile(rf"{_SPACE}<answer>(?s:.*)</answer>{_SPACE}"),
        "not one answer block and nothing else",
    ),
}


@dataclass(frozen=True)
class Parsed:
    """What a completion says.

    `delta` is the predicted change in $ million, None where no number could be read; `contract` is
    whether the form is exact, `bound` whether delta >= -holding_t (False without a number); `fault` names the first
    thing that is wrong, empty where nothing is.
    """

    delta: float | None
    contract: bool
    bound: bool
    fault: str

    @property
    def valid(self) -> bool:
        """The contract is obeyed exactly and the bound holds."""
        return self.contract and self.bound


@functools.cache
def _object(target: Target) -> re.Pattern[str]:
    """A JSON object of one number, or nearly so, under the key of a target that says the same change."""
    keys = "|".join(one.name for one in TARGETS.values() if one.change is target.change)
    pair = rf'"(?P<key>{keys})"{_SPACE}:{_SPACE}(?P<quote>"?){_NUMBER}(?P=quote)'
    fence, end = rf"(?P<fence>```(?:json)?{_SPACE})?", rf"(?(fence)```{_SPACE})"
    return re.compile(rf"{_SPACE}{fence}\{{{_SPACE}{pair}{_SPACE}\}}{_SPACE}{end}")


def contract_pattern(target: str, think: bool = True) -> str:
    """A regular expression for engines that draw nothing but texts of it: a part of what the contract allows.

    The think block, where the contract asks for one, holds no `<`; the number has at most 12 digits before the point
    and 6 after it. The bound -holding_t, which differs by prompt, is not in it.

    >>> text = '<think>x</think><answer>{"holding_delta": -1.5}</answer>'
    >>> bool(re.fullmatch(contract_pattern("holding_delta"), text))
    True
    """
    number = r"-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?"
    block = r"<think>[^<]*</think>\n?" if think else ""
    return rf'{block}<answer>\{{"{target}": {number}\}}</answer>'


def _unlike_asked(match: re.Match[str], asked: Target, tagged: bool) -> str:
    """What the first thing is that makes an object another one than was asked for; empty where it is that one."""
    if not tagged:
        return "no answer block around the JSON object"
    if match["fence"]:
        return "the JSON object is in a code fence"
    if match["key"] != asked.name:
        return f"{match['key']} instead of {asked.name}"
    if match["quote"]:
        return "the number is in quotes"
    if not _JSON_NUMBER.fullmatch(match["number"]):
        return "the number is not as JSON has it (+2.5, .5, 2., 02)"
    return ""


def parse_completion(
    text: str, holding_t: float, target: str = "holding_delta", think: bool = True, lenient: bool = False
) -> Parsed:
    """Read a completion; never raises, whatever the text. `holding_t` in $ million.

    `think` is whether the contract asks for a think block; without, it allows none. A number is read from the only
    `<answer>` block, also where the rest breaks the contract (no think block, scientific notation, text around it).
    Two answers are no answer: choosing one of them would reward hedging.

    Rewards read the JSON object that was asked for, and nothing else. Evaluation is `lenient`: it also reads the other
    key of the same change (`holding_tp1` less holding_t for `holding_delta`, and the other way round), `+2.5`, `.5`, a
    number in quotes, a code fence, and an object that stands alone, or alone after the think block. All of that breaks
    the contract, and the fault says which it was.

    >>> parse_completion('<think>x</think><answer>{"holding_delta": -1.5}</answer>', 2.0)
    Parsed(delta=-1.5, contract=True, bound=True, fault='')
    >>> parse_completion('<answer>{"holding_delta": -3}</answer>', 2.0).fault
    'not one think block followed by one answer block'
    >>> parse_completion('<answer>{"holding_delta": -1.5}</answer>', 2.0, think=False).valid
    True
    >>> parse_completion('<think>x</think><answer>{"holding_tp1": 0.5}</answer>', 2.0).delta
    >>> parse_completion('<think>x</think><answer>{"holding_tp1": 0.5}</answer>', 2.0, lenient=True)
    Parsed(delta=-1.5, contract=False, bound=True, fault='holding_tp1 instead of holding_delta')
    """
    if not isinstance(text, str):
        return Parsed(None, False, False, "no text")
    opened, closed = text.count("<answer>"), text.count("</answer>")
    if opened > 1 or closed > 1:
        return Parsed(None, False, False, "several answers")
    if opened != closed:
        return Parsed(None, False, False, "no answer")
    asked = TARGETS[target]
    if opened:
        start, end = text.index("<answer>") + len("<answer>"), text.index("</answer>")
    else:
        start, end = len(text) - len(text.rpartition("</think>")[2]), len(text)
    match = _object(asked).fullmatch(text, start, end) if start <= end else None
    if match is None:
        return Parsed(None, False, False, "the answer is not the JSON object asked for" if opened else "no answer")
    unlike = _unlike_asked(match, asked, bool(opened))
    if unlike and not lenient:
        return Parsed(None, False, False, unlike)
    delta = TARGETS[match["key"]].to_change(float(match["number"] + (match["exponent"] or "")), holding_t)
    if not math.isfinite(delta):
        return Parsed(None, False, False, "the number is not finite")
    bound = delta >= -holding_t - BOUND_TOLERANCE
    counts, frame, other_form = _FORMS[think]
    framed = tuple(map(text.count, _TAGS)) == counts and frame.fullmatch(text) is not None
    form = unlike or ("" if framed else other_form) or ("scientific notation" if match["exponent"] else "")
    return Parsed(delta, not form, bound, form or ("" if bound else "below the bound -holding_t"))
