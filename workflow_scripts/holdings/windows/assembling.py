"""Windows of a split, from those that may be used to samples with all that is known at t."""

from collections.abc import Sequence
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
    """Finds the windows of splits and attaches their history, prices and managers."""

    def __init__(self, files: FirmTypeFiles) -> None:
        self.files = files
        self.stocks = StockQuarters(read_table(files.stocks))

    def candidates(self, split: str, settings: SplitWindows, drop_zero_holding: bool) -> tuple[Candidates, dict]:
        """The windows that may be used, and the account of what was dropped; InputError where none is left."""
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

    def assemble(self, chosen: Sequence[pa.Table], history_quarters: int) -> tuple[list[pa.Table], pa.Table]:
        """Windows chosen once or several times with all columns of a sample, and the panel rows of all their pairs.

        The slice is read once.
        """
        files = self.files
        history = read_history(files.panel, pa.concat_tables(chosen).select(IDS))
        managers = ManagerQuarters(read_table(files.managers))
        samples = []
        for windows in chosen:
            sample = attach_history(windows, history, files.firm_type, history_quarters)
            sample = attach_prices(sample, self.stocks, history_quarters)
            samples.append(attach_managers(sample, managers, self.stocks))
        return samples, history
