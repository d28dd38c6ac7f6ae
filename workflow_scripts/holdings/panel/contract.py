"""The panel contract: firm types, columns, and the error of a slice that breaks it.

A slice is one parquet file per firm type; a row is one (type, mgrno, permno, quarter). Values are
$ million at quarter end, except profit, Gat and beta (ratios) and prc ($ per share).
"""

from workflow_scripts.plumbing.errors import InputError

FIRM_TYPES = (
    "banks",
    "households",
    "insurance_companies",
    "investment_advisors",
    "mutual_funds",
    "pension_funds",
    "other",
)
IDS = ("mgrno", "permno")
KEYS = ("type", *IDS, "date")
FACTORS = ("me", "be", "profit", "Gat", "beta")
FEATURES = (*FACTORS, "aum", "outaum", "holding_t", "prc")
LABELS = ("holding_t1",)
PANEL_COLUMNS = (*KEYS, *FEATURES, *LABELS)
MAX_EXAMPLES = 5


class PanelError(InputError):
    """A slice breaks the panel contract; the message names file, column, rows and remedy."""
