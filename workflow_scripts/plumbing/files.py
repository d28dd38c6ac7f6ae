"""Reading and writing files: whole or not at all, and the same bytes for the same content."""

import contextlib
import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.plumbing.errors import InputError

if TYPE_CHECKING:
    import pandas  # Its import would cost the stages that use no frame half of their start-up time.

Item = TypeVar("Item")
# A full disk, a used-up quota.
FULL = (errno.ENOSPC, errno.EDQUOT)
# The end of a temporary name; what a hard kill leaves of it is deleted by clean_store.
PART = ".part"
# Small enough for readers to skip most of a sorted file, large enough to compress.
ROW_GROUP_ROWS = 250_000
# Types of columns that `write_csv` can put into words itself, and rows of text in memory at a time.
CSV_TYPES = {"float64", "int64", "bool", "str"}
CSV_ROWS = 50_000
READ_BUFFER = 2**20


def _temporary(path: Path) -> Path:
    """The name beside `path` under which this process writes; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}{PART}")


def _sync(path: Path) -> None:
    """Bring a file's bytes to the disk: otherwise a node that dies may keep its new name and lose them."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _mode_of_new_files() -> int:
    """The permissions that the user's umask gives to a file; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return 0o666 & ~mask


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it on success and removed on failure (but for a hard kill)."""
    path, temporary = Path(path), _temporary(Path(path))
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in FULL:
            # Not every writer says which file it was.
            error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """The same for a folder, which the caller makes under the temporary name, and which replaces what is at `path`.

    Its files get the mode of any new file: safetensors writes some that no colleague on a cluster could read.
    """
    path, temporary = Path(path), _temporary(Path(path))
    try:
        yield temporary
        for file in filter(Path.is_file, temporary.rglob("*")):
            _sync(file)
            if not file.is_symlink():
                file.chmod(file.stat().st_mode | _mode_of_new_files())
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: object) -> None:
    """Write indented JSON in the order given; NaN is refused, because JSON has none."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _damaged(path: str | Path, error: object) -> InputError:
    """The error of every reader for a file that somebody cut short; our own writers leave none."""
    return InputError(
        f"{path}: cut short or damaged ({error}); if the workflow made it, delete it and run the same command again"
    )


def read_json(path: str | Path) -> dict:
    """Read one JSON document; InputError if it is none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from error


def write_jsonl(path: str | Path, rows: Iterable[dict]) -> None:
    """Write one JSON object per line, keys in the order given."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(lines)


def iterate_jsonl(path: str | Path, columns: Iterable[str] = ()) -> Iterator[dict]:
    """JSON lines one by one; InputError names the line that is no JSON, or lacks one of `columns`."""
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise _damaged(path, f"line {number} is not JSON: {error}") from error
            for column in columns:
                if column not in row:
                    raise InputError(f"{path}: line {number} has no {column!r}; build the file again")
            yield row


def read_jsonl(path: str | Path, columns: Iterable[str] = ()) -> list[dict]:
    """`iterate_jsonl` as a list."""
    return list(iterate_jsonl(path, columns))


def _ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, the next one in the making on a thread while this one is used."""
    waiting = iter(items)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, waiting, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, waiting, None)
            yield item


def write_tables(path: str | Path, tables: Iterable[pa.Table], **options: Any) -> int:
    """Write tables of one schema, at least one, one after the other as one parquet file (zstd); returns the rows.

    Without the pandas metadata that would tie the bytes to a version. `options` are those of pyarrow's writer.
    """
    rows = 0
    writer: pq.ParquetWriter | None = None
    waiting: pa.Table | None = None
    with whole_file(path) as temporary, contextlib.ExitStack() as stack:
        for table in _ahead(tables):
            table = table.replace_schema_metadata(None)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(temporary, table.schema, compression="zstd", **options))
            rows += table.num_rows
            # Row groups of one size, however the rows arrive: the same content, the same bytes.
            waiting = table if waiting is None else pa.concat_tables([waiting, table])
            while waiting.num_rows >= ROW_GROUP_ROWS:
                writer.write_table(waiting.slice(0, ROW_GROUP_ROWS), row_group_size=ROW_GROUP_ROWS)
                waiting = waiting.slice(ROW_GROUP_ROWS)
        if writer is not None and waiting is not None and (waiting.num_rows or not rows):
            writer.write_table(waiting)
    return rows


def write_table(path: str | Path, table: pa.Table, **options: Any) -> None:
    """`write_tables` for one table."""
    write_tables(path, [table], **options)


@contextlib.contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """InputError for a parquet file that pyarrow cannot read; a damaged page is an OSError without a number."""
    try:
        yield
    except pa.ArrowInvalid as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from error


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file as a whole; InputError if it is none."""
    with _reading(path), pq.ParquetFile(path) as file:
        return file.read(columns)


def read_batches(
    path: str | Path, columns: Sequence[str], row_groups: Sequence[int] | None = None, **options: Any
) -> Iterator[pa.Table]:
    """A parquet file in its order, `ROW_GROUP_ROWS` rows at a time, the next of them read while these are used.

    Of all row groups or of some. `options` are those of pyarrow's reader. InputError if it is none.
    """
    with _reading(path):
        # With a buffer a row group's columns are read piece by piece, however large it is.
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BUFFER, **options)
        batches = _ahead(file.iter_batches(ROW_GROUP_ROWS, row_groups, list(columns)))
    while True:
        with _reading(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield pa.Table.from_batches([batch])


def _csv_fields(values: Iterable) -> list[str]:
    """Each value as the csv module writes it, quoted where it has to be; None is empty."""
    lines: list[str] = []
    # With a second field, because an empty one that is alone in its line would be quoted.
    csv.writer(SimpleNamespace(write=lines.append), lineterminator="\n").writerows((value, None) for value in values)
    return [line.removesuffix(",\n") for line in lines]


def _csv_column(column: "pandas.Series | pa.ChunkedArray") -> pa.DictionaryArray:
    """A column as fields of a CSV; each distinct value is put into words once."""
    values = column if isinstance(column, pa.ChunkedArray) else pa.array(column, from_pandas=True)
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = values.dictionary_encode(null_encoding="encode")
    fields = _csv_fields(encoded.dictionary.to_pylist())
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(fields, pa.string()))


def write_csv(path: str | Path, frame: "pandas.DataFrame | pa.Table") -> None:
    """Write a CSV with a header and without an index; missing values are empty.

    The bytes are those of pandas' `to_csv`, which takes three times as long for a table of many rows. A stage that uses
    no pandas gives an Arrow table, of two columns at least and without NaN.
    """
    import pyarrow.compute as pc  # Like that of pandas: most stages write no CSV.

    with whole_file(path) as temporary:
        if isinstance(frame, pa.Table):
            named = dict(zip(frame.column_names, frame.columns, strict=True))
        elif len(frame.columns) > 1 and {str(dtype) for dtype in frame.dtypes} <= CSV_TYPES:
            named = dict(frame.items())
        else:
            frame.to_csv(temporary, index=False, lineterminator="\n")
            return
        columns = [_csv_column(column) for column in named.values()]
        with temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(named)
            for start in range(0, len(frame), CSV_ROWS):
                fields = (column.slice(start, CSV_ROWS).dictionary_decode() for column in columns)
                lines = pc.binary_join_element_wise(*fields, ",").to_pylist()
                file.write("\n".join(lines) + "\n")


def read_csv(path: str | Path, rows: int | None = None) -> "pandas.DataFrame":
    """Read a CSV of `write_csv`, or its first `rows`.

    InputError if its last line is cut short, which pandas would fill with NaN.
    """
    import pandas

    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        if file.read() != b"\n":
            raise _damaged(path, "its last line has no end")
    return pandas.read_csv(path, nrows=rows)


def is_whole_safetensors(path: str | Path) -> bool:
    """Whether a safetensors file has exactly the bytes that its header announces."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy"):
            return True
    except (OSError, SafetensorError):
        return False


def check_safetensors(path: str | Path) -> None:
    """Raise InputError if a safetensors file is cut short; ms-swift's own message would not name it."""
    if not is_whole_safetensors(path):
        raise _damaged(path, "fewer bytes than its header announces")


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Made once: a new encoder takes as long as a short value.
_DIGESTED = json.JSONEncoder(sort_keys=True, allow_nan=False)


def json_digest(content: object) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys and of how a number is written: 1 is 1.0."""
    text = _DIGESTED.encode(_whole_numbers(content))
    return hashlib.sha256(text.encode()).hexdigest()


def _whole_numbers(content: object) -> object:
    if isinstance(content, dict):
        return {name: _whole_numbers(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_whole_numbers(value) for value in content]
    return int(content) if isinstance(content, float) and content.is_integer() else content
