"""What the checks of all audits share: how they are told, when numbers differ, and the calendar of a day."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.plumbing.errors import InputError

EXAMPLES = 3
# What was looked for, how often it was found, examples, and whether it must not be.
Check = tuple[str, int, str, bool]


def found_by(name: str, found: Sequence[str]) -> Check:
    """A check that may find nothing."""
    return name, len(found), ", ".join(found[:EXAMPLES]), True


def checks_table(checks: Sequence[Check], firm_type: str, split: str) -> pa.Table:
    """One row per check: firm_type, split, check, count, detail, must_be_zero; InputError where one fails."""
    faults = [f"{name}: {count} ({detail})" for name, count, detail, must_be_zero in checks if must_be_zero and count]
    if faults:
        raise InputError(
            f"leak in {firm_type}, {split}: {'; '.join(faults)}. Nothing of this run can be believed: mend it first"
        )
    columns = zip(*((firm_type, split, *check) for check in checks), strict=True)
    names = ("firm_type", "split", "check", "count", "detail", "must_be_zero")
    return pa.table(dict(zip(names, map(list, columns), strict=True)))


def differ(a: NDArray, b: NDArray) -> NDArray[np.bool_]:
    """Where numbers are not the same; two that are missing are."""
    return ~((a == b) | (np.isnan(a) & np.isnan(b)))


def day_quarter(day: str) -> tuple[int, int]:
    """Year and quarter of a day (YYYY-MM-DD)."""
    year, month, _ = map(int, day.split("-"))
    return year, (month + 2) // 3
