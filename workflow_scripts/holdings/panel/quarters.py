"""Calendar quarters as integers: `quarter = 4 * year + (q - 1)`, so that t + 1 is the next quarter."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def quarter_ids(dates: ArrayLike) -> NDArray[np.int32]:
    """Quarter id of each date; any day of a quarter gives the same id. Shape (n,) in, (n,) out.

    Missing dates (NaT) raise ValueError: a row without a quarter has no place in a panel.

    >>> quarter_ids(["2016-12-31", "2017-01-01"]).tolist()
    [8067, 8068]
    """
    days = np.asarray(dates, dtype="datetime64[D]")
    if np.isnat(days).any():
        raise ValueError("a date is missing; every row needs a quarter")
    number = days.astype(np.int64)
    if not len(number):
        return np.empty(0, dtype=np.int32)
    first, last = int(number.min()), int(number.max())
    if last - first < len(number):
        # Panels repeat few days: reckoning each day of the span once is ten times faster.
        span = np.arange(first, last + 1).astype("datetime64[D]")
        return _quarters_of_days(span)[number - first]
    return _quarters_of_days(days)


def _quarters_of_days(days: NDArray[np.datetime64]) -> NDArray[np.int32]:
    return (days.astype("datetime64[M]").astype(np.int64) // 3 + 1970 * 4).astype(np.int32)


def quarter_labels(quarters: ArrayLike) -> list[str]:
    """Labels such as `2019Q1` for quarter ids of shape (n,).

    >>> quarter_labels([8067, 8068])
    ['2016Q4', '2017Q1']
    """
    return [f"{q // 4}Q{q % 4 + 1}" for q in np.asarray(quarters).tolist()]


def label_ids(labels: Iterable[str]) -> NDArray[np.int32]:
    """Quarter ids of labels as `quarter_labels` writes them, shape (n,).

    >>> label_ids(["2016Q4", "2017Q1"]).tolist()
    [8067, 8068]
    """
    return np.array([int(label[:4]) * 4 + int(label[5:]) - 1 for label in labels], dtype=np.int32)


def quarter_starts(quarters: ArrayLike) -> NDArray[np.datetime64]:
    """First day of each quarter, the stamp that the field's files use.

    >>> quarter_starts([8067]).tolist()
    [datetime.date(2016, 10, 1)]
    """
    months = (np.asarray(quarters, dtype=np.int64) - 1970 * 4) * 3
    return months.astype("datetime64[M]").astype("datetime64[D]")
