"""From one big file of holdings, in its vendor's columns, to rows by the panel contract.

Sources: Stata .dta, parquet (a file or a folder of files), CSV. Each column of the panel comes from a recipe: the
name of a source column, or a formula of source columns with + - * / and exp, log, abs, such as
`exp(LNme)` or `shares * prc / 1e6`. `RECIPES` knows the columns of the Koijen-Yogo replication files.
"""

import ast
import contextlib
import difflib
import string
import struct
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray
from pandas.io.stata import CategoricalConversionWarning

from workflow_scripts.holdings.panel.checks import FIRST_YEAR, LAST_YEAR
from workflow_scripts.holdings.panel.contract import FEATURES, IDS, KEYS, MAX_EXAMPLES, PANEL_COLUMNS, SourceColumn
from workflow_scripts.holdings.panel.import_settings import ImportSettings
from workflow_scripts.holdings.panel.pairs import key_arrays, next_holding, same_pair
from workflow_scripts.holdings.panel.quarters import quarter_ids, quarter_labels, quarter_starts
from workflow_scripts.plumbing.errors import InputError

CHUNK_ROWS = 500_000
# The first recipe whose source columns are all there is taken.
RECIPES: dict[SourceColumn, tuple[str, ...]] = {
    "type": ("type",),
    "mgrno": ("mgrno",),
    "permno": ("permno",),
    "date": ("fdate", "rdate", "date"),
    "me": ("me", "exp(LNme)", "factor1"),
    "be": ("be", "exp(LNbe)", "factor2"),
    "profit": ("profit", "factor3"),
    "Gat": ("Gat", "factor4"),
    "beta": ("beta", "factor5"),
    "aum": ("aum",),
    "outaum": ("outaum",),
    "holding_t": ("holding", "holding_t", "shares * abs(prc)"),
    "prc": ("prc", "holding / shares"),
}
NEEDED = (*KEYS, "holding_t")
STAGED_COLUMNS = (*KEYS, *FEATURES)
TYPE_CODES = {
    0: "households",
    1: "banks",
    2: "insurance_companies",
    3: "investment_advisors",
    4: "mutual_funds",
    5: "pension_funds",
    6: "other",
}
TYPE_LABELS = {name: name for name in TYPE_CODES.values()} | {
    "household": "households",
    "bank": "banks",
    "insurance_company": "insurance_companies",
    "investment_advisor": "investment_advisors",
    "investment_adviser": "investment_advisors",
    "investment_advisers": "investment_advisors",
    "mutual_fund": "mutual_funds",
    "pension_fund": "pension_funds",
    "others": "other",
}
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
DECIMALS = {"point": ".", "comma": ","}
# Missing values as Stata and SAS write them, a letter giving the reason; other marks pandas knows by itself.
MISSING_MARKS = (".", *(f".{letter}" for letter in string.ascii_letters), "._")
# Rows in which the decimal mark is looked for.
SNIFFED_ROWS = 1000
DATE_FORMS = "accepted are 2015-03-31, 20150331, 2015Q1 and Stata's quarters (220 is 2015Q1)"
# Stata counts quarters from 1960Q1.
STATA_EPOCH = 4 * 1960
# From here on not every integer is a floating point number.
LARGEST_EXACT = 2**53
FUNCTIONS = {"exp", "log", "abs"}


def source_names(formula: str) -> set[str]:
    """Source columns that a formula uses; InputError for anything but + - * /, numbers and known functions.

    >>> sorted(source_names("shares * abs(prc) / 1e6"))
    ['prc', 'shares']
    """
    operators = (ast.UnaryOp, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div)
    allowed = (ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, *operators)
    try:
        nodes = list(ast.walk(ast.parse(formula, mode="eval")))
    except SyntaxError:
        nodes = [ast.Pass()]
    functions = [node.func for node in nodes if isinstance(node, ast.Call)]
    if not all(isinstance(node, allowed) for node in nodes) or not all(
        isinstance(function, ast.Name) and function.id in FUNCTIONS for function in functions
    ):
        raise InputError(
            f"import.columns: {formula!r} is neither a source column nor a formula with + - * / and "
            f"{', '.join(sorted(FUNCTIONS))}"
        )
    return {node.id for node in nodes if isinstance(node, ast.Name)} - FUNCTIONS


def recipe_columns(recipe: str, available: Collection[str]) -> set[str]:
    """Source columns that a recipe needs; the name of a column is a recipe even if no formula can hold it (`a b`)."""
    return {recipe} if recipe in available else source_names(recipe)


def choose_recipes(available: Sequence[str], overrides: Mapping[SourceColumn, str | None]) -> dict[str, str | None]:
    """Recipe of each column of the panel; InputError naming every column for which the source has none."""
    chosen: dict[str, str | None] = {}
    faults = []
    # A column from which another one is taken is not suggested as a misspelling of this one.
    taken = {name for recipes in RECIPES.values() for recipe in recipes for name in source_names(recipe)}
    for column, recipes in RECIPES.items():
        if column in overrides and overrides[column] is None and column not in NEEDED:
            chosen[column] = None
            continue
        own = overrides.get(column)
        tried = (own,) if own else recipes
        fits = [recipe for recipe in tried if recipe_columns(recipe, available) <= set(available)]
        if fits:
            chosen[column] = fits[0]
            continue
        nearest = difflib.get_close_matches(column, set(available) - taken, n=1, cutoff=0.5)
        hint = f", did you mean {nearest[0]!r}?" if nearest else ""
        faults.append(f"{column} (tried {', '.join(tried)}{hint})")
    if faults:
        raise InputError(
            f"no source column for {'; '.join(faults)}. The source has {', '.join(available)}. Name the columns in "
            "import.columns; null leaves a column missing, but for the keys and holding_t"
        )
    return chosen


def source_columns(settings: ImportSettings) -> list[str]:
    """Names of the columns of a source."""
    path = Path(settings.source)
    kind = _kind(path)
    with _readable(path):
        if kind == "stata":
            with pd.read_stata(path, iterator=True) as reader:
                return list(reader.variable_labels())
        if kind == "csv":
            return list(pd.read_csv(path, nrows=0, sep=_delimiter(path, settings)).columns)
        return list(_dataset(path).schema.names)


def _kind(path: Path) -> str:
    if not path.exists():
        raise InputError(f"import.source: {path} does not exist")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".dta"]:
        return "stata"
    if ".csv" in suffixes[-2:]:
        return "csv"
    if path.is_dir() or suffixes[-1:] == [".parquet"]:
        return "parquet"
    raise InputError(f"import.source: {path} is neither .dta, .csv, .parquet nor a folder of parquet files")


def _dataset(path: Path) -> ds.Dataset:
    found = ds.dataset(path, format="parquet")
    # The files of a folder may differ: a column that is missing everywhere in one has no type there.
    schemas = [fragment.physical_schema for fragment in found.get_fragments()]
    folders = [folder for file in found.files for folder in Path(file).relative_to(path).parts[:-1] if "=" in folder]
    # Where a column stands both in the files and in the folders' names, the one in the files is taken.
    if {folder.split("=")[0] for folder in folders} - set(found.schema.names):
        found = ds.dataset(path, format="parquet", partitioning="hive")
    return found.replace_schema(pa.unify_schemas([found.schema, *schemas], promote_options="permissive"))


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever a library raises about a file into an InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"import.source: {path} is not UTF-8 ({error}); save it as UTF-8") from error
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise InputError(f"import.source: {path} is not readable ({type(error).__name__}: {error})") from error


def _delimiter(path: Path, settings: ImportSettings) -> str:
    """What separates the cells of a CSV: as set, or what divides its header into most columns."""
    if settings.delimiter is not None:
        return DELIMITERS[settings.delimiter]
    widths = {one: pd.read_csv(path, header=None, nrows=1, sep=one).shape[1] for one in DELIMITERS.values()}
    return max(widths, key=widths.__getitem__)


def csv_options(settings: ImportSettings) -> dict[str, Any]:
    """How pandas is to read a CSV: as set; else delimiter and decimal mark as its first rows show them.

    A comma is the decimal mark only where no cell of `SNIFFED_ROWS` rows has a decimal point, and not all cells with a
    comma have three digits behind it, as thousands have. A cell that is then no number ends the import.
    """
    path = Path(settings.source)
    options = {"sep": _delimiter(path, settings), "na_values": [*MISSING_MARKS, *settings.missing]}
    if settings.decimal is not None:
        return options | {"decimal": DECIMALS[settings.decimal]}
    cells = pd.read_csv(path, nrows=SNIFFED_ROWS, dtype="str", **options).stack().str.strip()
    with_comma = cells[cells.str.fullmatch(r"[-+]?\d*,\d+")]
    has_point = cells.str.fullmatch(r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?").any()
    is_comma = not has_point and not with_comma.str.fullmatch(r".*,\d{3}").all()
    return options | {"decimal": "," if is_comma else "."}


def read_chunks(settings: ImportSettings, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The named columns of a source in chunks of at most `CHUNK_ROWS` rows; InputError for an unreadable one.

    The index counts the rows of the source from 1.
    """
    path, first = Path(settings.source), 1
    chunks = _chunks(settings, _kind(path), list(columns))
    while True:
        # Only the reading is guarded: what the user of a chunk raises is not the file's fault.
        with _readable(path):
            chunk = next(chunks, None)
        if chunk is None:
            return
        chunk.index = pd.RangeIndex(first, first + len(chunk))
        first += len(chunk)
        yield chunk


def _chunks(settings: ImportSettings, kind: str, columns: list[str]) -> Iterator[pd.DataFrame]:
    path = Path(settings.source)
    if kind == "stata":
        with warnings.catch_warnings():
            # Stata may have labels for some values only, which is fine: firm types may be codes or labels.
            warnings.simplefilter("ignore", CategoricalConversionWarning)
            with pd.read_stata(path, columns=columns, chunksize=CHUNK_ROWS) as reader:
                yield from reader
    elif kind == "csv":
        yield from pd.read_csv(path, usecols=columns, chunksize=CHUNK_ROWS, **csv_options(settings))
    else:
        for batch in _dataset(path).scanner(columns=columns, batch_size=CHUNK_ROWS).to_batches():
            yield batch.to_pandas(date_as_object=False)


def _first(values: pd.Series, bad: NDArray[np.bool_]) -> str:
    """The first offending values, and where the first of them stands."""
    shown = ", ".join(map(repr, pd.unique(values[bad])[:MAX_EXAMPLES].tolist()))
    return f"row {values.index[bad][0]} of the data: {shown}"


def quarters_of(values: pd.Series) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Quarter ids and the mask of missing ones; shape (n,).

    Understood are dates, ISO text, text such as 2015Q1, Stata quarters (0 is 1960Q1) and numbers such
    as 20150331. Raises InputError naming values that are none of these.
    """
    column = f"column {values.name!r}"
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        raise InputError(f"{column} has the time zone {values.dt.tz}: remove it once the days are right")
    if isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(values.dtype):
        raise InputError(f"{column} holds {values.dtype}, not dates")
    missing = values.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(values.dtype):
        number = values.to_numpy(dtype=np.float64, na_value=np.nan)
        stata = number + STATA_EPOCH
        is_stata = (stata >= 4 * FIRST_YEAR) & (stata < 4 * (LAST_YEAR + 1))
        day = np.where(missing, 19600101, number)
        month = day // 100 % 100
        is_day = (day // 10000 >= FIRST_YEAR) & (day // 10000 <= LAST_YEAR) & (month >= 1) & (month <= 12)
        wrong = ~missing & ~is_stata & ~is_day | (~missing & (number % 1 != 0))
        if wrong.any():
            raise InputError(f"{column}, {_first(values, wrong)} is neither a Stata quarter nor a day; {DATE_FORMS}")
        calendar = day // 10000 * 4 + (month - 1) // 3
        return np.where(missing, 0, np.where(is_stata, stata, calendar)).astype(np.int32), missing
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        text = values.astype("string").str.strip()
        number = pd.to_numeric(text, errors="coerce")
        if (number.notna().to_numpy() | missing).all():
            return quarters_of(number.astype("Float64").set_axis(values.index))
        quarter = text.str.extract(r"^(\d{4})[-: ]?[Qq]([1-4])$").astype(float)
        is_quarter = quarter[0].notna().to_numpy()
        try:
            dates = pd.to_datetime(text.mask(is_quarter), errors="coerce", format="ISO8601")
        except ValueError as error:
            raise InputError(f"{column} mixes time zones ({error}); write days") from error
        if isinstance(dates.dtype, pd.DatetimeTZDtype):
            raise InputError(
                f"{column} has times with a zone: a quarter's first hours may lie in another one; write days"
            )
        # A year alone would pass as its first day.
        is_year = text.str.fullmatch(r"\d{4}").fillna(False).to_numpy(dtype=bool)
        wrong = ~missing & ~is_quarter & (dates.isna().to_numpy() | is_year)
        if wrong.any():
            raise InputError(f"{column}, {_first(values, wrong)} is no date; {DATE_FORMS}")
        ids = quarter_ids(dates.fillna(pd.Timestamp(0)).to_numpy())
        by_name = (quarter[0] * 4 + quarter[1] - 1).fillna(0).to_numpy()
        return np.where(is_quarter, by_name, ids).astype(np.int32), missing
    return quarter_ids(values.fillna(pd.Timestamp(0)).to_numpy()), missing


def firm_types_of(values: pd.Series, extra: Mapping[str, str]) -> tuple[NDArray, NDArray[np.bool_]]:
    """Firm type of each row and the mask of missing ones; codes 0..6 or labels in any case and spacing.

    `extra` maps further codes or labels, as text. Raises InputError naming unknown ones.
    """
    number, distinct = pd.factorize(values)
    extra = {_label(key): name for key, name in extra.items()}
    names, unknown = [], []
    for value in distinct:
        is_code = isinstance(value, int | float | np.number) and float(value).is_integer()
        label = str(int(value)) if is_code else _label(value)
        known = TYPE_CODES.get(int(value)) if is_code else TYPE_LABELS.get(label)
        if label.isdecimal() and not is_code:
            known = TYPE_CODES.get(int(label))
        names.append(extra.get(label, known))
        if names[-1] is None:
            unknown.append(len(names) - 1)
    if unknown:
        counts = np.bincount(number[number >= 0])
        shown = ", ".join(
            f"{distinct[at : at + 1].tolist()[0]!r} ({counts[at]:,} rows)" for at in unknown[:MAX_EXAMPLES]
        )
        raise InputError(
            f"column {values.name!r}: unknown firm types {shown}, the first in row "
            f"{values.index[np.isin(number, unknown)][0]} of the data; known are {', '.join(TYPE_CODES.values())} and "
            "their codes 0 to 6: name the others' in import.types"
        )
    return np.array([*names, None], dtype=object)[number], number < 0


def _label(value: object) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in str(value).casefold()).split())


def _numbers(chunk: pd.DataFrame, recipe: str | None) -> NDArray[np.float64]:
    """Values of a recipe as float64; what a formula cannot compute is missing."""
    if recipe is None:
        return np.full(len(chunk), np.nan)
    for name in sorted(recipe_columns(recipe, chunk.columns)):
        if isinstance(chunk[name].dtype, pd.CategoricalDtype):
            raise InputError(
                f"column {name!r} has value labels, not numbers; remove them (Stata: label values {name} .)"
            )
        if not pd.api.types.is_numeric_dtype(chunk[name].dtype):
            number = pd.to_numeric(chunk[name], errors="coerce")
            wrong = (number.isna() & chunk[name].notna()).to_numpy()
            if wrong.any():
                raise InputError(
                    f"column {name!r} holds text, {_first(chunk[name], wrong)}; it must be a number. A decimal comma: "
                    "import.decimal; a mark of missing values: import.missing"
                )
            chunk = chunk.assign(**{name: number})
    if recipe in chunk:
        return chunk[recipe].to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(all="ignore"):
        values = chunk.astype(np.float64, errors="ignore").eval(recipe, engine="python")
    values = np.broadcast_to(np.asarray(values, dtype=np.float64), len(chunk))
    return np.where(np.isfinite(values), values, np.nan)


def _quarter_of_day(day: str) -> int:
    return int(quarter_ids([day])[0])


def _ids(chunk: pd.DataFrame, name: str, recipe: str | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids as int64 and the mask of missing ones; InputError where a floating point number is no whole id."""
    if recipe in chunk and pd.api.types.is_integer_dtype(chunk[recipe].dtype):
        missing = chunk[recipe].isna().to_numpy()
        return chunk[recipe].fillna(0).to_numpy(dtype=np.int64), missing
    values = _numbers(chunk, recipe)
    missing = np.isnan(values)
    wrong = ~missing & ((values % 1 != 0) | (np.abs(values) >= LARGEST_EXACT))
    if wrong.any():
        raise InputError(
            f"{name}, row {chunk.index[wrong][0]} of the data: {values[wrong][0]} is not an integer, or too large for "
            "the column's type"
        )
    return np.where(missing, 0, values).astype(np.int64), missing


def _kept(dropped: dict[str, int], causes: Mapping[str, NDArray[np.bool_] | bool], n: int) -> NDArray[np.bool_]:
    """Mask of the rows that no cause takes out; a row counts for its first cause."""
    keep = np.ones(n, dtype=bool)
    for cause, out in causes.items():
        dropped[cause] = dropped.get(cause, 0) + int((keep & out).sum())
        keep &= ~np.broadcast_to(out, n)
    return keep


def _keys(mgrno: NDArray, permno: NDArray, quarter: NDArray, bad: NDArray[np.bool_]) -> list[str]:
    """The keys of the first offending rows."""
    at = np.flatnonzero(bad)[:MAX_EXAMPLES]
    rows = zip(mgrno[at], permno[at], quarter_labels(quarter[at]), strict=True)
    return [f"mgrno {m}, permno {p}, {q}" for m, p, q in rows]


def panel_rows(
    chunk: pd.DataFrame, recipes: Mapping[str, str | None], settings: ImportSettings, report: dict
) -> pa.Table:
    """The rows of a chunk that are kept, with the panel's columns but for the label.

    Adds to `report["dropped"]` how many rows are left out, by cause; a row counts for its first cause. Prices below 0,
    CRSP's mark for the mean of bid and ask, are made positive and counted in `report["negative_prices"]`. Raises
    InputError for dates, types or numbers that cannot be understood, for ids that are no integers and for
    negative or infinite holdings.
    """
    dropped = report["dropped"]
    quarter, no_date = quarters_of(chunk[recipes["date"]])
    ids = {name: _ids(chunk, name, recipes[name]) for name in IDS}
    (managers, no_manager), (stocks, no_stock) = ids["mgrno"], ids["permno"]
    keep = _kept(
        dropped,
        {
            "no date": no_date,
            "no mgrno": no_manager,
            "no permno": no_stock,
            "before start": settings.start is not None and quarter < _quarter_of_day(settings.start),
            "after end": settings.end is not None and quarter > _quarter_of_day(settings.end),
            "other manager": settings.managers is not None and ~np.isin(managers, settings.managers),
            "other stock": settings.stocks is not None and ~np.isin(stocks, settings.stocks),
        },
        len(chunk),
    )
    # Only what is kept has to make sense.
    chunk, quarter, managers, stocks = chunk[keep], quarter[keep], managers[keep], stocks[keep]
    firm_type, no_type = firm_types_of(chunk[recipes["type"]], settings.types)
    value = {name: _numbers(chunk, recipes[name]) for name in FEATURES}
    holding = value["holding_t"]
    wrong = (holding < 0) | np.isinf(holding)
    if wrong.any():
        first = zip(_keys(managers, stocks, quarter, wrong), holding[wrong], strict=False)
        keys = "; ".join(f"{key}: {value:g}" for key, value in first)
        raise InputError(
            f"{recipes['holding_t']} is negative or infinite in {wrong.sum()} rows of a chunk (row "
            f"{chunk.index[wrong][0]} of the data: {keys}); correct them, or take abs(...) of a price in import.columns"
        )
    report["negative_prices"] += int((value["prc"] < 0).sum())
    value["prc"] = np.abs(value["prc"])
    keep = _kept(dropped, {"no type": no_type, "no holding": np.isnan(holding)}, len(chunk))
    return pa.table(
        {
            "type": pa.array(firm_type[keep], pa.string()),
            "mgrno": managers[keep],
            "permno": stocks[keep],
            "date": quarter_starts(quarter[keep]),
            **{name: value[name][keep] for name in FEATURES},
        }
    )


def add_labels(block: pa.Table) -> tuple[pa.Table, int]:
    """The rows of whole managers with holding_t1, and how many repeated rows were left out.

    holding_t1 is the next row's holding_t if that row is the same pair's and exactly one quarter later,
    else missing. `block` is sorted (`panel_blocks`). Rows that repeat another one in every column are left
    out; InputError if rows with one key differ.
    """
    block = pa.table({name: block[name] for name in (*STAGED_COLUMNS, "quarter")})
    mgrno, permno, quarter = key_arrays(block)
    repeated = np.append(False, same_pair(mgrno, permno, 1) & (quarter[1:] == quarter[:-1]))
    if repeated.any():
        values = np.array([block[name].to_numpy() for name in FEATURES])
        differs = repeated & np.append(False, ~_same(values[:, 1:], values[:, :-1]).all(axis=0))
        if differs.any():
            keys = "; ".join(_keys(mgrno, permno, quarter, differs))
            raise InputError(
                f"{differs.sum()} rows repeat (mgrno, permno, quarter) with other values ({keys}); keep one row per "
                "manager, stock and quarter; of monthly data, the quarter's last month"
            )
        block = block.filter(pa.array(~repeated))
    _, label = next_holding(*key_arrays(block), block["holding_t"].to_numpy())
    return block.append_column("holding_t1", pa.array(label)).select([*PANEL_COLUMNS, "quarter"]), int(repeated.sum())


def _same(a: NDArray, b: NDArray) -> NDArray[np.bool_]:
    return (a == b) | (np.isnan(a) & np.isnan(b))


def report_text(report: Mapping) -> str:
    """The report of an import for readers: rows in, kept, dropped by cause; rows per type and quarter."""
    lines = [f"{report['source']}: {report['rows_read']:,} rows read, {report['rows_kept']:,} kept", "", "Dropped"]
    lines += [f"  {cause:<14} {count:>12,}" for cause, count in report["dropped"].items()]
    lines += [
        "",
        f"{report['negative_prices']:,} prices below 0 made positive (CRSP's mark for the mean of bid and ask)",
    ]
    lines += ["", "Columns"]
    lines += [f"  {column:<14} {recipe or 'missing'}" for column, recipe in report["columns"].items()]
    kept = pd.DataFrame(report["rows_per_quarter"]).fillna(0).astype(int).sort_index()
    kept.loc["all"] = kept.sum()
    lines += ["", "Rows per quarter and firm type", kept.to_string(formatters=["{:,}".format] * len(kept.columns))]
    return "\n".join(lines) + "\n"
