"""The positions of each manager and quarter, from the files of all zips, in $ million.

Quarter by quarter, because the positions of fifty quarters do not fit into memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workflow_scripts.holdings.sec.amendments import KEPT, NOTICE, are_doubled, is_original, states_of, without_base
from workflow_scripts.holdings.sec.cusips import mend_column
from workflow_scripts.holdings.sec.filing_settings import FilingSettings
from workflow_scripts.holdings.sec.reading import POSITIONS
from workflow_scripts.holdings.sec.units import (
    BY_PRICES,
    OwnFiling,
    log_prices,
    unit_by_history,
    units_by_day,
    units_by_prices,
)
from workflow_scripts.plumbing.files import ROW_GROUP_ROWS, read_table

# Of the sort; what it has beyond lies on disk, in the same time.
MEMORY = "500MB"
MILLION = 1e6
# Fewer positions of new holdings may equal others by chance.
MIN_REPEATED = 3
WORD = pa.dictionary(pa.int32(), pa.string())
COMBINATION = "13F COMBINATION REPORT"
SCHEMA = pa.schema(
    {
        "mgrno": pa.int64(),
        "quarter": pa.int32(),
        "cusip": pa.string(),
        "issuer": pa.string(),
        "title_of_class": pa.string(),
        "shares": pa.float64(),
        "value": pa.float64(),
        "filed": pa.date32(),
    }
)


@dataclass(frozen=True)
class Cusips:
    """The CUSIPs of all zips: `written`, as cleaned from the filings; `code` of each, its place in `names`, which are
    mended and sorted; `states`: how many of `written` were whole, mended or are none."""

    written: pa.Array
    code: NDArray[np.int64]
    names: pa.Array
    states: dict[str, int]

    def codes(self, column: pa.ChunkedArray) -> NDArray[np.int64]:
        """Code of each CUSIP of a column, shape (n,)."""
        words = column.combine_chunks().dictionary_encode()
        at = pc.index_in(words.dictionary, self.written).to_numpy()
        return self.code[at][words.indices.to_numpy()] if len(at) else np.zeros(0, dtype=np.int64)


def read_cusips(paths: Sequence[str | Path]) -> Cusips:
    """The CUSIPs of all positions."""
    found = [pc.unique(read_table(path, ["cusip"])["cusip"]) for path in paths]
    written = pc.unique(pa.concat_arrays([pa.array([], pa.string()), *found])).sort()
    mended, states = mend_column(written)
    names = pc.unique(mended).sort()
    return Cusips(written, pc.index_in(mended, names).to_numpy().astype(np.int64), names, states)


def read_filings(paths: Sequence[str | Path], settings: FilingSettings) -> pd.DataFrame:
    """The filings of all zips in their order, with `file` and `row` (place in the zip), `state`, `is_doubled`,
    `without_base` and `unit_by_day`."""
    frames = []
    for number, path in enumerate(paths):
        frame = read_table(path).to_pandas(date_as_object=True)
        name = Path(path).name.removesuffix(".filings.parquet")
        frames.append(frame.assign(zip=name, file=number, row=np.arange(len(frame))))
    filings = pd.concat(frames, ignore_index=True)
    states = states_of(filings, settings.as_of)
    return filings.assign(
        state=states,
        is_doubled=are_doubled(filings) & (states == KEPT),
        without_base=without_base(filings, states),
        unit_by_day=units_by_day(filings["filed"].to_numpy("datetime64[D]")),
    )


def quarter_rows(paths: Sequence[str | Path], filings: pd.DataFrame, columns: Sequence[str]) -> pa.Table:
    """Positions of filings, which are some of `read_filings`, with `at`, the number of each one's filing among them.

    The filings of a quarter lie together in each file, so that most of it is left out.
    """
    texts = [name for name in columns if POSITIONS.field(name).type == pa.string()]
    types = {name: WORD if name in texts else POSITIONS.field(name).type for name in ("filing", *columns)}
    tables = [pa.schema({**types, "at": pa.int64()}).empty_table()]
    for file, group in filings.reset_index(drop=True).groupby("file"):
        first, last = int(group["row"].min()), int(group["row"].max())
        bounds = [("filing", ">=", first), ("filing", "<=", last)]
        # Words repeat: as dictionaries they take a tenth of the memory.
        table = pq.read_table(paths[file], columns=list(types), filters=bounds, read_dictionary=texts)
        at = np.full(last - first + 1, -1)
        at[group["row"].to_numpy() - first] = group.index
        numbers = at[table["filing"].to_numpy() - first]
        tables.append(table.append_column("at", pa.array(numbers)).filter(pa.array(numbers >= 0)))
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def priced_filings(
    paths: Sequence[str | Path], filings: pd.DataFrame, cusips: Cusips, settings: FilingSettings
) -> pd.DataFrame:
    """The filings of one quarter with `unit` (0 where prices do not tell), `unit_by`, `priced_cusips`, `unit_share` and
    `log_ratio`, as `Units` has them."""
    rows = quarter_rows(paths, filings, ["cusip", "shares", "value"])
    prices = log_prices(rows["shares"].to_numpy(), rows["value"].to_numpy())
    by_day = filings["unit_by_day"].to_numpy()
    found = units_by_prices(rows["at"].to_numpy(), cusips.codes(rows["cusip"]), prices, by_day, settings)
    is_known = found.cusips >= settings.min_priced_cusips
    return filings.assign(
        unit=np.where(is_known, found.unit, 0),
        unit_by=np.where(is_known, BY_PRICES, ""),
        priced_cusips=found.cusips,
        unit_share=found.share,
        log_ratio=found.log_ratio,
    )


def with_units(paths: Sequence[str | Path], filings: pd.DataFrame) -> pd.DataFrame:
    """The `priced_filings` of all quarters; where prices of others do not tell the unit, the manager's own filings do.

    `price_ratio` is value / shares in that unit over the price of the others, the median of its CUSIPs: far from 1,
    shares or values are wrong in a way that no unit explains.
    """
    open_managers = filings.loc[filings["unit"] == 0, "mgrno"].unique()
    own = filings[filings["mgrno"].isin(open_managers)]
    rows = quarter_rows(paths, own, ["cusip", "shares", "value"])
    prices = log_prices(rows["shares"].to_numpy(), rows["value"].to_numpy())
    by_filing: list[dict[str, float]] = [{} for _ in range(len(own))]
    is_price = np.isfinite(prices)
    names = rows["cusip"].filter(pa.array(is_price)).to_pylist()
    for at, name, price in zip(rows["at"].to_numpy()[is_price].tolist(), names, prices[is_price].tolist(), strict=True):
        by_filing[at][name] = price
    columns = (own["quarter"], own["unit_by_day"], own["unit"], by_filing)
    known = [OwnFiling(int(q), int(d), int(u), p) for q, d, u, p in zip(*columns, strict=True)]
    managers: dict[int, list[OwnFiling]] = {}
    for mgrno, one in zip(own["mgrno"], known, strict=True):
        managers.setdefault(mgrno, []).append(one)
    unit, by = filings["unit"].copy(), filings["unit_by"].copy()
    for label, mgrno, one in zip(own.index, own["mgrno"], known, strict=True):
        if not one.unit:
            unit[label], by[label] = unit_by_history(one, managers[mgrno])
    return filings.assign(unit=unit, unit_by=by, price_ratio=10 ** filings["log_ratio"] * unit)


def quarter_positions(paths: Sequence[str | Path], filings: pd.DataFrame, cusips: Cusips) -> tuple[pa.Table, int]:
    """Positions of the kept filings of one quarter, with their units, by `SCHEMA`, sorted by (mgrno, cusip).

    Filings that add to each other, and CUSIPs that are the same once mended, are added up; names are those of the
    first. A filing that has each row twice counts half. The number is that of positions left out, because new holdings
    repeat them (`repeated_rows`).
    """
    rows = quarter_rows(paths, filings, ["cusip", "issuer", "title_of_class", "shares", "value"])
    code, mgrno = cusips.codes(rows["cusip"]), filings["mgrno"].to_numpy()[rows["at"].to_numpy()]
    order = np.lexsort((rows["at"].to_numpy(), code, mgrno))
    rows, code, mgrno = rows.take(pa.array(order)), code[order], mgrno[order]
    is_same = np.append(False, (mgrno[1:] == mgrno[:-1]) & (code[1:] == code[:-1]))[: len(rows)]
    repeated = repeated_rows(rows, is_same, ~is_original(filings))
    rows, code, mgrno, is_same = rows.filter(pa.array(~repeated)), code[~repeated], mgrno[~repeated], is_same[~repeated]
    at = rows["at"].to_numpy()
    starts = np.flatnonzero(np.append(True, (mgrno[1:] != mgrno[:-1]) | (code[1:] != code[:-1]))[: len(at)])
    weight = np.where(filings["is_doubled"].to_numpy(), 0.5, 1.0)[at]
    unit = filings["unit"].to_numpy()[at] / MILLION
    filed = filings["filed"].to_numpy("datetime64[D]")[at]
    names = rows.select(["issuer", "title_of_class"]).take(pa.array(starts))
    table = {
        "mgrno": mgrno[starts],
        "quarter": np.full(len(starts), filings["quarter"].iloc[0]),
        "cusip": cusips.names.take(pa.array(code[starts])),
        "issuer": names["issuer"],
        "title_of_class": names["title_of_class"],
        "shares": _sums(rows["shares"].to_numpy() * weight, starts),
        "value": _sums(rows["value"].to_numpy() * weight * unit, starts),
        "filed": np.maximum.reduceat(filed, starts) if len(starts) else filed,
    }
    return pa.table(table).cast(SCHEMA), int(repeated.sum())


def repeated_rows(rows: pa.Table, is_same: NDArray[np.bool_], is_addition: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of new holdings that stand in another filing with the same shares, shape (n,): they would count twice.

    `rows` are sorted by manager, CUSIP and filing; `is_same`: the manager and CUSIP of the row before; `is_addition`
    says of each filing whether it adds new holdings. Only of filings that repeat `MIN_REPEATED` positions, and half of
    theirs: some filers send their whole table anew and call it new holdings. A single equal number is chance.
    """
    at, shares = rows["at"].to_numpy(), rows["shares"].to_numpy()
    pairs = np.flatnonzero(is_same[1:] & (shares[1:] == shares[:-1]) & (at[1:] != at[:-1]))
    later = np.where(is_addition[at[pairs + 1]], pairs + 1, pairs)
    repeated = np.zeros(len(at), dtype=bool)
    repeated[later[is_addition[at[later]]]] = True
    counts = np.bincount(at[repeated], minlength=len(is_addition))
    sizes = np.bincount(at, minlength=len(is_addition))
    return repeated & ((counts >= MIN_REPEATED) & (2 * counts >= sizes))[at]


def _sums(values: NDArray, starts: NDArray) -> NDArray:
    return np.add.reduceat(values, starts) if len(starts) else values


def in_order(paths: Sequence[str | Path], folder: str | Path) -> Iterator[pa.Table]:
    """The rows of parquet files of `SCHEMA` sorted by (mgrno, cusip, quarter); beyond `MEMORY` they lie in `folder`."""
    yield SCHEMA.empty_table()
    if not paths:
        return
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        connection.execute("SET temp_directory = ?", [str(folder)])
        ordered = connection.read_parquet([str(path) for path in paths]).order("mgrno, cusip, quarter")
        for batch in ordered.to_arrow_reader(ROW_GROUP_ROWS):
            yield pa.Table.from_batches([batch]).cast(SCHEMA)


def managers_of(filings: pd.DataFrame) -> pa.Table:
    """A row per manager and quarter with a kept filing or a notice, sorted by (mgrno, quarter).

    Columns: mgrno, quarter, name, crd_number, sec_file_number and filed (of the last one filed), is_combination
    (another manager reports a part of the positions), is_confidential (some are left out with the SEC's leave),
    has_holdings (the whole table is there: a stock that is missing in it was sold; otherwise the quarter is a gap).
    """
    told = filings[filings["state"].isin([KEPT, NOTICE])]
    is_kept = (told["state"] == KEPT).to_numpy()
    told = told.assign(
        is_combination=is_kept & (told["report"] == COMBINATION).to_numpy(),
        is_confidential=is_kept & told["is_confidential"].fillna(False).to_numpy(bool),
        has_holdings=is_kept & is_original(told),
    ).sort_values(["mgrno", "quarter", "filed", "accession"])
    last, flags = (
        ["name", "crd_number", "sec_file_number", "filed"],
        ["is_combination", "is_confidential", "has_holdings"],
    )
    grouped = told.groupby(["mgrno", "quarter"], as_index=False)
    found = grouped.agg({**dict.fromkeys(last, "last"), **dict.fromkeys(flags, "any")})
    table = pa.Table.from_pandas(found, preserve_index=False)
    types = {"mgrno": pa.int64(), "quarter": pa.int32(), **dict.fromkeys(last, pa.string()), "filed": pa.date32()}
    return table.cast(pa.schema({**types, **dict.fromkeys(flags, pa.bool_())}))
