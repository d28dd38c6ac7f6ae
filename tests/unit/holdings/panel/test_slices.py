"""Slices are read in sorted blocks of whole pairs, whatever their order and size; broken ones are refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_panel, make_run
from workflow_scripts.holdings.panel import slices as panel_module
from workflow_scripts.holdings.panel.contract import PANEL_COLUMNS, PanelError
from workflow_scripts.holdings.panel.pairs import key_arrays, pair_numbers
from workflow_scripts.holdings.panel.slices import check_keys, panel_blocks, panel_schema, read_managers, read_pairs
from workflow_scripts.plumbing import files as files_module

COLUMNS = ("mgrno", "permno", "date", "holding_t")


def write(tmp_path, table: pa.Table, **options):
    path = tmp_path / "banks.parquet"
    pq.write_table(table, path, **options)
    return path


def many_managers() -> pa.Table:
    generator = np.random.default_rng(3)
    rows = []
    for manager in range(1, 12):
        for stock in range(1, 1 + int(generator.integers(1, 9))):
            rows += make_run(manager, stock, generator.uniform(1, 9, int(generator.integers(1, 12))).round(2).tolist())
    return make_panel(rows)


@pytest.mark.parametrize("block_rows", [1, 7, 50, 10_000])
@pytest.mark.parametrize("shuffled", [False, True])
def test_blocks_are_whole_pairs_in_order_and_know_their_rows(tmp_path, monkeypatch, block_rows, shuffled):
    monkeypatch.setattr(files_module, "ROW_GROUP_ROWS", block_rows)
    monkeypatch.setattr(panel_module, "ROW_GROUP_ROWS", block_rows)
    table = many_managers()
    stored = table.take(np.random.default_rng(1).permutation(len(table))) if shuffled else table
    path = write(tmp_path, stored, row_group_size=20)
    assert check_keys(path) is not shuffled
    blocks = list(panel_blocks(path, COLUMNS, is_sorted=not shuffled))
    pairs = [set(zip(block["mgrno"].to_pylist(), block["permno"].to_pylist(), strict=True)) for block in blocks]
    assert sum(map(len, pairs)) == len(set().union(*pairs)) > 11, "no pair is in two blocks"
    assert all(0 < len(block) <= max(block_rows, 11) for block in blocks), "a block is a part of the file, or a pair"
    assert len(blocks) > 1 or block_rows > len(table)
    together = pa.concat_tables(blocks)
    assert together["holding_t"].to_pylist() == table["holding_t"].to_pylist()
    there = stored["holding_t"].to_pylist()
    assert [there[row] for row in together["row"].to_pylist()] == table["holding_t"].to_pylist()
    keys = list(zip(*(key.tolist() for key in key_arrays(together)), strict=True))
    assert keys == sorted(keys)


def test_a_large_unsorted_slice_comes_in_order(tmp_path):
    """Several of the sorting library's own batches: their order is its promise, and this its proof."""
    n = 600_000
    table = make_panel([(1, 1, 2015, 1, 1.0, None)]).take(np.zeros(n, dtype=int))
    permuted = np.random.default_rng(0).permutation(n)
    table = table.set_column(table.column_names.index("mgrno"), "mgrno", pa.array(permuted))
    blocks = list(panel_blocks(write(tmp_path, table), COLUMNS, is_sorted=False))
    assert len(blocks) > 2
    together = pa.concat_tables(blocks)
    assert (together["mgrno"].to_numpy() == np.arange(n)).all()
    assert (permuted[together["row"].to_numpy()] == np.arange(n)).all()


def test_other_columns_are_not_read_whatever_their_names(tmp_path):
    table = many_managers().take(np.arange(30, -1, -1))
    for name in ("PRC", "file_row_number", "row", "quarter"):
        table = table.add_column(0, name, pa.array(["x"] * len(table)))
    path = write(tmp_path, table)
    blocks = list(panel_blocks(path, PANEL_COLUMNS, is_sorted=check_keys(path)))
    assert sum(len(block) for block in blocks) == 31


def test_a_slice_that_was_shuffled_after_its_report_is_refused(tmp_path):
    path = write(tmp_path, many_managers().slice(0, 40).take(np.arange(39, -1, -1)))
    with pytest.raises(PanelError, match="run check_panel again"):
        list(panel_blocks(path, COLUMNS, is_sorted=True))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=30))
def test_sortedness_is_that_of_the_keys(tmp_path_factory, keys):
    rows = [(m, p, 2015, 1 + t % 4, 1.0, None) for m, p, t in keys]
    path = write(tmp_path_factory.mktemp("slice"), make_panel(rows))
    ordered = [(m, p, t % 4) for m, p, t in keys]
    assert check_keys(path) == (ordered == sorted(ordered))


def test_pairs_are_read_by_both_ids(tmp_path):
    table = make_panel(make_run(1, 1, [1.0, 2.0]) + make_run(1, 2, [3.0]) + make_run(2, 1, [4.0]))
    pairs = pa.table({"mgrno": [2, 1], "permno": [1, 1]})
    assert read_pairs(write(tmp_path, table), COLUMNS, pairs)["holding_t"].to_pylist() == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("options", [{}, {"write_statistics": False}], ids=["statistics", "none"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_managers_are_read_whole_from_the_parts_that_may_have_them(tmp_path, monkeypatch, options, shuffled):
    table = many_managers()
    if shuffled:
        table = table.take(np.random.default_rng(1).permutation(table.num_rows))
    path, read = write(tmp_path, table, row_group_size=20, **options), []
    batches = panel_module.read_batches

    def seen(path, columns, row_groups, **more):
        for batch in batches(path, columns, row_groups, **more):
            read.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(panel_module, "read_batches", seen)
    found = read_managers(path, COLUMNS, np.array([4, 5]))
    expected = table.filter(np.isin(table["mgrno"].to_numpy(), [4, 5]))
    assert found["holding_t"].to_pylist() == expected["holding_t"].to_pylist()
    assert set(found["mgrno"].to_pylist()) == {4, 5}
    assert (sum(read) < table.num_rows / 2) == (not options and not shuffled)
    # Nobody: no rows, and no error.
    assert read_managers(path, COLUMNS, np.array([99])).num_rows == 0


def test_pairs_have_the_same_number_in_every_table():
    first = pa.table({"mgrno": [2, 1, 1, 2**62], "permno": [1, 2, 1, -5]})
    second = pa.table({"mgrno": [1, 2], "permno": [2, 1]})
    numbers, again = pair_numbers(first, second)
    assert len(set(numbers.tolist())) == 4
    assert again.tolist() == [numbers[1], numbers[0]]
    assert [len(one) for one in pair_numbers(first.slice(0, 0), second.slice(0, 0))] == [0, 0]


def test_numbers_get_one_type_and_one_missing_value(tmp_path):
    table = make_panel(
        make_run(1, 1, [1.0, 2.0, 3.0]),
        me=pa.array([1, None, 3], pa.int32()),
        be=pa.array([1.5, None, 2.5], pa.float32()),
        aum=pa.array(["1.25", "2", "3"]).cast(pa.decimal128(9, 2)),
        beta=pa.nulls(3),
        type=pa.array(["banks"] * 3).dictionary_encode(),
        permno=pa.array([1, 1, 1], pa.uint16()),
    )
    block = next(panel_blocks(write(tmp_path, table), PANEL_COLUMNS, is_sorted=True))
    for name in ("me", "be", "aum", "beta"):
        assert block[name].type == pa.float64()
    assert np.isnan(block["me"].to_numpy()).tolist() == [False, True, False]
    assert np.isnan(block["beta"].to_numpy()).all()
    assert block["aum"].to_pylist() == [1.25, 2.0, 3.0]
    assert block["permno"].type == pa.int64()


GOOD = make_run(1, 1, [1.0, 2.0, 0.0])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (make_panel(GOOD).drop_columns(["Gat"]), r"column 'Gat' is missing; add it"),
        (make_panel(GOOD).rename_columns({"holding_t1": "holding_T1"}), r"did you mean 'holding_T1'\? Rename it"),
        (make_panel(GOOD).rename_columns({"Gat": "GAT", "me": "ME"}), r"'me' is missing; did .*'Gat' is missing; did"),
        (make_panel(GOOD, holding_t=["1"] * 3), r"column 'holding_t' holds string, not numbers; convert it"),
        (make_panel(GOOD, mgrno=[1.0] * 3), r"column 'mgrno' holds double, not integers; .*astype\('int64'\)"),
        (make_panel(GOOD, date=["2015-03-31"] * 3), r"column 'date' holds string, not dates; .* or import the files"),
        (make_panel(GOOD, date=[20150101] * 3), r"column 'date' holds int64, not dates"),
        (make_panel(GOOD, type=[1] * 3), r"column 'type' holds int64, not text"),
        (make_panel(GOOD, holding_t=pa.nulls(3)), r"column 'holding_t' holds null, not numbers"),
        (
            make_panel(GOOD, date=pa.array([0, 1, 2], pa.timestamp("us", "America/New_York"))),
            r"column 'date' holds times of the zone America/New_York: .*tz_localize",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_columns_are_named_with_the_remedy(tmp_path, table, message):
    path = write(tmp_path, table)
    with pytest.raises(PanelError, match=message) as error:
        panel_schema(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "data/README.md" in str(error.value)


def test_a_repeated_column(tmp_path):
    table = make_panel(GOOD)
    path = write(tmp_path, table.append_column("me", table["me"]))
    with pytest.raises(PanelError, match="'me' occurs 2 times"):
        panel_schema(path)


def test_rows_without_a_key(tmp_path):
    table = make_panel(GOOD, permno=pa.array([1, None, None]), date=pa.array([None, 1, 2], pa.date32()))
    with pytest.raises(
        PanelError, match=r"'permno' is missing in 2 of 3 rows \(row 1, 2\); column 'date' .* \(row 0\)"
    ):
        check_keys(write(tmp_path, table))


def test_a_slice_without_rows(tmp_path):
    with pytest.raises(PanelError, match="the slice is empty; add its rows or take its type out of firm_types"):
        check_keys(write(tmp_path, make_panel([])))


def test_files_that_are_no_parquet(tmp_path):
    path = tmp_path / "banks.parquet"
    path.write_text("mgrno,permno\n")
    with pytest.raises(PanelError, match="not a readable parquet file"):
        check_keys(path)
    with pytest.raises(PanelError, match=r"no such file; .* holds banks.parquet"):
        check_keys(tmp_path / "bank.parquet")


@pytest.mark.parametrize("lost", ["end", "middle"])
def test_damaged_files(tmp_path, lost):
    path = write(tmp_path, many_managers(), compression="zstd")
    content = path.read_bytes()
    path.write_bytes(content[:-20] if lost == "end" else content[:40] + b"\xff" * 400 + content[440:])
    with pytest.raises(PanelError, match=r"banks.parquet: (not a readable parquet file|the file is damaged)"):
        list(panel_blocks(path, PANEL_COLUMNS, is_sorted=True))
