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
_NUMBER = r"(-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?)([eE][+-]?[0-9]{1,3})?"
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

    `delta` is the predicted change of the target in $ million, None where no number could be read; `contract` is
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
def _body(target: Target) -> re.Pattern[str]:
    return re.compile(rf'{_SPACE}\{{{_SPACE}"{target.name}"{_SPACE}:{_SPACE}{_NUMBER}{_SPACE}\}}{_SPACE}')


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


def parse_completion(text: str, holding_t: float, target: str = "holding_delta", think: bool = True) -> Parsed:
    """Read a completion; never raises, whatever the text. `holding_t` in $ million.

    `think` is whether the contract asks for a think block; without, it allows none. A number is read from the only
    `<answer>` block, also where the rest breaks the contract (no think block, scientific notation, text around it).
    Two answers are no answer: choosing one of them would reward hedging.

    >>> parse_completion('<think>x</think><answer>{"holding_delta": -1.5}</answer>', 2.0)
    Parsed(delta=-1.5, contract=True, bound=True, fault='')
    >>> parse_completion('<answer>{"holding_delta": -3}</answer>', 2.0).fault
    'not one think block followed by one answer block'
    >>> parse_completion('<answer>{"holding_delta": -1.5}</answer>', 2.0, think=False).valid
    True
    """
    if not isinstance(text, str):
        return Parsed(None, False, False, "no text")
    opened, closed = text.count("<answer>"), text.count("</answer>")
    if opened != 1 or closed != 1:
        return Parsed(None, False, False, "several answers" if opened > 1 or closed > 1 else "no answer")
    start, end = text.index("<answer>") + len("<answer>"), text.index("</answer>")
    asked = TARGETS[target]
    body = _body(asked).fullmatch(text, start, end) if start <= end else None
    if body is None:
        return Parsed(None, False, False, "the answer is not the JSON object asked for")
    value = float(body[1] + (body[2] or ""))
    delta = asked.to_change(value, holding_t)
    if not math.isfinite(delta):
        return Parsed(None, False, False, "the number is not finite")
    bound = delta >= -holding_t - BOUND_TOLERANCE
    fault = ""
    counts, frame, other_form = _FORMS[think]
    if tuple(map(text.count, _TAGS)) != counts or frame.fullmatch(text) is None:
        fault = other_form
    elif body[2]:
        fault = "scientific notation"
    elif not bound:
        fault = "below the bound -holding_t"
    return Parsed(delta, fault in ("", "below the bound -holding_t"), bound, fault)
