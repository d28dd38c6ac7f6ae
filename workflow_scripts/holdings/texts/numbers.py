"""The one number formatter, and the rounding of labels."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_DECIMALS = 6
MISSING = "NA"


def format_numbers(values: Iterable[float], decimals: int = MAX_DECIMALS) -> list[str]:
    """Plain decimal strings: at most `decimals` (0..6) digits after the point, never scientific.

    Trailing zeros are cut, a negative zero loses its sign, missing and infinite values print as `NA`.

    >>> format_numbers([1234567.5, -0.0000001, 1e-5, float("nan")])
    ['1234567.5', '0', '0.00001', 'NA']
    """
    if not 0 <= decimals <= MAX_DECIMALS:
        raise ValueError(f"decimals is {decimals}; it must lie in 0..{MAX_DECIMALS}")
    array = np.asarray(values, dtype=np.float64)
    pattern = f"%.{decimals}f"
    texts = [pattern % value for value in array.tolist()]
    if decimals:
        texts = [text.rstrip("0").rstrip(".") for text in texts]
    texts = ["0" if text == "-0" else text for text in texts]
    for i in np.flatnonzero(~np.isfinite(array)).tolist():
        texts[i] = MISSING
    return texts


def round_labels(values: ArrayLike, lowest: ArrayLike, decimals: int) -> NDArray[np.float64]:
    """Round values (n,) to `decimals`, but never below their bounds `lowest`, which are at most 0.

    Leaving a position of 3.357637 is a change of -3.357637, the lowest there is; rounded to two decimals it would be
    -3.36, which the output contract punishes, so the label becomes -3.35.

    >>> round_labels([-3.357637, 1.005], [-3.357637, -9.0], 2).tolist()
    [-3.35, 1.0]
    """
    bound = np.asarray(lowest, dtype=np.float64)
    rounded = np.round(np.asarray(values, dtype=np.float64), decimals)
    # Cutting the digits of the bound off moves towards zero, inside the allowed region.
    inside = np.trunc(bound * 10.0**decimals) / 10.0**decimals
    # Adding 0.0 turns -0.0 into 0.0, so that no label reads "-0.00".
    return np.where(rounded < bound, inside, rounded) + 0.0
