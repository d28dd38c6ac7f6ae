"""The panel contract: which columns a slice must have, how they are read, and what is checked.

A slice is one parquet file per firm type; a row is one (type, mgrno, permno, quarter). Values are
$ million at quarter end, except profit, Gat and beta (ratios) and prc ($ per share).
"""

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.quarters import quarter_ids, quarter_labels
from workflow_scripts.holdings.windows import follows_previous, sort_order

FIRM_TYPES = (
    "banks",
    "households",
    "insurance_companies",
    "investment_advisors",
    "mutual_funds",
    "pension_funds",
    "other",
)
KEYS = ("type", "mgrno", "permno", "date")
FACTORS = ("me", "be", "profit", "Gat", "beta")
FEATURES = (*FACTORS, "aum", "outaum", "holding_t", "prc")
LABELS = ("holding_t1",)
PANEL_COLUMNS = (*KEYS, *FEATURES, *LABELS)
MAX_EXAMPLES = 5
# holding_t1 repeats the next row's holding_t; a vendor may have stored one of them as float32.
LABEL_TOLERANCE = 1e-6


class PanelError(InputError):
    """A slice breaks the panel contract; the message names file, column, rows and remedy."""


def _schema(path: Path) -> pa.Schema:
    if not path.is_file():
        there = ", ".join(sorted(f.name for f in path.parent.glob("*.parquet"))) or "no parquet file"
        raise PanelError(f"{path}: no such file; {path.parent} holds {there}")
    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise PanelError(f"{path}: not a readable parquet file ({error}); write the slice again") from error


def read_panel(path: str | Path, columns: Sequence[str], rows: pc.Expression | None = None) -> pa.Table:
    """Columns of a slice as a table; numbers become float64, ids int64, `date` keeps its type.

    `rows` is a filter that parquet statistics can use to skip row groups. Raises PanelError
    naming file and column when a column is missing (with the nearest existing name), has a type that
    is not the contract's, or lacks a key.
    """
    path = Path(path)
    schema = _schema(path)
    for column in columns:
        if column not in schema.names:
            others = [name for name in schema.names if name not in PANEL_COLUMNS]
            nearest = difflib.get_close_matches(column, others, n=1, cutoff=0.5)
            hint = f"; did you mean {nearest[0]!r}? Rename it" if nearest else "; add it"
            raise PanelError(f"{path}: column {column!r} is missing{hint} (see data/README.md)")
    table = pq.read_table(path, columns=list(columns), filters=rows)
    for i, column in enumerate(columns):
        table = table.set_column(i, column, _typed(table[column], column, path))
    return table


def _typed(values: pa.ChunkedArray, column: str, path: Path) -> pa.ChunkedArray:
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = pc.cast(values, kind.value_type), kind.value_type
    if column == "type":
        right, wanted = pa.types.is_string(kind) or pa.types.is_large_string(kind), "text"
    elif column == "date":
        right, wanted = pa.types.is_date(kind) or pa.types.is_timestamp(kind), "dates"
    elif column in KEYS:
        right, wanted = pa.types.is_integer(kind), "integers"
    else:
        right = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        wanted = "numbers"
    if not right:
        raise PanelError(f"{path}: column {column!r} holds {kind}, not {wanted}; convert it before use")
    if column in KEYS:
        if values.null_count:
            first = pc.index(pc.is_null(values), True).as_py()
            raise PanelError(
                f"{path}: column {column!r} is missing in {values.null_count} rows, first in row {first}; "
                "a row without its key cannot be used: fill it or drop the row"
            )
        return pc.cast(values, pa.int64()) if column in ("mgrno", "permno") else values
    # Missing numbers become NaN, so that numpy sees one kind of missing value.
    return pc.fill_null(pc.cast(values, pa.float64()), float("nan"))


def panel_quarters(panel: pa.Table) -> NDArray[np.int32]:
    """Quarter id of each row of a table with the column `date`; shape (n,)."""
    return quarter_ids(panel["date"].to_numpy())


def check_panel(path: str | Path, firm_type: str) -> dict:
    """Check one slice against the contract; returns a report of counts, raises PanelError.

    Errors: missing or mistyped columns, an empty slice, rows of another firm type, duplicate
    (mgrno, permno, quarter), a missing, negative or infinite holding_t, a negative or infinite
    holding_t1, and a holding_t1 that contradicts the pair's next row or has no next quarter's row to
    come from. Missing factors are normal: they are counted.
    """
    path = Path(path)
    panel = read_panel(path, PANEL_COLUMNS)
    if not panel.num_rows:
        raise PanelError(f"{path}: the slice is empty; remove {firm_type!r} from firm_types or add its rows")
    quarter = panel_quarters(panel)
    mgrno, permno, holding_t, holding_t1 = (
        panel[name].to_numpy() for name in ("mgrno", "permno", "holding_t", "holding_t1")
    )

    def refuse(bad: NDArray[np.bool_], fault: str, remedy: str) -> None:
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        first = rows[:MAX_EXAMPLES]
        keys = "; ".join(
            f"row {i}: mgrno {m}, permno {p}, {q}, holding_t {h}, holding_t1 {h1}"
            for i, m, p, q, h, h1 in zip(
                first, mgrno[first], permno[first], quarter_labels(quarter[first]), holding_t[first],
                holding_t1[first], strict=True,
            )
        )  # fmt: skip
        raise PanelError(f"{path}: {fault} in {len(rows)} of {len(bad)} rows ({keys}). {remedy}")

    types = pc.not_equal(panel["type"], firm_type).to_numpy()
    refuse(types, f"column 'type' is not {firm_type!r}", "One slice holds one firm type: split the file by type.")
    refuse(
        ~np.isfinite(holding_t) | (holding_t < 0),
        "column 'holding_t' is missing, infinite or negative",
        "It is price x shares in $ million, at least 0: correct or drop these rows.",
    )
    refuse(
        np.isinf(holding_t1) | (holding_t1 < 0),
        "column 'holding_t1' is infinite or negative",
        "It is the next quarter's holding_t in $ million, or missing: correct it.",
    )
    order = sort_order(mgrno, permno, quarter)
    at = np.arange(len(quarter)) if order is None else order
    m, p, q = mgrno[at], permno[at], quarter[at]
    same_pair = np.r_[(m[1:] == m[:-1]) & (p[1:] == p[:-1]), False]
    duplicate = np.zeros(len(q), dtype=bool)
    duplicate[at[np.r_[False, same_pair[:-1] & (q[1:] == q[:-1])]]] = True
    refuse(duplicate, "duplicate (mgrno, permno, quarter)", "Keep one row per manager, stock and quarter.")
    follows = np.r_[follows_previous(m, p, q)[1:], False]
    next_holding = np.r_[holding_t[at][1:], np.nan]
    stored = holding_t1[at]
    differs = np.abs(stored - next_holding) > LABEL_TOLERANCE * np.maximum(1.0, np.abs(next_holding))
    contradiction = np.zeros(len(q), dtype=bool)
    contradiction[at[(follows & differs) | (~follows & ~np.isnan(stored))]] = True
    refuse(
        contradiction,
        "column 'holding_t1' is not the pair's next-quarter holding_t",
        "It must equal holding_t of the next row, and be missing unless that row is exactly the next quarter.",
    )
    labels, rows_per_quarter = np.unique(quarter, return_counts=True)
    missing = {c: int(np.isnan(panel[c].to_numpy()).sum()) for c in (*FEATURES, *LABELS)}
    return {
        "firm_type": firm_type,
        "rows": panel.num_rows,
        "managers": len(np.unique(mgrno)),
        "stocks": len(np.unique(permno)),
        "pairs": int((~same_pair).sum()),
        "first_quarter": quarter_labels(labels[:1])[0],
        "last_quarter": quarter_labels(labels[-1:])[0],
        "sorted": order is None,
        "zero_holding_rows": int((holding_t == 0).sum()),
        "gaps_between_rows_of_a_pair": int((same_pair & ~follows).sum()),
        "missing_label_with_next_quarter_row": int((follows & np.isnan(stored)).sum()),
        "missing_values": missing,
        "rows_per_quarter": dict(zip(quarter_labels(labels), rows_per_quarter.tolist(), strict=True)),
    }
