"""Numbers for readers: as many digits as a column can bear, shares in per cent, a real minus sign."""

import math
from collections.abc import Iterable

import numpy as np

from workflow_scripts.holdings.report.dictionary import SHARE, SHARE_OF_POSITION

# Three digits of a number in the middle of the column; no more decimals than this.
DIGITS, MAX_DECIMALS = 3, 5
MAX_PER_CENT_DECIMALS = 2
# p-values below this are told as being so.
SMALLEST_P = 0.001
HUGE = 1e7
PER_CENT = {SHARE: "%", SHARE_OF_POSITION: "% of position"}
MINUS = "\N{MINUS SIGN}"


def decimals_of(values: Iterable[float]) -> int:
    """Decimals that give the number in the middle of |values| its three digits; zeros and what is missing apart.

    >>> decimals_of([0.0123, -0.5, 0.02]), decimals_of([3.0, 400.0])
    (4, 0)
    """
    known = np.abs(np.array([value for value in values if math.isfinite(value) and value != 0], float))
    if not len(known) or (known == np.round(known)).all():
        return 0
    middle = float(np.median(known))
    return int(np.clip(DIGITS - 1 - math.floor(math.log10(middle)), 0, MAX_DECIMALS))


def number(value: float, decimals: int) -> str:
    """A number with so many decimals, in groups of three digits; empty where it is missing.

    One that would be shown as 0, and is not, gets one digit; a huge one a power of ten.

    >>> number(-12345.678, 1), number(0.00004, 3), number(2.5e9, 0), number(float("nan"), 2)
    ('\N{MINUS SIGN}12,345.7', '0.00004', '2.5e9', '')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}\N{INFINITY}"
    if abs(value) >= HUGE:
        text = f"{value:.2g}".replace("e+0", "e").replace("e+", "e")
    else:
        text = f"{value:,.{decimals}f}"
        if value != 0 and float(text.replace(",", "")) == 0:
            text = np.format_float_positional(float(f"{value:.1g}"), trim="-") if abs(value) >= 1e-9 else "0"
    text = "0" if text.strip("-0.") == "" and value == 0 and decimals == 0 else text
    return text.replace("-", MINUS)


def numbers(values: Iterable[float], unit: str = "") -> list[str]:
    """The numbers of a column of one unit, with the same decimals; shares become per cent."""
    found = [float(value) for value in values]
    if unit in PER_CENT:
        found = [100 * value for value in found]
        decimals = min(decimals_of(found), MAX_PER_CENT_DECIMALS)
    else:
        decimals = decimals_of(found)
    return [number(value, decimals) for value in found]


def p_value(value: float) -> str:
    """A p-value.

    >>> p_value(0.0123), p_value(1e-9)
    ('0.012', '< 0.001')
    """
    return f"< {SMALLEST_P}" if value < SMALLEST_P else number(value, DIGITS)


def per_cent(share: float) -> str:
    """A share in per cent with about two digits.

    >>> per_cent(-0.0612), per_cent(0.004), per_cent(0.5)
    ('\N{MINUS SIGN}6.1', '0.4', '50')
    """
    value = 100 * share
    return number(value, 0 if abs(value) >= 10 or value == round(value) else 1)
