"""Faults of a slice that show in a manager's whole quarters: positions that vanish unnoticed, and managers twice."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.quarters import quarter_labels

# Fewer positions may be the same by chance.
MIN_SAME = 3
# Sums of the same numbers in blocks of different ends.
SAME = 1e-9
GOLDEN = (np.sqrt(5) - 1) / 2


def position_weights(permno: NDArray[np.int64]) -> NDArray[np.float64]:
    """A weight between 1 and 2 for each stock: sums by them tell apart who holds the same dollars of other stocks."""
    return 1.0 + permno * GOLDEN % 1.0


class SamePositions:
    """Which managers hold the same positions in a quarter, by their number and two sums."""

    def __init__(self) -> None:
        self.parts: list[tuple[NDArray, ...]] = []

    def add(self, manager: NDArray, index: NDArray, number: NDArray, held: NDArray, weighted: NDArray) -> None:
        """Manager-quarters: positions above 0, the sum of holding_t ($ million), and the sum by `position_weights`."""
        many = number >= MIN_SAME
        self.parts.append(tuple(one[many] for one in (manager, index, number, held, weighted)))

    def pairs(self) -> dict[tuple[int, int], list[int]]:
        """Quarters (index) by pair of managers with the same positions, those with the most quarters first.

        Of more than two managers with the same positions neighbours are told.
        """
        if not self.parts:
            return {}
        manager, index, number, held, weighted = (np.concatenate(one) for one in zip(*self.parts, strict=True))
        order = np.lexsort((manager, weighted, number, index))
        manager, index, number, held, weighted = (one[order] for one in (manager, index, number, held, weighted))
        same = (index[1:] == index[:-1]) & (number[1:] == number[:-1]) & (manager[1:] != manager[:-1])
        for sums in (held, weighted):
            same &= np.abs(np.diff(sums)) <= SAME * sums[1:]
        found: dict[tuple[int, int], list[int]] = {}
        for at in np.flatnonzero(same).tolist():
            pair = sorted((int(manager[at]), int(manager[at + 1])))
            found.setdefault((pair[0], pair[1]), []).append(int(index[at]))
        return dict(sorted(found.items(), key=lambda one: (-len(one[1]), one[0])))


class LostExits:
    """Positions whose rows end while their manager and their stock go on: exits without the zero row of one."""

    def __init__(self) -> None:
        self.waiting: list[tuple[NDArray, NDArray, NDArray]] = []
        self.manager_goes_on: Counter[tuple[int, int]] = Counter()

    def add(self, mgrno: NDArray, permno: NDArray, index: NDArray) -> None:
        """The last rows of pairs that are still held there; `index` numbers the quarters."""
        self.waiting.append((mgrno, permno, index))

    def judge(self, manager: NDArray, index: NDArray, files: NDArray[np.bool_]) -> None:
        """Take note of the quarters of whole managers: whether they hold anything then."""
        if not len(manager):
            return
        mgrno, permno, last = (np.concatenate(one) for one in zip(*self.waiting, strict=True))
        managers = np.unique(manager)
        # Quarters are small numbers: one number for a manager's quarter.
        span = int(max(index.max(), last.max(initial=0))) + 2
        filings = (np.searchsorted(managers, manager) * span + index)[files]
        place = np.minimum(np.searchsorted(managers, mgrno), len(managers) - 1)
        is_whole = managers[place] == mgrno
        goes_on = is_whole & np.isin(place * span + last + 1, filings)
        self.manager_goes_on.update(zip(permno[goes_on].tolist(), (last[goes_on] + 1).tolist(), strict=True))
        self.waiting = [(mgrno[~is_whole], permno[~is_whole], last[~is_whole])]

    def by_stock_quarter(self, present: dict[int, NDArray[np.bool_]]) -> dict[tuple[int, int], int]:
        """How many there are by permno and the quarter (index) of the exit, most first; `present` says by stock in
        which quarters it has rows.

        A stock without any row in the quarter may have left the market: nobody has sold it.
        """
        lost = {key: count for key, count in self.manager_goes_on.items() if present[key[0]][key[1]]}
        return dict(sorted(lost.items(), key=lambda one: (-one[1], one[0])))


def quarter_span(quarters: list[int]) -> str:
    """`2015Q1` for one quarter id, `2015Q1-2016Q4` for several."""
    return "-".join(quarter_labels(sorted({min(quarters), max(quarters)})))
