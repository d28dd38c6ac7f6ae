"""Values of a stock that are off by 10^3 or more in one quarter, and in those beside it are not.

A price whose point is in the wrong place makes positions of all holders a thousand times too large, and the few
rows outweigh a whole slice in every sum of dollars.
"""

import numpy as np
from numpy.typing import NDArray

# Orders of magnitude between quarters that are no trade and no return, and what a value may end from where it began.
SMALLEST_SPIKE, LARGEST_CHANGE = 2.5, 1.0
STOCK_COLUMNS, POSITION = ("prc", "me"), "holding_t"


class Spikes:
    """Jumps that the blocks seen so far have shown: by stock and quarter for prc and me, whole spikes for positions."""

    def __init__(self) -> None:
        # (column, permno) -> quarter before the jump -> orders of magnitude, up or down.
        self.jumps: dict[tuple[str, int], dict[int, float]] = {}
        # (permno, quarter) -> orders of magnitude of its first position that is off.
        self.positions: dict[tuple[int, int], float] = {}

    def add(self, permno: NDArray, index: NDArray, value: dict[str, NDArray], has_next: NDArray[np.bool_]) -> None:
        """One block of whole pairs, sorted; `has_next` is where the row below is the pair's next quarter."""
        factor = 10**SMALLEST_SPIKE
        for name in (*STOCK_COLUMNS, POSITION):
            values = value[name]
            with np.errstate(divide="ignore", invalid="ignore"):
                growth = values[1:] / values[:-1]
            at = np.flatnonzero(has_next[:-1] & ((growth > factor) | ((growth < 1 / factor) & (growth > 0))))
            at = at[np.isfinite(growth[at])]
            if not len(at):
                continue
            orders = np.log10(growth[at])
            if name == POSITION:
                self._add_positions(permno, index, at, orders)
                continue
            for stock, quarter, order in zip(permno[at].tolist(), index[at].tolist(), orders.tolist(), strict=True):
                self.jumps.setdefault((name, stock), {}).setdefault(quarter, order)

    def _add_positions(self, permno: NDArray, index: NDArray, at: NDArray, orders: NDArray) -> None:
        # A position may grow a thousandfold; it does not come back at once.
        back = np.flatnonzero((np.diff(at) == 1) & (np.abs(orders[1:] + orders[:-1]) <= LARGEST_CHANGE))
        row = at[back] + 1
        for stock, quarter, order in zip(permno[row].tolist(), index[row].tolist(), orders[back].tolist(), strict=True):
            self.positions.setdefault((stock, quarter), order)

    def found(self, present: dict[int, NDArray[np.bool_]]) -> list[tuple[int, int, str, float]]:
        """(permno, quarter index, column, orders of magnitude), sorted; `present` says where a stock has rows.

        prc and me are off in the quarter between two jumps, or in a stock's first or last one; a jump for good is none
        of these. A position is told where the price does not explain it.
        """
        found = {}
        for (name, stock), jumps in self.jumps.items():
            first, last = np.flatnonzero(present[stock])[[0, -1]].tolist()
            back = set()
            for quarter, order in sorted(jumps.items()):
                if quarter in back:
                    continue
                after = jumps.get(quarter + 1)
                if after is not None and abs(order + after) <= LARGEST_CHANGE:
                    found[stock, quarter + 1, name] = order
                    back.add(quarter + 1)
                elif quarter + 1 == last:
                    found[stock, last, name] = order
                elif quarter == first:
                    found[stock, first, name] = -order
        by_price = {(stock, quarter) for stock, quarter, name in found if name == "prc"}
        for (stock, quarter), order in self.positions.items():
            if (stock, quarter) not in by_price:
                found[stock, quarter, POSITION] = order
        return sorted((*key, order) for key, order in found.items())
