"""Fixtures that several tests share: a hand-made slice, golden files with an update flag, a finished tiny run."""

import datetime as dt
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from tests.project import Project, checkout, copy_of, tiny_config
from workflow_scripts.holdings.panel.slices import check_keys, panel_blocks, typed_table
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters, stock_quarters
from workflow_scripts.holdings.windows.history import attach_history
from workflow_scripts.holdings.windows.managers import ManagerQuarters, attach_managers, manager_quarters
from workflow_scripts.holdings.windows.prices import attach_prices
from workflow_scripts.holdings.windows.windows import WINDOW_COLUMNS, build_windows

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing")


@pytest.fixture
def golden(request):
    """Compare a text with tests/golden/{name}, or write it with --update-golden."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{name} changed; if intended: pytest --update-golden"

    return compare


def make_panel(rows: list[tuple], firm_type: str = "banks", **overrides) -> pa.Table:
    """A slice from (mgrno, permno, year, quarter, holding_t, holding_t1) tuples; other columns are constants.

    `overrides` gives whole columns, or a function of the row number.
    """
    names = ("mgrno", "permno", "year", "quarter", "holding_t", "holding_t1")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    n = len(rows)
    constants = {"me": 1000.0, "be": 500.0, "profit": 0.25, "Gat": 0.1, "beta": 1.1}
    constants |= {"aum": 250.0, "outaum": 50.0, "prc": 20.0}
    table = {
        "type": pa.array([firm_type] * n, pa.string()),
        "mgrno": pa.array(columns["mgrno"], pa.int64()),
        "permno": pa.array(columns["permno"], pa.int64()),
        "date": pa.array(
            [dt.date(y, 3 * q - 2, 1) for y, q in zip(columns["year"], columns["quarter"], strict=True)], pa.date32()
        ),
        "holding_t": pa.array(columns["holding_t"], pa.float64()),
        "holding_t1": pa.array(columns["holding_t1"], pa.float64()),
        **{name: pa.array([value] * n, pa.float64()) for name, value in constants.items()},
    }
    for name, values in overrides.items():
        table[name] = [values(i) for i in range(n)] if callable(values) else values
    return pa.table(table)


def make_run(mgrno: int, permno: int, holdings: list[float], start: int = 8060) -> list[tuple]:
    """Consecutive quarters of one pair; the last row has no label."""
    labels = [*holdings[1:], None]
    return [
        (mgrno, permno, (start + i) // 4, (start + i) % 4 + 1, h, h1)
        for i, (h, h1) in enumerate(zip(holdings, labels, strict=True))
    ]


def windows_of(panel: pa.Table, history_quarters: int = 4) -> pa.Table:
    """The windows of a slice as the workflow finds them: from a file, in any row order."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.parquet"
        pq.write_table(panel, path)
        blocks = panel_blocks(path, WINDOW_COLUMNS, check_keys(path))
        return pa.concat_tables(build_windows(block, history_quarters) for block in blocks)


def sample_of(panel: pa.Table, history_quarters: int = 4, rows: int | None = None) -> pa.Table:
    """The first `rows` windows of a slice of banks, with their history."""
    windows = windows_of(panel, history_quarters).slice(0, rows)
    sample = attach_history(windows, typed_table(panel), "banks", history_quarters)
    stocks = StockQuarters(stock_quarters(lambda columns: [typed_table(panel)]))
    managers = ManagerQuarters(manager_quarters([typed_table(panel)], stocks))
    return attach_managers(attach_prices(sample, stocks, history_quarters), managers, stocks)


@pytest.fixture
def one_window_panel() -> pa.Table:
    """Five quarters 2015Q1..2015Q4, 2016Q1 of one pair, with values that differ by quarter."""
    rows = make_run(7, 10107, [10.0, 12.5, 12.25, 3.357637, 0.0])
    return make_panel(
        rows,
        me=lambda i: 1000.5 + 10 * i,
        be=lambda i: [500.0, None, 480.0, 470.123456789, 460.0][i],
        profit=lambda i: 0.25 - 0.01 * i,
        Gat=lambda i: 0.00000004 * i,
        beta=lambda i: 1.1,
        aum=lambda i: 250.0 + i,
        outaum=lambda i: 50.0,
        prc=lambda i: 20.0 + i / 4,
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id) -> Project:
    """The whole workflow has run once, on tiny input, with the real ms-swift.

    Nothing may change its results: tests that edit code work on a copy (`edited`). Of several workers (pytest-xdist)
    the first one makes it for all.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "workflow"
    with FileLock(folder.with_suffix(".lock")):
        if folder.is_dir():
            return Project(folder)
        # It gets its name where it has succeeded: the next worker tries again, and says the same.
        project = checkout(tmp_path_factory.mktemp("workflow"))
        result = project.run(tiny_config())
        assert result.returncode == 0, result.stdout + result.stderr
        project.root.rename(folder)
    return Project(folder)


@pytest.fixture
def edited(finished, tmp_path) -> Project:
    """A copy of the finished project, its memory of parameters included, to edit and plan in."""
    return copy_of(finished, tmp_path)
