"""The positions of all managers as blocks of whole managers, and what all of them say about a CUSIP in a quarter."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.holdings.panel.slices import SORT_MEMORY
from workflow_scripts.plumbing.files import read_batches

POSITION_COLUMNS = ("mgrno", "cusip", "quarter", "shares", "value")
# Filers round values to $1,000 before 2023: below this, $ million, rounding alone moves value / shares by 0.25 %.
EXACT_VALUE = 0.2
# Positions that DuckDB aggregates at a time; a median keeps all values of its part in memory.
PART_ROWS = 20_000_000


def manager_blocks(path: str | Path) -> Iterator[pa.Table]:
    """`positions.parquet`, sorted by manager, as consecutive blocks that each hold whole managers."""
    waiting: list[pa.Table] = []
    for batch in read_batches(path, POSITION_COLUMNS):
        mgrno = batch["mgrno"].to_numpy()
        if not len(mgrno):
            continue
        # Where the last manager of the batch begins: it may go on in the next one.
        tail = int(np.searchsorted(mgrno, mgrno[-1]))
        if waiting and (tail or waiting[0]["mgrno"][-1].as_py() != mgrno[0]):
            yield pa.concat_tables([*waiting, batch.slice(0, tail)]).combine_chunks()
            waiting = []
        elif tail:
            yield batch.slice(0, tail)
        waiting.append(batch.slice(tail))
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def cusip_quarters(path: str | Path, min_filers: int) -> pa.Table:
    """One row per (cusip, quarter), sorted: filers, price ($), value ($ million), issuer and title_of_class.

    The price is the median of value / shares over managers, NaN where fewer than `min_filers` have both. Positions of
    $200,000 or more count alone where there are as many of them. The names are those of the largest position.
    """
    import duckdb  # Its import takes longer than reading the settings.

    rows = pq.read_metadata(path).num_rows
    parts = max(1, -(-rows // PART_ROWS))
    found = []
    with tempfile.TemporaryDirectory(prefix="sec-prices-") as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{SORT_MEMORY}'")
        connection.execute("SET temp_directory = ?", [folder])
        for part in range(parts):
            query = """
                SELECT cusip, quarter, count(*)::INTEGER AS filers,
                    median(value * 1e6 / shares) FILTER (shares > 0 AND value > 0) AS any_price,
                    count(*) FILTER (shares > 0 AND value > 0) AS priced,
                    median(value * 1e6 / shares) FILTER (shares > 0 AND value >= $exact) AS exact_price,
                    count(*) FILTER (shares > 0 AND value >= $exact) AS exactly_priced,
                    -- An integer sum, so that it does not depend on the order of the rows.
                    sum(round(value * 1e6)::HUGEINT)::DOUBLE / 1e6 AS value,
                    arg_max(issuer, {'v': value, 'i': issuer, 't': title_of_class}) AS issuer,
                    arg_max(title_of_class, {'v': value, 'i': issuer, 't': title_of_class}) AS title_of_class
                FROM read_parquet($path)
                WHERE hash(cusip) % $parts = $part
                GROUP BY cusip, quarter
                """
            names = {"exact": EXACT_VALUE, "path": str(path), "parts": parts, "part": part}
            found.append(connection.sql(query, params=names).to_arrow_table())
    table = pa.concat_tables(found).combine_chunks().sort_by([("cusip", "ascending"), ("quarter", "ascending")])
    columns = {name: table[name].to_numpy() for name in ("any_price", "priced", "exact_price", "exactly_priced")}
    price = np.where(columns["priced"] >= min_filers, columns["any_price"], np.nan)
    price = np.where(columns["exactly_priced"] >= min_filers, columns["exact_price"], price)
    kept = table.select(["cusip", "quarter", "filers", "value", "issuer", "title_of_class"])
    return kept.append_column("price", pa.array(price))
