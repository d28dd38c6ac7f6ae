"""Checks of a sample by what must not have chosen it: the labels.

The windows of a split are found again, label-blind and by code of their own: which of them may be sampled, and which of
them are drawn. A window may be left out because it has no label, never for what the label is.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation.audit_checks import day_quarter
from workflow_scripts.holdings.panel.contract import IDS
from workflow_scripts.holdings.panel.pairs import key_arrays, pair_numbers, same_pair
from workflow_scripts.holdings.panel.quarters import label_ids
from workflow_scripts.holdings.windows.sampling import Candidates, SampleSettings, sample_windows
from workflow_scripts.holdings.windows.splits import Period
from workflow_scripts.holdings.windows.windows import window_ids

# More quarter ids than there are, and signs of a label with that of none.
QUARTERS, SIGNS = 1 << 16, 4


def quarters_of(period: Period, next_start: str | None, embargo_quarters: int) -> tuple[int, int]:
    """First and last quarter id (4 * year + quarter - 1) of a split's windows."""

    def number(day: str) -> int:
        year, quarter = day_quarter(day)
        return 4 * year + quarter - 1

    first = number(period.start) if period.start else 0
    last = number(period.end) if period.end else 4 * 9999
    return first, min(last, number(next_start) - embargo_quarters - 1) if next_start else last


class WindowFinder:
    """Finds, in one reading of what `build_windows` gives, the windows that may be sampled and those of sampled pairs.

    `quarters` are those of the split; `has_active_change` is given where windows without one may not be sampled.
    """

    def __init__(
        self,
        sample: pa.Table,
        quarters: tuple[int, int],
        drop_zero_holding: bool,
        has_active_change: Callable[[NDArray, NDArray], NDArray[np.bool_]] | None,
    ) -> None:
        self.sample, self.quarters = sample, quarters
        self.drop_zero_holding, self.has_active_change = drop_zero_holding, has_active_change

    def find(self, windows: Iterable[pa.Table]) -> tuple[Candidates, pa.Table]:
        """All windows of the split that have a label, without the labels; all of the sampled pairs, in any split.

        `windows` come in parts, sorted. The second result has the columns mgrno, permno, quarter and delta_sign.
        """
        parts: list[tuple[NDArray, ...]] = []
        of_pairs: list[pa.Table] = []
        before, pairs = (None, None), 0
        for part in windows:
            of_pairs.append(part.select([*IDS, "quarter", "delta_sign"]).filter(pa.array(self._is_of_pairs(part))))
            kept = self._is_eligible(part)
            mgrno, permno, quarter = (key[kept] for key in key_arrays(part))
            if len(quarter):
                begins = np.append((mgrno[0], permno[0]) != before, ~same_pair(mgrno, permno, 1))
                parts.append((mgrno[begins], permno[begins], (pairs - 1 + np.cumsum(begins)).astype(np.int32), quarter))
                before, pairs = (mgrno[-1], permno[-1]), int(parts[-1][2][-1]) + 1
        mgrno, permno, pair, quarter = (np.concatenate(one) for one in zip(*parts, strict=True))
        eligible = Candidates(mgrno, permno, pair, quarter, np.zeros(len(quarter), dtype=np.int8))
        return eligible, pa.concat_tables(of_pairs)

    def _is_eligible(self, part: pa.Table) -> NDArray[np.bool_]:
        _, permno, quarter = key_arrays(part)
        first, last = self.quarters
        kept = (quarter >= first) & (quarter <= last) & part["delta_sign"].is_valid().to_numpy()
        if self.drop_zero_holding:
            kept &= ~part["zero_holding"].to_numpy()
        if self.has_active_change:
            kept &= self.has_active_change(permno, quarter)
        return kept

    def _is_of_pairs(self, part: pa.Table) -> NDArray[np.bool_]:
        mgrno, permno, _ = key_arrays(part)
        begins = np.flatnonzero(np.append(True, ~same_pair(mgrno, permno, 1))[: len(mgrno)])
        theirs, wanted = pair_numbers(pa.table({"mgrno": mgrno[begins], "permno": permno[begins]}), self.sample)
        return np.repeat(np.isin(theirs, wanted), np.diff(begins, append=len(mgrno)))


def chosen_by_label(
    sample: pa.Table, eligible: Candidates, settings: SampleSettings, rng: np.random.Generator
) -> list[str]:
    """window_ids that a draw from all `eligible` windows gives and the sample lacks, or the other way round.

    `rng` is the stream that the sample was drawn with.
    """
    blind, _ = sample_windows(eligible, settings, rng)
    drawn = window_ids(sample["firm_type"][0].as_py(), *key_arrays(blind))
    return sorted(set(drawn) ^ set(sample["window_id"].to_pylist()))


def _codes(numbers: NDArray[np.intp], quarter: NDArray[np.int32]) -> NDArray[np.int64]:
    """One number for a pair's quarter: the quarters of a pair follow each other, and no other's lie between."""
    return numbers.astype(np.int64) * QUARTERS + quarter


def _signed(codes: NDArray[np.int64], sign: NDArray) -> NDArray[np.int64]:
    """One number for a window and the sign of its label, which is NaN where there is no label."""
    return codes * SIGNS + np.where(np.isnan(sign), SIGNS - 1, sign + 1).astype(np.int64)


def _is_set_aside(permno: NDArray, quarter: NDArray, set_aside: Sequence[str]) -> NDArray[np.bool_]:
    odd = np.zeros(len(permno), dtype=bool)
    for stock, of in map(str.split, set_aside):
        odd |= (permno == int(stock)) & (quarter == label_ids([of])[0])
    return odd


def differing_windows(
    found: pa.Table, sample: pa.Table, history: pa.Table, history_quarters: int, set_aside: Sequence[str]
) -> list[str]:
    """window_ids of the sampled pairs that the panel gives and `found` lacks, has too many, or with another sign.

    `found` is of `WindowFinder`; `history` holds at least all rows of these pairs (`read_history`). A quarter that
    `set_aside` names gives no row and no label.
    """
    numbers, of_sample, of_found = pair_numbers(history, sample, found)
    _, permno, quarter = key_arrays(history)
    held, after = (history[name].to_numpy() for name in ("holding_t", "holding_t1"))
    sign = np.where(_is_set_aside(permno, quarter + 1, set_aside), np.nan, np.sign(after - held))
    kept = np.isin(numbers, of_sample) & ~_is_set_aside(permno, quarter, set_aside)
    rows, sign = _codes(numbers, quarter)[kept], sign[kept]
    is_window = np.all([np.isin(rows - lag, rows) for lag in range(1, history_quarters)], axis=0)
    expected = _signed(rows[is_window], sign[is_window])
    there = _signed(_codes(of_found, found["quarter"].to_numpy()), found["delta_sign"].to_numpy())
    different = np.unique(np.setxor1d(expected, there) // SIGNS)
    pair, quarter = np.divmod(different, QUARTERS)
    ids = []
    for name in IDS:
        id_of = np.zeros(max(numbers.max(), of_found.max(initial=0)) + 1, dtype=np.int64)
        id_of[numbers], id_of[of_found] = history[name].to_numpy(), found[name].to_numpy()
        ids.append(id_of[pair])
    order = np.lexsort((quarter, *ids[::-1]))
    return window_ids(sample["firm_type"][0].as_py(), *(column[order] for column in (*ids, quarter)))


def wrong_labels(sample: pa.Table, history: pa.Table) -> list[str]:
    """window_ids whose holding_t1 is not the position that the pair's row of t+1 has."""
    numbers, of_sample = pair_numbers(history, sample)
    rows, following = (
        _codes(numbers, history["quarter"].to_numpy()),
        _codes(of_sample, sample["quarter"].to_numpy()) + 1,
    )
    order = np.argsort(rows, kind="stable")
    at = order[np.minimum(np.searchsorted(rows[order], following), len(rows) - 1)]
    held = np.where(rows[at] == following, history["holding_t"].to_numpy()[at], np.nan)
    wrong = ~np.isclose(held, sample["holding_t1"].to_numpy(), rtol=1e-6, atol=1e-6)
    return sample["window_id"].filter(pa.array(wrong)).to_pylist()
