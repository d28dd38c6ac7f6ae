"""The panel contract: firm types, columns, and the error of a slice that breaks it.

A slice is one parquet file per firm type; a row is one (type, mgrno, permno, quarter). Values are
$ million at quarter end, except profit, Gat and beta (ratios) and prc ($ per share).
"""

import datetime as dt
from typing import Annotated, Literal, get_args

from annotated_types import Predicate

from workflow_scripts.plumbing.errors import InputError


def is_day(text: str) -> bool:
    """Whether a text is a day of the calendar, written as YYYY-MM-DD."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


# A day stands for its quarter.
Day = Annotated[str, Predicate(is_day)]
FirmType = Literal[
    "banks",
    "households",
    "insurance_companies",
    "investment_advisors",
    "mutual_funds",
    "pension_funds",
    "other",
]
FIRM_TYPES: tuple[FirmType, ...] = get_args(FirmType)
SourceColumn = Literal[
    "type", "mgrno", "permno", "date", "me", "be", "profit", "Gat", "beta", "aum", "outaum", "holding_t", "prc"
]
IDS = ("mgrno", "permno")
KEYS = ("type", *IDS, "date")
FACTORS = ("me", "be", "profit", "Gat", "beta")
FEATURES = (*FACTORS, "aum", "outaum", "holding_t", "prc")
LABELS = ("holding_t1",)
PANEL_COLUMNS = (*KEYS, *FEATURES, *LABELS)
MAX_EXAMPLES = 5


class PanelError(InputError):
    """A slice breaks the panel contract; the message names file, column, rows and remedy."""
