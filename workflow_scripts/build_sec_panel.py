"""Make the slices of all firm types from the positions that filings to the SEC report.

Steps: prices that filings imply, by CUSIP and quarter → stocks, with CUSIPs that follow each other as one → tickers,
companies, their reports, splits, betas → the type of each manager → rows of held, sold and outside positions, block of
managers by block → a slice per firm type. All slices appear at the end, or none; a firm type without managers gets an
empty one. Fails where a file of the user's own cannot be read, and where no position becomes a row.
"""

import contextlib
import os
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.panel.slices import SCHEMA
from workflow_scripts.holdings.sec.assembly import VALUED, Assembly, make_managers
from workflow_scripts.holdings.sec.characteristics import add_characteristics, needed_of, stock_map
from workflow_scripts.holdings.sec.cusip_quarters import cusip_quarters, manager_blocks
from workflow_scripts.holdings.sec.fundamentals import read_facts
from workflow_scripts.holdings.sec.identifiers import Identifiers, read_identifiers
from workflow_scripts.holdings.sec.manager_types import manager_types, read_types
from workflow_scripts.holdings.sec.own_values import read_values
from workflow_scripts.holdings.sec.panel_files import fundamental_files, identifier_files
from workflow_scripts.holdings.sec.panel_report import coverage, panel_text, ticker_table
from workflow_scripts.holdings.sec.panel_settings import SecPanelSettings
from workflow_scripts.holdings.sec.stocks import Stocks, are_alive, make_stocks, successions
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_batches, read_table, write_csv, write_json, write_tables, write_text


@dataclass(frozen=True)
class Settings:
    """How the panel is made, and how many managers make a price."""

    panel: SecPanelSettings
    min_price_filers: int


def describe_stocks(positions: str, settings: Settings, report: dict[str, Any]) -> tuple[Stocks, pd.DataFrame]:
    """All stocks with their grids, and the map of their CUSIPs; adds to the report what they were made of."""
    own = settings.panel
    identifiers = read_identifiers(identifier_files(own.identifiers)) if own.identifiers else Identifiers()
    facts, companies = read_facts(fundamental_files(own.fundamentals) if own.fundamentals else [])
    values = read_values(own.values) if own.values else None
    cusip_rows = cusip_quarters(positions, settings.min_price_filers)
    replaced = successions(cusip_rows, positions, settings.min_price_filers)
    stocks = make_stocks(cusip_rows, replaced)
    if not len(stocks.permno):
        raise InputError(
            f"{positions}: none of the {len(stocks.cusips):,} texts that stand for a CUSIP is one (nine letters and "
            "digits), so that there is no stock: look at the CUSIP column of the INFOTABLE in sec.zips"
        )
    table = stock_map(stocks, cusip_rows, replaced, identifiers, companies)
    report["files"] = identifiers.files
    report["facts"] = len(facts)
    report["own_values"] = add_characteristics(stocks, positions, table, facts, values, own)
    report["needed"] = list(needed_of(own))
    report["stocks"] = {
        "CUSIPs": len(table),
        "stocks": len(stocks.permno),
        "that follow another CUSIP": len(replaced),
        "with a ticker": int(table["ticker"].notna().sum()),
        **{f"with a company by {way}": int((table["linked_by"] == way).sum()) for way in ("csv", "ticker", "name")},
    }
    return stocks, table


def stage(assembly: Assembly, positions: str, folder: Path) -> None:
    """Write the rows of each firm type to `{firm_type}.parquet` below `folder`."""
    with contextlib.ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for block in manager_blocks(positions):
            rows = assembly.rows(block)
            for firm_type in pc.unique(rows["type"]).to_pylist():
                if firm_type not in writers:
                    path = folder / f"{firm_type}.parquet"
                    writers[firm_type] = stack.enter_context(pq.ParquetWriter(path, SCHEMA, compression="lz4"))
                writers[firm_type].write_table(rows.filter(pc.equal(rows["type"], firm_type)))


def slice_tables(path: Path) -> Iterator[pa.Table]:
    """The staged rows of one firm type, which may have none."""
    yield SCHEMA.empty_table()
    if path.is_file():
        yield from read_batches(path, SCHEMA.names)


def no_rows(assembly: Assembly, positions: str) -> InputError:
    """What to say where all positions are outside assets: how much of what managers hold has each characteristic."""
    needed = needed_of(assembly.settings)
    if not needed:
        return InputError(f"{positions}: no position becomes a row of the panel ({assembly.counts})")
    known = coverage(assembly.stocks)
    shares = ", ".join(f"{name} for {known[name]:.0%}" for name in needed)
    return InputError(
        f"{positions}: no position becomes a row of the panel, because no stock has all that sec.needed asks for in a "
        f"quarter: of what managers hold, by value, the company reports and your own values have {shares}. Add reports "
        "of these companies and years to sec.fundamentals, what leads from CUSIP to company to sec.identifiers, or "
        "set sec.needed, which may be []"
    )


def write_slices(assembly: Assembly, positions: str, out: Path) -> dict[str, int]:
    """Write `{firm_type}.parquet` below `out`; rows by firm type."""
    out.mkdir(parents=True, exist_ok=True)
    # Beside the outputs, because the system's folder for temporary files may be too small for a panel.
    with tempfile.TemporaryDirectory(dir=out, prefix=".sec-") as folder:
        staged, slices = Path(folder) / "staged", Path(folder) / "slices"
        staged.mkdir()
        stage(assembly, positions, staged)
        rows: dict[str, int] = {
            name: write_tables(slices / f"{name}.parquet", slice_tables(staged / f"{name}.parquet"))
            for name in FIRM_TYPES
        }
        if not any(rows.values()):
            raise no_rows(assembly, positions)
        for name in FIRM_TYPES:
            os.replace(slices / f"{name}.parquet", out / f"{name}.parquet")
    return rows


def main(args: Namespace) -> str:
    """Write one slice per firm type to the folder `--slices`; maps and reports to the folder `--out`."""
    settings = args.settings
    own = settings.panel
    out = Path(args.out)
    report: dict[str, Any] = {}
    filings = read_table(args.managers)
    stocks, table = describe_stocks(args.positions, settings, report)
    types = manager_types(filings, read_types(own.types) if own.types else {})
    managers = make_managers(filings, types, stocks.first_quarter, stocks.quarters)
    alive = are_alive(stocks.grids["holders"], settings.min_price_filers)
    assembly = Assembly(stocks, managers, alive, own)
    rows = write_slices(assembly, args.positions, Path(args.slices))
    first, last = quarter_labels([stocks.first_quarter, stocks.first_quarter + stocks.quarters - 1])
    report |= {"first_quarter": first, "last_quarter": last, "rows": rows, "counts": assembly.counts}
    report["valued_by"] = dict(zip(VALUED, assembly.valued.tolist(), strict=True))
    report["coverage"] = coverage(stocks)
    report["managers"] = types.groupby("type").size().to_dict()
    report["types_by"] = types["reason"].str.split(":").str[0].value_counts().to_dict()
    for name in ("first_quarter", "last_quarter"):
        table[name] = quarter_labels(table[name])
    write_csv(out / "stocks.csv", table.drop(columns="row"))
    write_csv(out / "tickers.csv", ticker_table(table))
    write_csv(out / "manager_types.csv", types)
    write_json(out / "panel.json", report)
    write_text(out / "panel.txt", panel_text(report))
    counts = assembly.counts
    return (
        f"build_sec_panel: {first} to {last}, {counts['held rows']:,} held and {counts['zero rows']:,} zero rows of "
        f"{len(types):,} managers and {len(stocks.permno):,} stocks; {counts['positions outside']:,} positions outside"
    )


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        positions=cli.TEXT,
        managers=cli.TEXT,
        settings=cli.settings_option(Settings),
        slices=cli.TEXT,
        out=cli.TEXT,
    )
