"""The tables of one of the SEC's zips: found by name wherever they lie, their columns by header, streamed.

The tables are tab-separated with a header line and quoted like a CSV: a field with a `"` in it is wrapped, and
the `"` doubled. A zip may hold them in a folder, and newer ones have further columns, such as FIGI.
"""

import contextlib
import difflib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.csv as csv

from workflow_scripts.plumbing.errors import InputError

BLOCK_BYTES = 8 * 2**20
DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError)


class Tables:
    """The tables of a zip; use it in a `with`. InputError for a zip that is damaged, and for what it lacks."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except DAMAGES as error:
            raise self._damaged(error) from error

    def __enter__(self) -> "Tables":
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()

    def _damaged(self, error: object) -> InputError:
        return InputError(f"{self.path}: cut short or damaged ({error}); download it again")

    def _member(self, table: str) -> str:
        """Path of a table in the zip."""
        found = [name for name in self._zip.namelist() if PurePosixPath(name).stem.upper() == table]
        found = [name for name in found if name.lower().endswith((".tsv", ".txt"))]
        if len(found) != 1:
            what = f"has {len(found)} tables {table}.tsv" if found else f"has no table {table}.tsv"
            raise InputError(f"{self.path}: {what}, as a Form 13F data set of the SEC has; it holds {self._names()}")
        return found[0]

    def _names(self) -> str:
        return ", ".join(self._zip.namelist()[:10]) or "nothing"

    def has(self, table: str) -> bool:
        """Whether the zip has a table."""
        return any(PurePosixPath(name).stem.upper() == table for name in self._zip.namelist())

    def _header(self, member: str) -> list[str]:
        with self._zip.open(member) as file:
            first = file.readline().decode("utf-8-sig", "replace")
        return [name.strip().strip('"').upper() for name in first.rstrip("\r\n").split("\t")]

    def batches(self, table: str, columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[pa.Table]:
        """A table part by part: `columns` as text, `numbers` as float64; an empty cell is empty text, or missing.

        Raises InputError naming the file, the table and the column or the row.
        """
        member = self._member(table)
        try:
            header = self._header(member)
            with self._zip.open(member) as file, self._opened(file, header, [*columns, *numbers], numbers) as reader:
                for batch in reader:
                    yield self._typed(pa.Table.from_batches([batch]), columns)
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.path}: {table}.tsv cannot be read ({error}); download it again") from error
        except DAMAGES as error:
            raise self._damaged(error) from error

    def _opened(
        self, file: object, header: list[str], columns: list[str], numbers: Sequence[str]
    ) -> contextlib.AbstractContextManager[csv.CSVStreamingReader]:
        missing = [name for name in columns if name not in header]
        if missing:
            near = difflib.get_close_matches(missing[0], header, n=1)
            hint = f" (did the SEC rename it to {near[0]}?)" if near else ""
            raise InputError(f"{self.path}: {file.name} has no column {missing[0]}{hint}")  # type: ignore[attr-defined]
        # A last table may be empty but for its header.
        return csv.open_csv(
            pa.PythonFile(file, "r"),
            read_options=csv.ReadOptions(block_size=BLOCK_BYTES, column_names=header, skip_rows=1),
            parse_options=csv.ParseOptions(delimiter="\t"),
            convert_options=csv.ConvertOptions(
                include_columns=columns,
                column_types={name: pa.float64() if name in numbers else pa.binary() for name in columns},
                null_values=["", " "],
                strings_can_be_null=False,
            ),
        )

    def _typed(self, batch: pa.Table, texts: Sequence[str]) -> pa.Table:
        for name in texts:
            batch = batch.set_column(batch.column_names.index(name), name, _text(batch[name]))
        return batch

    def table(self, table: str, columns: Sequence[str], numbers: Sequence[str] = ()) -> pa.Table:
        """A whole table, for the small ones."""
        fields = [(name, pa.string()) for name in columns] + [(name, pa.float64()) for name in numbers]
        empty = pa.schema(fields).empty_table()
        return pa.concat_tables([empty, *self.batches(table, columns, numbers)])


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes as text; what is not UTF-8 gets marks in the place of its letters, because no name decides anything."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.chunked_array([[value.decode("utf-8", "replace") for value in column.to_pylist()]], pa.string())
