"""The windows of the newest quarter of a slice: nobody knows their label yet, so they belong to no split."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from annotated_doc import Doc
from annotated_types import Ge

from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.plumbing.errors import InputError

CHOSEN = ("mgrno", "permno", "quarter", "delta_sign")


@dataclass(frozen=True)
class ForecastSettings:
    """The forecast of the quarter after the newest one, by the target forecast."""

    max_windows: Annotated[
        int | None, Ge(1), Doc("Windows per firm type; of more, a random part, the same each time. null forecasts all.")
    ] = None


def newest_windows(windows: Iterable[pa.Table], newest: int, drop_zero_holding: bool) -> tuple[pa.Table, dict]:
    """The windows (columns CHOSEN) whose t is the slice's newest quarter, and the account of what was dropped and why.

    `windows` are the parts of what `build_windows` gives, `newest` the quarter id of the slice's last row. A window
    with a label is none to forecast: its answer is known. InputError where no window is left.
    """
    account = dict.fromkeys(("windows_in_quarter", "dropped_label_known", "dropped_zero_holding"), 0)
    parts = []
    for part in windows:
        inside = part["quarter"].to_numpy() == newest
        unknown = inside & part["delta_sign"].is_null().to_numpy()
        usable = unknown & ~part["zero_holding"].to_numpy() if drop_zero_holding else unknown
        account["windows_in_quarter"] += int(inside.sum())
        account["dropped_label_known"] += int(inside.sum() - unknown.sum())
        account["dropped_zero_holding"] += int(unknown.sum() - usable.sum())
        parts.append(part.select(CHOSEN).filter(pa.array(usable)))
    found = pa.concat_tables(parts).combine_chunks() if parts else None
    if found is None or not found.num_rows:
        labelled, empty = account["dropped_label_known"], account["dropped_zero_holding"]
        raise InputError(
            f"no window to forecast: of {account['windows_in_quarter']:,} windows of {quarter_labels([newest])[0]}, "
            f"the newest quarter of the slice, {labelled:,} have a label (holding_t1) already and {empty:,} a position "
            "of 0; add the rows of the next quarter to the panel, or take the firm type out"
        )
    return found, account | {"candidates": found.num_rows}


def draw_windows(found: pa.Table, limit: int | None, rng: np.random.Generator) -> pa.Table:
    """At most `limit` of the windows, each as likely as any other, in their order; all of them without a limit."""
    if limit is None or found.num_rows <= limit:
        return found
    return found.take(np.sort(rng.choice(found.num_rows, limit, replace=False)))
