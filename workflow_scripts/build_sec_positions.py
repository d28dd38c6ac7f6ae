"""Decide which filings of the SEC's zips count and in which unit they are, and write the positions of all quarters.

Steps: originals, restatements and new holdings of each manager and quarter, as known on `as_of` → mend the CUSIPs → the
unit of each filing, quarter by quarter, by the prices that it implies → add up what counts, in $ million → sort by
manager, CUSIP and quarter. Fails where no filing counts.
"""

import shutil
import tempfile
from argparse import Namespace
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc

from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.sec.amendments import KEPT
from workflow_scripts.holdings.sec.filing_report import filings_table, report_text
from workflow_scripts.holdings.sec.filing_settings import FilingSettings
from workflow_scripts.holdings.sec.positions import (
    in_order,
    managers_of,
    priced_filings,
    quarter_positions,
    read_cusips,
    read_filings,
    with_units,
)
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import write_csv, write_table, write_tables, write_text


def main(args: Namespace) -> str:
    """Write positions.parquet, managers.parquet, filings.csv and filings.txt to the folder `--out`."""
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    filings = read_filings(args.filings, args.settings)
    if not (filings["state"] == KEPT).any():
        raise InputError(
            f"sec.zips: of {len(filings):,} filings in {len(args.filings)} zips none counts "
            f"({filings['state'].value_counts().to_dict()}); sec.as_of may lie before all of them"
        )
    cusips = read_cusips(args.positions)
    priced = []
    for quarter, group in filings[filings["state"] == KEPT].groupby("quarter"):
        priced.append(priced_filings(args.positions, group, cusips, args.settings))
        told = int((priced[-1]["unit"] > 0).sum())
        print(f"{quarter_labels([quarter])[0]}: prices tell the unit of {told:,} of {len(group):,} filings", flush=True)
    kept = with_units(args.positions, pd.concat(priced).sort_index())
    figures = {"positions": 0, "shares": 0.0, "value, $ million": 0.0, "repeated, left out": 0}
    for left in out.glob(".positions-*"):
        # Left by a job that was killed: Snakemake deletes declared outputs only.
        shutil.rmtree(left)
    # Beside the outputs, because the system's folder for temporary files may be too small.
    with tempfile.TemporaryDirectory(dir=out, prefix=".positions-") as folder:
        parts = []
        for quarter, group in kept.groupby("quarter"):
            table, repeated = quarter_positions(args.positions, group, cusips)
            parts.append(Path(folder) / f"{quarter}.parquet")
            write_table(parts[-1], table)
            sums = [pc.sum(table[name]).as_py() or 0.0 for name in ("shares", "value")]
            for name, total in zip(figures, (len(table), *sums, repeated), strict=True):
                figures[name] += total
            label = quarter_labels([quarter])[0]
            print(f"{label}: {len(group):,} filings, {len(table):,} positions", flush=True)
        write_tables(out / "positions.parquet", in_order(parts, folder))
    write_table(out / "managers.parquet", managers_of(filings))
    write_csv(out / "filings.csv", filings_table(filings, kept))
    write_text(out / "filings.txt", report_text(filings, kept, figures, cusips.states))
    return (
        f"build_sec_positions: {len(kept):,} of {len(filings):,} filings kept, {figures['positions']:,} positions, "
        f"{kept['quarter'].nunique()} quarters"
    )


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        positions=cli.FILES,
        filings=cli.FILES,
        settings=cli.settings_option(FilingSettings),
        out=cli.TEXT,
    )
