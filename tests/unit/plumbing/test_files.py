"""Files are written whole or not at all, and the same content gives the same bytes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workflow_scripts.plumbing import files
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import (
    read_batches,
    read_csv,
    read_json,
    read_jsonl,
    read_table,
    whole_file,
    write_csv,
    write_json,
    write_jsonl,
    write_tables,
)

TABLE = pa.table({"x": np.arange(25), "y": np.arange(25) / 4})


@pytest.mark.parametrize("sizes", [[25], [1] * 25, [9, 0, 16], [24, 1]])
def test_parts_of_any_size_give_the_same_bytes(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr(files, "ROW_GROUP_ROWS", 10)
    ends = np.cumsum(sizes)
    parts = (TABLE.slice(end - size, size) for end, size in zip(ends, sizes, strict=True))
    assert write_tables(tmp_path / "a.parquet", parts) == 25
    write_tables(tmp_path / "b.parquet", [TABLE])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [10, 10, 5]
    assert pq.read_table(tmp_path / "a.parquet").equals(TABLE)
    assert [len(batch) for batch in read_batches(tmp_path / "a.parquet", ["x"])] == [10, 10, 5]


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    assert write_tables(tmp_path / "a.parquet", [TABLE.slice(0, 0)]) == 0
    assert pq.read_schema(tmp_path / "a.parquet").names == ["x", "y"]


def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.parquet"
    write_tables(path, [TABLE])
    before = path.read_bytes()

    def parts():
        yield TABLE
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_tables(path, parts())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


def test_nothing_is_renamed_before_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet", "parquet in parts"])
def test_a_file_that_was_cut_short_is_named(tmp_path, kind):
    """Also where half a number would still be one: pandas alone would read the rest of such a row as missing."""
    path = tmp_path / "x"
    write, read = {
        "json": (lambda: write_json(path, [1, 2, 345]), read_json),
        "jsonl": (lambda: write_jsonl(path, [{"a": 1}, {"a": 345}]), read_jsonl),
        "csv": (lambda: write_csv(path, pd.DataFrame({"a": [1, 2], "b": [3, 345]})), read_csv),
        "parquet": (lambda: write_tables(path, [TABLE]), read_table),
        "parquet in parts": (lambda: write_tables(path, [TABLE]), lambda path: list(read_batches(path, ["x"]))),
    }[kind]
    write()
    assert len(read(path)) > 0
    whole = path.read_bytes()
    for length in (0, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:length])
        if kind == "jsonl" and length == 0:
            continue  # no rows; those who need some say so
        with pytest.raises(InputError, match=re.escape(str(path)) + r".*delete it and run the same command again"):
            read(path)


def test_a_damaged_page_is_named_and_not_the_output(tmp_path):
    """The end of the file, where a parquet file says what it holds, is whole; the bytes before are not."""
    path = tmp_path / "x.parquet"
    write_tables(path, [pa.table({"x": np.random.default_rng(1).random(5000)})])
    content = bytearray(path.read_bytes())
    content[4:20_000] = b"\xff" * 19_996
    path.write_bytes(content)
    for read in (read_table, lambda path: write_tables(tmp_path / "out.parquet", read_batches(path, ["x"]))):
        with pytest.raises(InputError, match=r"x.parquet: cut short or damaged"):
            read(path)
    assert [found.name for found in tmp_path.iterdir()] == ["x.parquet"]


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path):
    """/dev/full is always full; the entry modules' runner names the file, and shows no traceback."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from workflow_scripts.plumbing import cli\n"
        "from workflow_scripts.plumbing.files import whole_file\n"
        "def main(args):\n"
        "    with whole_file(sys.argv[0]) as temporary:\n"
        "        temporary.symlink_to('/dev/full')\n"
        "        temporary.write_text('text')\n"
        f"sys.argv = [{str(tmp_path / 'out.json')!r}]\n"
        "cli.run(main, None)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == (
        f"error: {tmp_path / 'out.json'}: No space left on device; make room, then run the same command again\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """Otherwise a node that dies may keep the new name and lose the bytes."""
    order, sync, replace, rename = [], os.fsync, os.replace, Path.rename
    monkeypatch.setattr(files.os, "fsync", lambda number: order.append("sync") or sync(number))
    monkeypatch.setattr(files.os, "replace", lambda *paths: order.append("name") or replace(*paths))
    monkeypatch.setattr(Path, "rename", lambda *paths: order.append("name") or rename(*paths))
    files.write_text(tmp_path / "a", "text")
    assert order == ["sync", "name"]
    order.clear()
    with files.whole_folder(tmp_path / "folder") as temporary:
        (temporary / "inner").mkdir(parents=True)
        for name in ("a", "inner/b"):
            (temporary / name).write_text("text")
    assert order == ["sync", "sync", "name"]


def test_files_of_a_whole_folder_can_be_read_by_those_who_may_read_new_files(tmp_path):
    mask = os.umask(0o027)
    try:
        with files.whole_folder(tmp_path / "model") as temporary:
            temporary.mkdir()
            (temporary / "weights").write_text("w")
            (temporary / "weights").chmod(0o600)
            (temporary / "program").write_text("p")
            (temporary / "program").chmod(0o700)
    finally:
        os.umask(mask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert modes == {"weights": 0o640, "program": 0o740}


LETTERS = st.text(st.sampled_from("aé ,\"'\n\r;"), max_size=4)
CSV_COLUMNS = st.one_of(
    *(
        st.tuples(st.just(kind), st.lists(values, min_size=7, max_size=7))
        for kind, values in {
            "float64": st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1e-5, 1e16, 123.0, 5e-324])),
            "int64": st.integers(-(2**63), 2**63 - 1),
            "bool": st.booleans(),
            "str": st.one_of(st.none(), LETTERS),
            "object": st.one_of(st.none(), LETTERS, st.integers(0, 9), st.floats(), st.booleans()),
        }.items()
    )
)


@settings(deadline=None)
@given(st.lists(CSV_COLUMNS, min_size=1, max_size=5), st.integers(0, 7))
@example([("float64", [0.0, -0.0, np.nan, -np.nan, np.inf, -0.0, 0.1])] * 2, 7)
@example([("str", [None, "", '"', "a,b", "a\nb", "a\rb", " "])], 7)
def test_a_csv_has_the_bytes_that_pandas_writes(tmp_path_factory, columns, rows):
    folder = tmp_path_factory.getbasetemp()
    frame = pd.DataFrame({f"c,{i}": pd.Series(values, dtype=kind) for i, (kind, values) in enumerate(columns)})[:rows]
    frame.to_csv(folder / "pandas.csv", index=False, lineterminator="\n")
    for size in (3, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "CSV_ROWS", size)
            write_csv(folder / "ours.csv", frame)
        assert (folder / "ours.csv").read_bytes() == (folder / "pandas.csv").read_bytes()


def test_an_arrow_table_gives_the_csv_of_its_frame(tmp_path):
    """For stages without pandas."""
    table = pa.table({"check, name": ['a "b"', "", None], "count": [0, -3, 2**62], "must_be_zero": [True, False, True]})
    write_csv(tmp_path / "table.csv", table)
    write_csv(tmp_path / "frame.csv", table.to_pandas())
    assert (tmp_path / "table.csv").read_bytes() == (tmp_path / "frame.csv").read_bytes()
