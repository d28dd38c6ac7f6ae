"""CUSIPs as filers write them, made whole: blanks and lower case, lost zeros, missing check digits.

A CUSIP has nine characters: six of the issuer, two of the issue, a check digit. Spreadsheets lose leading zeros, and
some filers leave the check digit out. Both leave eight characters, so that a text of eight can be either; the CUSIPs
that others wrote whole decide (`known`). What stays in doubt is left as it is, and counted.
"""

from collections.abc import Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

LENGTH = 9
ISSUE = slice(6, 8)
COMMON = "10"
# Characters and their values; `*`, `@` and `#` occur in CUSIPs of private placements.
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*@#"
WHOLE = "whole"
ZEROS_ADDED = "leading zeros added"
DIGIT_ADDED = "check digit added"
WRONG_DIGIT = "wrong check digit"
NO_CUSIP = "not a CUSIP"
STATES = (WHOLE, ZEROS_ADDED, DIGIT_ADDED, WRONG_DIGIT, NO_CUSIP)

_VALUE = np.full(256, -1, dtype=np.int64)
_VALUE[[ord(character) for character in CHARACTERS]] = np.arange(len(CHARACTERS))


def check_digits(bodies: list[str]) -> NDArray[np.int64]:
    """Check digit of each text of eight of `CHARACTERS`, shape (n,); -1 for any other text.

    Modulus 10, double add double (ANSI X9.6): every second value doubled, the digits of all values added, the
    difference to the next ten.

    >>> check_digits(["03783310", "08467070", "3783310"]).tolist()
    [0, 2, -1]
    """
    if not bodies:
        return np.empty(0, dtype=np.int64)
    is_body = np.array([len(body) == LENGTH - 1 and body.isascii() for body in bodies])
    text = "".join(body if fits else "?" * (LENGTH - 1) for body, fits in zip(bodies, is_body, strict=True))
    values = _VALUE[np.frombuffer(text.encode(), dtype=np.uint8).reshape(-1, LENGTH - 1)]
    doubled = values * np.array([1, 2] * ((LENGTH - 1) // 2))
    digits = -(doubled // 10 + doubled % 10).sum(axis=1) % 10
    return np.where((values >= 0).all(axis=1), digits, -1)


def are_whole(cusips: list[str]) -> NDArray[np.bool_]:
    """Whether each text is a CUSIP of nine characters with the right check digit, shape (n,). All zeros are none."""
    digits = check_digits([cusip[:-1] if len(cusip) == LENGTH else "" for cusip in cusips])
    return np.array(
        [
            str(digit) == cusip[-1:] and bool(cusip.strip("0"))
            for cusip, digit in zip(cusips, digits.tolist(), strict=True)
        ],
        dtype=bool,
    )


def clean(texts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """CUSIPs as filers wrote them in upper case, without blanks, dots and hyphens."""
    return pc.replace_substring_regex(pc.utf8_upper(texts), r"[^0-9A-Z*@#]", "")


def mend(texts: list[str], known: Set[str]) -> tuple[list[str], list[str]]:
    """Each cleaned text as a CUSIP, and its state (one of `STATES`). `known` are CUSIPs that somebody wrote whole.

    - Nine characters stay; a wrong check digit is said, not corrected: options and unlisted issues carry such numbers.
    - Eight characters get a check digit, seven or eight leading zeros with which the check digit fits (as it does by
      chance for one text in ten, a SEDOL of seven among them): where that CUSIP is known, and the other one is not.
    - Where neither is known, the zeros, then the check digit, if that makes common stock, issue 10.
    - Anything else is no CUSIP and stays.

    >>> mend(["37833100", "02313510", "59491810", "594918104", "B94G471"], {"023135106"})[0]
    ['037833100', '023135106', '594918104', '594918104', 'B94G471']
    """
    with_zeros = [text.rjust(LENGTH, "0") for text in texts]
    with_digit = [f"{text}{digit}" for text, digit in zip(texts, check_digits(texts).tolist(), strict=True)]
    cusips, states = [], []
    fits = are_whole(with_zeros).tolist()
    for text, padded, completed, is_right in zip(texts, with_zeros, with_digit, fits, strict=True):
        can_pad = is_right and len(text) in (LENGTH - 2, LENGTH - 1)
        # Any other text has -1 at its end.
        can_complete = len(completed) == LENGTH
        if len(text) == LENGTH:
            cusip, state = text, WHOLE if is_right else WRONG_DIGIT if text.strip("0") else NO_CUSIP
        elif can_complete and completed in known and not (can_pad and padded in known):
            cusip, state = completed, DIGIT_ADDED
        elif can_pad and (padded in known or padded[ISSUE] == COMMON):
            cusip, state = padded, ZEROS_ADDED
        elif can_complete and completed[ISSUE] == COMMON:
            cusip, state = completed, DIGIT_ADDED
        else:
            cusip, state = text, NO_CUSIP
        cusips.append(cusip)
        states.append(state)
    return cusips, states


def mend_column(texts: pa.ChunkedArray | pa.Array, known: Set[str] = frozenset()) -> tuple[pa.Array, dict[str, int]]:
    """A column of CUSIPs as filers wrote them, cleaned and mended, and how many rows are in each state.

    `known` is added to the CUSIPs that the column itself has whole. Rows without a text are no CUSIP and become empty.
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    codes = pc.fill_null(texts, "").dictionary_encode()
    words = clean(codes.dictionary).to_pylist()
    whole = {word for word, fits in zip(words, are_whole(words).tolist(), strict=True) if fits}
    cusips, states = mend(words, known | whole)
    index = codes.indices.to_numpy()
    counts = np.bincount(np.array([STATES.index(state) for state in states], dtype=np.int64)[index], minlength=5)
    column = pa.array(cusips, pa.string()).take(codes.indices)
    return column, {state: int(count) for state, count in zip(STATES, counts, strict=True)}
