"""What a config says about filings: which of them count, and how their unit is decided."""

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Ge

from workflow_scripts.holdings.panel.contract import Day


@dataclass(frozen=True)
class FilingSettings:
    """Which filings count, and how it is decided whether one reports dollars or thousands."""

    as_of: Annotated[
        Day | None,
        Doc("Only filings of this day or before, so that the panel is what was known then; null takes all."),
    ] = None
    min_price_filers: Annotated[
        int,
        Ge(2),
        Doc("Managers whose value / shares of one CUSIP and quarter make a price to compare filings with."),
    ] = 3
    min_priced_cusips: Annotated[
        int,
        Ge(1),
        Doc(
            "CUSIPs with such a price that decide a filing's unit; where it has fewer, the manager's own history does."
        ),
    ] = 3
