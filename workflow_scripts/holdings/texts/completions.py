"""The output contract of a completion, and the one parser that everything uses.

A completion obeys the contract when it is exactly one `<think>...</think>` block followed by one
`<answer>{"<target>": <number>}</answer>`, white space aside, the number in plain decimals, and the
position that it implies is not negative. With `labels.think: none` it is the answer block alone. With
`prompts.answer: quantiles` the number is an object, `{"q05": <number>, ..., "q95": <number>}`: the quantiles in
this order, none below the one before it, and none that implies a negative position.
"""

import functools
import itertools
import math
import re
from dataclasses import dataclass

from workflow_scripts.holdings.texts.answers import MEDIAN, MIDDLE, QUANTILES, AnswerName, Contract, quantile_object
from workflow_scripts.holdings.texts.targets import TARGETS, Target

# Prompts print at most six decimals, so a bound copied from the prompt may be off by half of the last.
BOUND_TOLERANCE = 0.5e-6

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_SPACE = r"[ \t\r\n]*"
# Digits are ASCII and at most 30 on each side of the point, so that reading takes linear time.
_NUMBER = r"(?P<number>[+-]?(?:[0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30}))(?P<exponent>[eE][+-]?[0-9]{1,3})?"
_ONE_NUMBER = rf'(?P<quote>"?){_NUMBER}(?P=quote)'
_QUANTILE = re.compile(rf'{_SPACE}"(?P<name>q[0-9.]{{1,6}})"{_SPACE}:{_SPACE}{_ONE_NUMBER}{_SPACE}')
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

    `delta` is the predicted change in $ million, None where no number could be read; of quantiles it is the median, and
    `quantiles` are those of the change at LEVELS (none where one number is asked for); `contract` is whether the form
    is exact and no quantile below the one before it, `bound` whether all that is said is >= -holding_t (False without a
    number); `fault` names the first thing that is wrong, empty where nothing is.
    """

    delta: float | None
    contract: bool
    bound: bool
    fault: str
    quantiles: tuple[float, ...] = ()

    @property
    def valid(self) -> bool:
        """The contract is obeyed exactly and the bound holds."""
        return self.contract and self.bound


@functools.cache
def _object(target: Target, answer: AnswerName) -> re.Pattern[str]:
    """A JSON object of one number, or nearly so, under the key of a target that says the same change.

    Where quantiles are asked for, an object without braces in it may stand in the number's place.
    """
    keys = "|".join(one.name for one in TARGETS.values() if one.change is target.change)
    said = _ONE_NUMBER if answer == "number" else rf"(?:{_ONE_NUMBER}|\{{(?P<quantiles>[^{{}}]*)\}})"
    pair = rf'"(?P<key>{keys})"{_SPACE}:{_SPACE}{said}'
    fence, end = rf"(?P<fence>```(?:json)?{_SPACE})?", rf"(?(fence)```{_SPACE})"
    return re.compile(rf"{_SPACE}{fence}\{{{_SPACE}{pair}{_SPACE}\}}{_SPACE}{end}")


def contract_pattern(contract: Contract) -> str:
    """A regular expression for engines that draw nothing but texts of it: a part of what the contract allows.

    The think block, where the contract asks for one, holds no `<`; a number has at most 12 digits before the point
    and 6 after it. The bound -holding_t, which differs by prompt, is not in it, nor that no quantile is below the one
    before it.

    >>> text = '<think>x</think><answer>{"holding_delta": -1.5}</answer>'
    >>> bool(re.fullmatch(contract_pattern(Contract()), text))
    True
    """
    said = number = r"-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?"
    if contract.answer == "quantiles":
        said = rf"\{{{quantile_object([number] * len(QUANTILES))[1:-1]}\}}"
    block = r"<think>[^<]*</think>\n?" if contract.think else ""
    return rf'{block}<answer>\{{"{contract.target}": {said}\}}</answer>'


# A number in a text: the match of a pattern that has _ONE_NUMBER.
_Number = re.Match[str]


def _value(number: _Number) -> float:
    return float(number["number"] + (number["exponent"] or ""))


def _named_numbers(text: str) -> list[_Number]:
    """The names and numbers of what stands between an object's braces; none where it is anything else.

    One after the other: a pattern of the whole could try each of them in many ways, one for every way of the others.
    """
    pairs, place = [], 0
    while match := _QUANTILE.match(text, place):
        pairs.append(match)
        if match.end() == len(text):
            return pairs
        if text[match.end()] != ",":
            break
        place = match.end() + 1
    return []


def _said(match: re.Match[str], contract: Contract) -> tuple[list[_Number], str]:
    """The numbers that an object says, and what makes them others than the quantiles that were asked for.

    One number, or those at LEVELS; none where it says no median, or a quantile twice. Whoever says a median, and not
    the levels that were asked for, is sure of the median: all seven are the median.
    """
    if contract.answer == "number":
        return [match], ""
    sure = len(QUANTILES)
    if match["quantiles"] is None:
        return [match] * sure, "one number instead of quantiles"
    pairs = _named_numbers(match["quantiles"])
    by_name = {pair["name"]: pair for pair in pairs}
    if len(by_name) < len(pairs) or MEDIAN not in by_name:
        return [], ""
    if set(by_name) != set(QUANTILES):
        return [by_name[MEDIAN]] * sure, "other quantiles than asked for"
    numbers = [by_name[name] for name in QUANTILES]
    return numbers, "" if tuple(by_name) == QUANTILES else "the quantiles are in another order"


def _unlike_asked(match: re.Match[str], numbers: list[_Number], asked: str, tagged: bool) -> str:
    """What the first thing is that makes an object another one than was asked for; empty where it is that one."""
    if not tagged:
        return "no answer block around the JSON object"
    if match["fence"]:
        return "the JSON object is in a code fence"
    if match["key"] != asked:
        return f"{match['key']} instead of {asked}"
    if any(number["quote"] for number in numbers):
        return "the number is in quotes"
    if not all(_JSON_NUMBER.fullmatch(number["number"]) for number in numbers):
        return "the number is not as JSON has it (+2.5, .5, 2., 02)"
    return ""


def parse_completion(text: str, holding_t: float, contract: Contract = Contract(), lenient: bool = False) -> Parsed:
    """Read a completion; never raises, whatever the text. `holding_t` in $ million.

    The `contract` says whether there must be a think block; where not, it allows none. An answer is read from the only
    `<answer>` block, also where the rest breaks the contract (no think block, scientific notation, text around it).
    Two answers are no answer: choosing one of them would reward hedging.

    Rewards read the JSON object that was asked for, and nothing else. Evaluation is `lenient`: it also reads the other
    key of the same change (`holding_tp1` less holding_t for `holding_delta`, and the other way round), `+2.5`, `.5`, a
    number in quotes, a code fence, and an object that stands alone, or alone after the think block; of quantiles those
    in another order, and the median alone where others are missing. All of that breaks the contract, and the fault says
    which it was.

    So do quantiles that fall. A reward sees them as they are written, and pays each for its own level. Evaluation needs
    a distribution, and they are none: it takes the median for a sure forecast. To sort them, as to fill missing ones
    in, would make a better forecast of them than was given.

    >>> parse_completion('<think>x</think><answer>{"holding_delta": -1.5}</answer>', 2.0)
    Parsed(delta=-1.5, contract=True, bound=True, fault='', quantiles=())
    >>> parse_completion('<answer>{"holding_delta": -3}</answer>', 2.0).fault
    'not one think block followed by one answer block'
    >>> parse_completion('<answer>{"holding_delta": -1.5}</answer>', 2.0, Contract(think=False)).valid
    True
    >>> parse_completion('<think>x</think><answer>{"holding_tp1": 0.5}</answer>', 2.0).delta
    >>> parse_completion('<think>x</think><answer>{"holding_tp1": 0.5}</answer>', 2.0, lenient=True)
    Parsed(delta=-1.5, contract=False, bound=True, fault='holding_tp1 instead of holding_delta', quantiles=())
    >>> text = f'<answer>{{"holding_tp1": {quantile_object("0012234")}}}</answer>'
    >>> parse_completion(text, 2.0, Contract("holding_tp1", think=False, answer="quantiles"))
    Parsed(delta=0.0, contract=True, bound=True, fault='', quantiles=(-2.0, -2.0, -1.0, 0.0, 0.0, 1.0, 2.0))
    """
    if not isinstance(text, str):
        return Parsed(None, False, False, "no text")
    opened, closed = text.count("<answer>"), text.count("</answer>")
    if opened > 1 or closed > 1:
        return Parsed(None, False, False, "several answers")
    if opened != closed:
        return Parsed(None, False, False, "no answer")
    if opened:
        start, end = text.index("<answer>") + len("<answer>"), text.index("</answer>")
    else:
        start, end = len(text) - len(text.rpartition("</think>")[2]), len(text)
    asked = TARGETS[contract.target]
    match = _object(asked, contract.answer).fullmatch(text, start, end) if start <= end else None
    numbers, other_numbers = _said(match, contract) if match else ([], "")
    if match is None or not numbers:
        return Parsed(None, False, False, "the answer is not the JSON object asked for" if opened else "no answer")
    unlike = _unlike_asked(match, numbers, asked.name, bool(opened)) or other_numbers
    if unlike and not lenient:
        return Parsed(None, False, False, unlike)
    said = TARGETS[match["key"]]
    changes = tuple(said.to_change(_value(number), holding_t) for number in numbers)
    if not all(map(math.isfinite, changes)):
        return Parsed(None, False, False, "the number is not finite")
    falls = any(low > high for low, high in itertools.pairwise(changes))
    bound = min(changes) >= -holding_t - BOUND_TOLERANCE
    counts, frame, other_form = _FORMS[contract.think]
    framed = tuple(map(text.count, _TAGS)) == counts and frame.fullmatch(text) is not None
    is_scientific = any(number["exponent"] for number in numbers)
    form = unlike or ("" if framed else other_form) or ("scientific notation" if is_scientific else "")
    form = form or ("the quantiles fall" if falls else "")
    fault = form or ("" if bound else "below the bound -holding_t")
    if contract.answer == "number":
        return Parsed(changes[0], not form, bound, fault)
    median = changes[MIDDLE]
    return Parsed(median, not form, bound, fault, (median,) * len(changes) if falls and lenient else changes)
