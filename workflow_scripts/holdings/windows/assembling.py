"""Windows of a split, from those that may be used to samples with all that is known at t."""

from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from workflow_scripts.holdings.panel.contract import IDS
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters
from workflow_scripts.holdings.windows.history import attach_history, read_history
from workflow_scripts.holdings.windows.managers import ManagerQuarters, attach_managers
from workflow_scripts.holdings.windows.prices import attach_prices
from workflow_scripts.holdings.windows.sampling import Candidates, find_candidates
from workflow_scripts.holdings.windows.splits import Period, split_mask
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_batches, read_table


@dataclass(frozen=True)
class SplitWindows:
    """Which windows of a split may be used; `next_start` is the first day of the next split if an embargo looks at it.

    `needs_active_change` where the active change is the target: windows without one are then left out.
    """

    seed: int
    history_quarters: int
    period: Period
    next_start: str | None
    embargo_quarters: int
    needs_active_change: bool


@dataclass(frozen=True)
class FirmTypeFiles:
    """What the windows of a firm type are assembled from: paths of the slice and of what was made of it."""

    firm_type: str
    panel: str
    windows: str
    stocks: str
    managers: str


# The option of an entry module that names what was made of the slice.
TABLES = {"nargs": 3, "metavar": ("WINDOWS", "STOCK_QUARTERS", "MANAGER_QUARTERS")}


class Assembler:
    """Finds the windows of a split and attaches their history, prices and managers."""

    def __init__(self, files: FirmTypeFiles, settings: SplitWindows) -> None:
        self.files, self.settings = files, settings
        self.stocks = StockQuarters(read_table(files.stocks))

    def candidates(self, split: str, drop_zero_holding: bool) -> tuple[Candidates, dict]:
        """The windows that may be used, and the account of what was dropped; InputError where none is left."""
        settings = self.settings
        in_split = partial(
            split_mask,
            period=settings.period,
            next_start=settings.next_start,
            embargo_quarters=settings.embargo_quarters,
        )
        windows = read_batches(self.files.windows, [*IDS, "quarter", "zero_holding", "delta_sign"])
        known = self.stocks.has_active_change if settings.needs_active_change else None
        try:
            return find_candidates(windows, in_split, drop_zero_holding, known)
        except InputError as error:
            raise InputError(f"{self.files.windows}, split {split}: {error}") from error

    def assemble(self, chosen: pa.Table) -> tuple[pa.Table, pa.Table]:
        """`assemble` of the chosen windows."""
        return assemble(chosen, self.files, self.stocks, self.settings.history_quarters)


def assemble(
    chosen: pa.Table, files: FirmTypeFiles, stocks: StockQuarters, history_quarters: int
) -> tuple[pa.Table, pa.Table]:
    """The chosen windows with all columns of a sample, and the panel rows of their pairs."""
    history = read_history(files.panel, chosen)
    sample = attach_history(chosen, history, files.firm_type, history_quarters)
    sample = attach_prices(sample, stocks, history_quarters)
    return attach_managers(sample, ManagerQuarters(read_table(files.managers)), stocks), history
