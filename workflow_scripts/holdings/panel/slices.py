"""How slices of any size are read, once it is sure that they have the columns and types of the panel contract.

A slice is never read whole: `panel_blocks` gives it as sorted blocks of whole pairs. A sorted slice
is streamed in its own order. An unsorted one is sorted by DuckDB, which spills to disk (TMPDIR) beyond
`SORT_MEMORY`: that costs one external sort per stage, and is the reason to keep slices sorted.
"""

import difflib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FEATURES, IDS, LABELS, MAX_EXAMPLES, PANEL_COLUMNS, PanelError
from workflow_scripts.holdings.panel.pairs import is_ascending, key_arrays, same_pair
from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import ROW_GROUP_ROWS, read_batches

SORT_MEMORY = "2GB"
# Of the slices that the workflow makes.
SCHEMA = pa.schema(
    [("type", pa.string()), ("mgrno", pa.int64()), ("permno", pa.int64()), ("date", pa.date32())]
    + [(name, pa.float64()) for name in (*FEATURES, *LABELS)]
)
REMEDY = "see data/README.md"
DATE_REMEDY = "convert it (pandas: to_datetime), or import the files, which reads 2015-03-31, 20150331 and 2015Q1"


def _kind_fault(column: str, kind: pa.DataType) -> str:
    """What is wrong with the type of a column, and the remedy; empty if nothing is."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if column == "date":
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return (
                f"holds times of the zone {kind.tz}: a quarter's first midnight may lie in the quarter before; "
                "remove the zone (pandas: dt.tz_localize(None)) once the days are right"
            )
        right, wanted, remedy = pa.types.is_date(kind) or pa.types.is_timestamp(kind), "dates", DATE_REMEDY
    elif column == "type":
        right, wanted, remedy = pa.types.is_string(kind) or pa.types.is_large_string(kind), "text", "write the name"
    elif column in IDS:
        right = pa.types.is_integer(kind) and kind != pa.uint64()
        wanted, remedy = "integers", "convert it (pandas: astype('int64'))"
    else:
        right = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
        # A column that is missing everywhere has no type of its own.
        right |= pa.types.is_null(kind) and column not in ("holding_t", *LABELS)
        wanted, remedy = "numbers", "convert it (pandas: astype('float64'))"
    return "" if right else f"holds {kind}, not {wanted}; {remedy}"


def panel_schema(path: str | Path, columns: Sequence[str] = PANEL_COLUMNS) -> pa.Schema:
    """Schema of a slice, once it is sure that the columns are there with the types of the panel contract.

    Raises PanelError naming all columns that are missing (with the nearest existing name) or mistyped.
    """
    path = Path(path)
    if not path.is_file():
        there = ", ".join(sorted(f.name for f in path.parent.glob("*.parquet"))) or "no parquet file"
        raise PanelError(f"{path}: no such file; {path.parent} holds {there}")
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise PanelError(f"{path}: not a readable parquet file ({error}); write the slice again") from error
    faults = []
    for column in columns:
        if column not in schema.names:
            others = {name.lower(): name for name in schema.names if name not in PANEL_COLUMNS}
            nearest = difflib.get_close_matches(column.lower(), others, n=1, cutoff=0.5)
            hint = f"did you mean {others[nearest[0]]!r}? Rename it" if nearest else "add it"
            faults.append(f"column {column!r} is missing; {hint}")
        elif schema.names.count(column) > 1:
            faults.append(f"column {column!r} occurs {schema.names.count(column)} times; keep one")
        elif fault := _kind_fault(column, schema.field(column).type):
            faults.append(f"column {column!r} {fault}")
    if faults:
        raise PanelError(f"{path}: {'; '.join(faults)} ({REMEDY})")
    return schema


def _typed(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    """One kind of value per column: float64 with NaN for missing, int64 ids, date32 days, plain text."""
    if pa.types.is_dictionary(values.type) and column != "type":
        values = pc.cast(values, values.type.value_type)
    if column == "type":
        return values
    if column == "date":
        # Not `safe`: the time of day does not matter.
        return pc.cast(values, pa.date32(), safe=False)
    if column in IDS:
        return pc.cast(values, pa.int64())
    values = pc.cast(values, pa.float64())
    return pc.fill_null(values, float("nan")) if values.null_count else values


def typed_table(table: pa.Table) -> pa.Table:
    """The panel's columns in their types, others as they are, and `quarter` (int32) where there is a date."""
    columns = {name: _typed(table[name], name) if name in PANEL_COLUMNS else table[name] for name in table.column_names}
    if "date" in columns:
        columns["quarter"] = pa.array(quarter_ids(columns["date"].to_numpy()))
    return pa.table(columns)


class _Order:
    """Whether a slice that arrives batch by batch is sorted by (mgrno, permno, quarter), equal keys allowed."""

    def __init__(self) -> None:
        self.last: list[NDArray] = []

    def holds(self, table: pa.Table) -> bool:
        keys = key_arrays(table)
        goes_on = [np.r_[before, key] for before, key in zip(self.last, keys, strict=True)] if self.last else keys
        self.last = [key[-1:] for key in keys]
        return is_ascending(*goes_on)


def check_keys(path: str | Path) -> bool:
    """True if the rows are sorted by (mgrno, permno, quarter), equal keys allowed; reads these columns alone.

    Raises PanelError for a slice without rows and for rows without a key.
    """
    columns = (*IDS, "date")
    panel_schema(path, columns)
    order, is_sorted, n_rows = _Order(), True, 0
    missing: dict[str, list[int]] = {column: [] for column in columns}
    for batch in _batches(path, columns):
        complete = True
        for column in columns:
            if batch[column].null_count:
                complete = False
                missing[column] += (np.flatnonzero(batch[column].is_null().to_numpy()) + n_rows).tolist()
        n_rows += batch.num_rows
        is_sorted = is_sorted and complete and order.holds(typed_table(batch))
    if not n_rows:
        raise PanelError(f"{path}: the slice is empty; add its rows or take its type out of firm_types")
    faults = [
        f"column {column!r} is missing in {len(rows)} of {n_rows} rows (row {', '.join(map(str, rows[:MAX_EXAMPLES]))})"
        for column, rows in missing.items()
        if rows
    ]
    if faults:
        raise PanelError(f"{path}: {'; '.join(faults)}. A row without its key cannot be used: fill it or drop the row")
    return is_sorted


def _batches(path: str | Path, columns: Sequence[str], row_groups: Sequence[int] | None = None) -> Iterator[pa.Table]:
    """The slice in its own order, part by part; of all row groups or of some."""
    # Dictionaries make the firm type, one word in every row, cheap to read.
    dictionary = ["type"] if "type" in columns else None
    try:
        batches = read_batches(path, columns, row_groups, read_dictionary=dictionary)
        yield from (batch for batch in batches if batch.num_rows)
    except InputError as error:
        # A slice is the user's: to delete it is no remedy.
        raise PanelError(f"{path}: the file is damaged ({error.__cause__}); write the slice again") from error


def panel_batches(path: str | Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The slice in its own order, part by part, in the panel's types; with `quarter` where `columns` has date."""
    panel_schema(path, columns)
    yield from (typed_table(batch) for batch in _batches(path, columns))


def read_managers(path: str | Path, columns: Sequence[str], managers: NDArray[np.int64]) -> pa.Table:
    """The rows of some managers, in the slice's order and the panel's types, with `quarter`.

    `columns` has mgrno and date. Only the row groups are read whose statistics do not rule the managers out: of a
    sorted slice few, if the managers are neighbours.
    """
    panel_schema(path, columns)
    metadata = pq.read_metadata(path)
    at = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).name == "mgrno")
    groups = [
        group
        for group in range(metadata.num_row_groups)
        if _may_hold(metadata.row_group(group).column(at).statistics, managers)
    ]
    wanted = pa.array(managers)
    parts = _batches(path, columns, row_groups=groups or None)
    return typed_table(
        pa.concat_tables(part.filter(pc.is_in(pc.cast(part["mgrno"], pa.int64()), wanted)) for part in parts)
    )


def _may_hold(statistics: pq.Statistics | None, managers: NDArray[np.int64]) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(((managers >= statistics.min) & (managers <= statistics.max)).any())


def _numbered(path: str | Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The slice in its own order, typed, with the columns `quarter` and `row`: where a row stands in the file."""
    n_rows = 0
    for batch in _batches(path, columns):
        table = typed_table(batch)
        yield table.append_column("row", pa.array(np.arange(n_rows, n_rows + table.num_rows)))
        n_rows += table.num_rows


def _sorted(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows of all tables in the order of the keys, by DuckDB, part by part."""
    import duckdb  # Only unsorted slices pay for the import.

    plain = (_with_plain_type(table) for table in tables)
    first = next(plain)
    batches = (batch for table in itertools.chain([first], plain) for batch in table.to_batches())
    rows = pa.RecordBatchReader.from_batches(first.schema, batches)
    with tempfile.TemporaryDirectory(prefix="holdings-sort-") as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{SORT_MEMORY}'")
        connection.execute("SET temp_directory = ?", [folder])
        ordered = connection.from_arrow(rows).order("mgrno, permno, quarter, row")
        for batch in ordered.to_arrow_reader(ROW_GROUP_ROWS):
            yield pa.Table.from_batches([batch])


def _with_plain_type(table: pa.Table) -> pa.Table:
    """Dictionaries, which the firm type alone may still have, differ from part to part."""
    at = table.column_names.index("type") if "type" in table.column_names else None
    return table if at is None else table.set_column(at, "type", pc.cast(table["type"], pa.string()))


def panel_blocks(path: str | Path, columns: Sequence[str], is_sorted: bool) -> Iterator[pa.Table]:
    """A slice as consecutive blocks of whole (mgrno, permno) pairs, sorted by (mgrno, permno, quarter).

    `columns` has mgrno, permno and date; each block also has `quarter` (int32 id) and `row` (int64, its
    place in the file, from 0). `is_sorted` is what `check_keys` said; PanelError if the slice has
    changed since. A block has at most `ROW_GROUP_ROWS` rows: small enough to be several times faster than
    whole columns, whose memory would be touched for the first time. A pair that goes on from one of the file's parts
    to the next is a block of its own, so that no other row is copied.
    """
    panel_schema(path, columns)
    order = _Order()
    waiting: list[pa.Table] = []
    tables = _numbered(path, columns)
    for table in tables if is_sorted else _sorted(tables):
        if not order.holds(table):
            raise PanelError(f"{path}: not sorted, against its report; run check_panel again")
        mgrno, permno = (table[name].to_numpy() for name in IDS)
        changes = np.flatnonzero(~same_pair(mgrno, permno, 1)) + 1
        if waiting:
            goes_on = all(waiting[0][name][0].as_py() == ids[0] for name, ids in zip(IDS, (mgrno, permno), strict=True))
            if goes_on and not len(changes):
                waiting.append(table)
                continue
            head = int(changes[0]) if goes_on else 0
            yield pa.concat_tables([*waiting, table.slice(0, head)]).combine_chunks()
        else:
            head = 0
        # The last pair may go on in the next part.
        tail = int(changes[-1]) if len(changes) else 0
        if head < tail:
            yield table.slice(head, tail - head)
        waiting = [table.slice(tail)]
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _pair_codes(table: pa.Table) -> pa.ChunkedArray:
    """One number per pair. Large ids may wrap around and share a number: no code is exact, only quick."""
    return pc.add(pc.multiply(pc.cast(table["mgrno"], pa.int64()), 1_000_003), pc.cast(table["permno"], pa.int64()))


def read_pairs(path: str | Path, columns: Sequence[str], pairs: pa.Table) -> pa.Table:
    """The rows of a slice that belong to the (mgrno, permno) of `pairs`, in the slice's order, with `quarter`.

    `columns` has mgrno, permno and date. The slice is streamed, so that memory is that of the result; rows of
    other pairs may be among it.
    """
    panel_schema(path, columns)
    codes = pc.unique(_pair_codes(pairs))
    found = [batch.filter(pc.is_in(_pair_codes(batch), codes)) for batch in _batches(path, columns)]
    return typed_table(pa.concat_tables(found))
