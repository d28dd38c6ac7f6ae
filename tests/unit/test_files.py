"""Files are written whole or not at all, and the same content gives the same bytes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.holdings import files
from workflow_scripts.holdings.files import read_batches, whole_file, write_json, write_tables

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
