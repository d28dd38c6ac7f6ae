"""Whether prc, aum and me of a row are those of the row's quarter, judged by the positions of a slice.

A column that is shifted by a quarter shows nothing odd row by row, and one that is a quarter early hands the future to
every forecaster. Each column is therefore compared with another one as it is, with the value of the row before
(shift -1) and with that of the row after (shift +1):

- prc: many holders keep their shares, holding_t / prc, exactly. With the price of another quarter hardly any does.
- aum: the sum of a manager's holding_t is his aum - outaum, where a slice has all his positions.
- me: its logarithm changes as that of prc does.

Where a shift fits better by far the column is of another quarter: shift -1 says that a row has the value of t+1, shift
+1 that it has that of t-1. Where no shift fits, a slice does not tell. Pairs are sampled by a hash of their ids, so
that the price of the check does not grow with the slice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.pairs import same_pair

SHIFTS = (-1, 0, 1)
# Rows of a slice from which pairs are taken, more or less.
SAMPLED_ROWS = 400_000
# Odd numbers that mix the bits of ids (those of xxHash).
MIX = np.array([0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64).astype(np.int64)
# Shares that changed by no more than this logarithm are the same: prices are rounded.
UNTRADED = 1e-4
# What a shift must show to be believed: this many untraded positions, this share of all, and so many times those at 0.
MIN_UNTRADED, MIN_UNTRADED_SHARE, UNTRADED_FACTOR = 50, 0.01, 3
# Sums of holdings that are this near to aum - outaum; by how much their share must be larger, of how many. Where assets
# hardly change within a quarter only the narrow tolerance tells.
SUM_TOLERANCES, MIN_SUM_GAIN, MIN_SUMS = np.array([0.05, 0.001]), 0.25, 30
# The same for the correlation of me with prc; changes are cut off, so that no outlier decides it.
MIN_CORRELATION, MIN_CORRELATION_GAIN, MIN_CHANGES, LARGEST_CHANGE = 0.5, 0.3, 200, 0.5
DATED = {-1: "that of the quarter after its row, which nobody knows at t", 1: "that of the quarter before its row"}


@dataclass(frozen=True)
class TimingFault:
    """A column of another quarter, in words; `is_fatal` where forecasts made of it would be worth nothing."""

    text: str
    is_fatal: bool


class Timing:
    """What the blocks seen so far say of the quarters of prc, aum and me."""

    def __init__(self, rows: int) -> None:
        # One pair in so many is looked at, a power of two.
        self.step = 1 << max(rows // SAMPLED_ROWS, 1).bit_length() - 1
        self.untraded, self.positions = np.zeros(len(SHIFTS), dtype=np.int64), 0
        # By tolerance; aum alone, or aum and outaum together, is of another quarter.
        self.sums, self.cells = np.zeros((len(SUM_TOLERANCES), 2, len(SHIFTS)), dtype=np.int64), 0
        # n, and sums of x, y, xx, yy, xy for each shift: x is the change of prc, y that of me.
        self.moments = np.zeros((len(SHIFTS), 6))

    def add(self, mgrno: NDArray, permno: NDArray, index: NDArray, value: dict[str, NDArray]) -> None:
        """One block of whole pairs, sorted; `index` numbers the quarters."""
        if len(index) < 4:
            return
        # Four quarters in a row, the first of which is t-2: each shift is judged by the same positions, from t-1 to t.
        first = slice(None, -3)
        if self.step > 1:
            codes = (mgrno[first] * MIX[0] + permno[first] * MIX[1]) * MIX[2]
            run = np.flatnonzero((codes >> 40) & (self.step - 1) == 0)
            whole = (
                (mgrno[run] == mgrno[run + 3]) & (permno[run] == permno[run + 3]) & (index[run + 3] - index[run] == 3)
            )
            run = run[whole]
        else:
            run = np.flatnonzero(same_pair(mgrno, permno, 3) & (index[3:] - index[first] == 3))
        holding = value["holding_t"]
        held = (holding[run + 1] > 0) & (holding[run + 2] > 0)
        run = run[held]
        with np.errstate(divide="ignore", invalid="ignore"):
            shares, prc, me = (
                np.diff(np.log([value[name][run + lag] for lag in range(4)]), axis=0)
                for name in ("holding_t", "prc", "me")
            )
        known = np.isfinite(prc).all(axis=0)
        self.positions += int(known.sum())
        self.untraded += (np.abs(shares[1] - prc) <= UNTRADED)[:, known].sum(axis=1)
        known &= np.isfinite(me).all(axis=0)
        x, changes = np.clip(prc[1, known], -LARGEST_CHANGE, LARGEST_CHANGE), me[:, known]
        for shift, y in enumerate(np.clip(changes, -LARGEST_CHANGE, LARGEST_CHANGE)):
            # Not x @ y: the threads of a linear algebra library would keep other cores busy.
            self.moments[shift] += [len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]

    def add_managers(
        self, manager: NDArray, index: NDArray, held: NDArray[np.float64], aum: NDArray, outaum: NDArray
    ) -> None:
        """All quarters of some managers, in any order: the sum of holding_t, aum and outaum, $ million."""
        order = np.lexsort((index, manager))
        manager, index, held, aum, outaum = (one[order] for one in (manager, index, held, aum, outaum))
        run = np.flatnonzero((manager[2:] == manager[:-2]) & (index[2:] - index[:-2] == 2)) + 1
        if not len(run):
            return
        near = []
        for outside in (lambda shift: outaum[run], lambda shift: outaum[run + shift]):
            with np.errstate(divide="ignore", invalid="ignore"):
                near.append([held[run] / (aum[run + shift] - outside(shift)) for shift in SHIFTS])
        known = (held[run] > 0) & np.isfinite(near).all(axis=(0, 1))
        self.cells += int(known.sum())
        distance = np.abs(np.array(near)[..., known] - 1)
        self.sums += np.array([(distance <= tolerance).sum(axis=-1) for tolerance in SUM_TOLERANCES])

    def shares(self) -> dict[str, dict[str, float | int]]:
        """Each statistic by shift, and of how many; 0 where there are none."""
        found = {
            "untraded_positions_by_prc": (self.positions, self.untraded / max(self.positions, 1)),
            "sums_that_are_aum": (self.cells, self._sums()[1] / max(self.cells, 1)),
            "correlation_of_me_and_prc": (int(self.moments[0, 0]), self._correlations()),
        }
        return {
            name: {"of": of, **{f"{shift:+d}" if shift else "0": round(float(one), 4)
                                for shift, one in zip(SHIFTS, values, strict=True)}}
            for name, (of, values) in found.items()
        }  # fmt: skip

    def faults(self) -> list[TimingFault]:
        """The columns that fit far better at another shift."""
        by_prc, by_aum, by_me = self.shares().values()
        prc, aum, me = self._shift_of_prc(), self._shift_of_aum(), self._shift_of_me()
        faults = []
        if prc:
            faults.append(_fault("prc", prc, "positions whose shares (holding_t / prc) stay the same", by_prc))
        if aum:
            words = f"sums of a manager's holding_t within {self._sums()[0]:.1%} of aum - outaum"
            faults.append(_fault("aum", aum, words, by_aum))
        # me is dated by prc, so that it is off by as much as prc is where the two go together.
        words = "correlation of the changes of log me and log prc"
        others = UNTRADED_FACTOR * max(self.untraded[0], self.untraded[2])
        knows_prc = prc != 0 or self.untraded[1] > max(MIN_UNTRADED, others)
        if me and not knows_prc:
            lag = "later" if me < 0 else "earlier"
            text = f"columns 'me' and 'prc' are of different quarters, me of the {lag} one: {_told(words, by_me)}"
            faults.append(TimingFault(text, True))
        elif me + prc and max(self._correlations()) >= MIN_CORRELATION:
            faults.append(_fault("me", max(min(me + prc, 1), -1), words, by_me))
        return faults

    def _sums(self) -> tuple[float, NDArray[np.int64]]:
        """The tolerance that tells the shifts apart, and the sums that fit by shift in the better of the readings."""
        fits = self.sums.max(axis=1)
        best = int(np.argmax(fits.max(axis=1) - fits[:, 1]))
        return float(SUM_TOLERANCES[best]), fits[best]

    def _correlations(self) -> NDArray[np.float64]:
        n, x, y, xx, yy, xy = self.moments.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num((n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y)))

    def _shift_of_prc(self) -> int:
        shift = int(np.argmax(self.untraded))
        most = self.untraded[shift]
        enough = most >= max(MIN_UNTRADED, MIN_UNTRADED_SHARE * self.positions)
        return SHIFTS[shift] if enough and most > UNTRADED_FACTOR * self.untraded[1] else 0

    def _shift_of_aum(self) -> int:
        _, sums = self._sums()
        shift = int(np.argmax(sums))
        is_better = self.cells >= MIN_SUMS and sums[shift] - sums[1] >= MIN_SUM_GAIN * self.cells
        return SHIFTS[shift] if is_better else 0

    def _shift_of_me(self) -> int:
        found = self._correlations()
        shift = int(np.argmax(found))
        is_better = found[shift] >= MIN_CORRELATION and found[shift] - found[1] >= MIN_CORRELATION_GAIN
        return SHIFTS[shift] if is_better and self.moments[0, 0] >= MIN_CHANGES else 0


def _told(words: str, by_shift: dict[str, float | int]) -> str:
    values = ", ".join(f"{by_shift[shift]:.3f} at {shift}" for shift in ("-1", "0", "+1"))
    return f"{words}, of {by_shift['of']:,}, by shift: {values}"


def _fault(column: str, shift: int, words: str, by_shift: dict[str, float | int]) -> TimingFault:
    # Old assets are only stale. With an old price the return up to t, which is known, is taken for a trade after t.
    return TimingFault(f"column {column!r} is {DATED[shift]} ({_told(words, by_shift)})", shift < 0 or column == "prc")
