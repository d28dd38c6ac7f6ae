"""Make the slices of all firm types from one big file of holdings, in its vendor's columns.

Steps: choose the recipe of each column of the panel → stream the source by chunks, convert and filter them, put
the rows of each firm type into a file of its own beside the outputs → sort each of these where it is not,
add holding_t1 from the next quarter's row, write the slice. The slices appear together at the end, or not
at all; a firm type without rows gets an empty slice. The slices of the last import are kept below `.last` until there
are new ones, because Snakemake deletes outputs before a job runs again. Fails where a column is missing or a value
cannot be understood, and where rows with one key differ.
"""

import contextlib
import os
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow_scripts.holdings.panel.contract import FIRM_TYPES, PANEL_COLUMNS
from workflow_scripts.holdings.panel.import_settings import ImportSettings
from workflow_scripts.holdings.panel.importing import (
    STAGED_COLUMNS,
    add_labels,
    choose_recipes,
    panel_rows,
    read_chunks,
    recipe_columns,
    report_text,
    source_columns,
)
from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.panel.slices import SCHEMA, check_keys, panel_blocks
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import whole_folder, write_json, write_tables, write_text

LAST = ".last"


def stage(settings: ImportSettings, folder: Path, report: dict) -> None:
    """Write the kept rows of each firm type to `{firm_type}.parquet` below `folder`, and count them."""
    available = source_columns(settings)
    recipes = choose_recipes(available, settings.columns)
    report["columns"] = recipes
    used = set().union(*(recipe_columns(recipe, available) for recipe in recipes.values() if recipe))
    with contextlib.ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for chunk in read_chunks(settings, sorted(used)):
            report["rows_read"] += len(chunk)
            rows = panel_rows(chunk, recipes, settings, report)
            for firm_type in pc.unique(rows["type"]).to_pylist():
                if firm_type not in writers:
                    path = folder / f"{firm_type}.parquet"
                    writers[firm_type] = stack.enter_context(pq.ParquetWriter(path, rows.schema, compression="lz4"))
                writers[firm_type].write_table(rows.filter(pc.equal(rows["type"], firm_type)))


def slice_tables(path: Path, report: dict) -> Iterator[pa.Table]:
    """The staged rows of one firm type as the slice's, block by block."""
    yield SCHEMA.empty_table()
    if not path.is_file():
        return
    per_quarter = report["rows_per_quarter"][path.stem]
    for block in panel_blocks(path, STAGED_COLUMNS, check_keys(path)):
        table, repeated = add_labels(block)
        report["dropped"]["repeated row"] += repeated
        quarters, counts = np.unique(table["quarter"].to_numpy(), return_counts=True)
        for quarter, count in zip(quarter_labels(quarters), counts.tolist(), strict=True):
            per_quarter[quarter] = per_quarter.get(quarter, 0) + count
        yield table.select(PANEL_COLUMNS).cast(SCHEMA)


def keep(out: Path) -> None:
    """Keep the new slices aside as hard links, which need no room, in place of those of the import before."""
    with whole_folder(out / LAST) as folder:
        folder.mkdir()
        for firm_type in FIRM_TYPES:
            name = f"{firm_type}.parquet"
            try:
                os.link(out / name, folder / name)
            except OSError:
                # A file system without links.
                shutil.copyfile(out / name, folder / name)


def main(args: Namespace) -> str:
    """Write one slice per firm type to the folder `--out`, and the report to `--report` and `--text`."""
    settings = args.settings
    report = {
        "source": settings.source,
        "rows_read": 0,
        "rows_kept": 0,
        "columns": {},
        "dropped": {},
        "negative_prices": 0,
    }
    report["rows_per_quarter"] = {firm_type: {} for firm_type in FIRM_TYPES}
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(".import-*"):
        # Left by a job that was killed: Snakemake deletes declared outputs only.
        shutil.rmtree(left)
    # Beside the outputs, because the system's folder for temporary files may be too small for a panel.
    with tempfile.TemporaryDirectory(dir=out, prefix=".import-") as folder:
        staged, slices = Path(folder) / "staged", Path(folder) / "slices"
        staged.mkdir()
        try:
            stage(settings, staged, report)
            report["dropped"]["repeated row"] = 0
            for firm_type in FIRM_TYPES:
                tables = slice_tables(staged / f"{firm_type}.parquet", report)
                report["rows_kept"] += write_tables(slices / f"{firm_type}.parquet", tables)
        except InputError as error:
            kept = f"; the slices of the last import are in {out / LAST}" if (out / LAST).is_dir() else ""
            raise InputError(f"{settings.source}: {error}{kept}") from error
        if not report["rows_kept"]:
            raise InputError(
                f"{settings.source}: no row is kept of {report['rows_read']} (dropped: {report['dropped']})"
            )
        for firm_type in FIRM_TYPES:
            os.replace(slices / f"{firm_type}.parquet", out / f"{firm_type}.parquet")
    keep(out)
    write_json(args.report, report)
    write_text(args.text, report_text(report))
    drops = ", ".join(f"{count:,} {cause}" for cause, count in report["dropped"].items() if count) or "none"
    return f"import_panel: {report['rows_read']:,} rows read, {report['rows_kept']:,} kept; dropped: {drops}"


if __name__ == "__main__":
    cli.run(main, __doc__, settings=cli.settings_option(ImportSettings), out=cli.TEXT, report=cli.TEXT, text=cli.TEXT)
