"""Checks of a sample by what must not have chosen it: the labels.

The windows of a split are found again, label-blind and by code of their own: which of them may be sampled, and which of
them are drawn. A window may be left out because it has no label, never for what the label is.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation.audit_checks import day_quarter
from workflow_scripts.holdings.panel.pairs import key_arrays, pair_numbers, same_pair
from workflow_scripts.holdings.panel.quarters import label_ids
from workflow_scripts.holdings.windows.sampling import Candidates, SampleSettings, sample_windows
from workflow_scripts.holdings.windows.splits import Period
from workflow_scripts.holdings.windows.windows import window_ids

Window = tuple[int, int, int]


def quarters_of(period: Period, next_start: str | None, embargo_quarters: int) -> tuple[int, int]:
    """First and last quarter id (4 * year + quarter - 1) of a split's windows."""

    def number(day: str) -> int:
        year, quarter = day_quarter(day)
        return 4 * year + quarter - 1

    first = number(period.start) if period.start else 0
    last = number(period.end) if period.end else 4 * 9999
    return first, min(last, number(next_start) - embargo_quarters - 1) if next_start else last


def eligible_windows(
    windows: Iterable[pa.Table],
    quarters: tuple[int, int],
    drop_zero_holding: bool,
    has_active_change: Callable[[NDArray, NDArray], NDArray[np.bool_]] | None,
) -> Candidates:
    """All windows of a split that have a label, without the labels; `windows` are parts of what `build_windows` gives.

    `has_active_change` is given where windows without one may not be sampled.
    """
    first, last = quarters
    parts: list[tuple[NDArray, ...]] = []
    before, pairs = (None, None), 0
    for part in windows:
        mgrno, permno, quarter = key_arrays(part)
        kept = (quarter >= first) & (quarter <= last) & part["delta_sign"].is_valid().to_numpy()
        if drop_zero_holding:
            kept &= ~part["zero_holding"].to_numpy()
        if has_active_change:
            kept &= has_active_change(permno, quarter)
        mgrno, permno, quarter = mgrno[kept], permno[kept], quarter[kept]
        if len(quarter):
            begins = np.append((mgrno[0], permno[0]) != before, ~same_pair(mgrno, permno, 1))
            parts.append((mgrno[begins], permno[begins], (pairs - 1 + np.cumsum(begins)).astype(np.int32), quarter))
            before, pairs = (mgrno[-1], permno[-1]), int(parts[-1][2][-1]) + 1
    mgrno, permno, pair, quarter = (np.concatenate(one) for one in zip(*parts, strict=True))
    return Candidates(mgrno, permno, pair, quarter, np.zeros(len(quarter), dtype=np.int8))


def chosen_by_label(
    sample: pa.Table, eligible: Candidates, settings: SampleSettings, rng: np.random.Generator
) -> list[str]:
    """window_ids that a draw from all `eligible` windows gives and the sample lacks, or the other way round.

    `rng` is the stream that the sample was drawn with.
    """
    blind, _ = sample_windows(eligible, settings, rng)
    drawn = window_ids(sample["firm_type"][0].as_py(), *key_arrays(blind))
    return sorted(set(drawn) ^ set(sample["window_id"].to_pylist()))


def windows_of_pairs(windows: Iterable[pa.Table], pairs: pa.Table) -> dict[Window, int | None]:
    """(mgrno, permno, quarter) -> delta_sign of all windows of some pairs, in any split."""
    found: dict[Window, int | None] = {}
    managers = pa.array(np.unique(pairs["mgrno"].to_numpy()))
    for part in windows:
        part = part.filter(pc.is_in(part["mgrno"], value_set=managers))
        theirs, wanted = pair_numbers(part, pairs)
        part = part.filter(pa.array(np.isin(theirs, wanted)))
        found |= dict(zip(_keys(part), part["delta_sign"].to_pylist(), strict=True))
    return found


def _keys(table: pa.Table) -> Iterable[Window]:
    return zip(*(table[name].to_pylist() for name in ("mgrno", "permno", "quarter")), strict=True)


def differing_windows(
    found: dict[Window, int | None],
    sample: pa.Table,
    history: pa.Table,
    history_quarters: int,
    set_aside: Sequence[str],
) -> list[str]:
    """window_ids of the sampled pairs that the panel gives and `found` lacks, has too many, or with another sign.

    `found` is of `windows_of_pairs`; `history` holds at least all rows of these pairs (`read_history`). A quarter that
    `set_aside` names gives no row and no label.
    """
    pairs = {(m, p) for m, p, _ in _keys(sample)}
    odd = {(int(one.split()[0]), int(label_ids([one.split()[1]])[0])) for one in set_aside}
    label = {
        key: None if np.isnan(after) or (key[1], key[2] + 1) in odd else int(np.sign(after - before))
        for key, before, after in zip(
            _keys(history), history["holding_t"].to_pylist(), history["holding_t1"].to_pylist(), strict=True
        )
        if key[:2] in pairs and (key[1], key[2]) not in odd
    }
    lags = range(1, history_quarters)
    expected = {(m, p, q): sign for (m, p, q), sign in label.items() if all((m, p, q - lag) in label for lag in lags)}
    different = [
        key
        for key in expected.keys() | found.keys()
        if key not in expected or key not in found or expected[key] != found[key]
    ]
    columns = np.array(sorted(different), dtype=np.int64).reshape(-1, 3).T
    return window_ids(sample["firm_type"][0].as_py(), *columns)


def wrong_labels(sample: pa.Table, history: pa.Table) -> list[str]:
    """window_ids whose holding_t1 is not the position that the pair's row of t+1 has."""
    held = dict(zip(_keys(history), history["holding_t"].to_pylist(), strict=True))
    labels = zip(sample["window_id"].to_pylist(), _keys(sample), sample["holding_t1"].to_pylist(), strict=True)
    return [
        name
        for name, (m, p, q), label in labels
        if not np.isclose(held.get((m, p, q + 1), np.nan), label, rtol=1e-6, atol=1e-6)
    ]
