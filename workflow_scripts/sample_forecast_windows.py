"""Find the windows of the slice's newest quarter, which have no label yet, and attach what is known of them.

Steps: windows whose t is the newest quarter → drop those with a label (and at zero holding) → at most
`forecast.max_windows` of them → history, splits and managers, as a sample has them → write them, and the account of
what was dropped, with the slice's digest for the ledger. What is dated t+1 is missing in all of them.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.windows.assembling import TABLES, Assembler, FirmTypeFiles
from workflow_scripts.holdings.windows.newest import ForecastSettings, draw_windows, newest_windows
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import file_digest, read_batches, write_json, write_table
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """Which windows are forecast, and how long their history is."""

    seed: int
    history_quarters: int
    drop_zero_holding: bool
    forecast: ForecastSettings


def main(args: Namespace) -> str:
    """Write the windows to `--out` and the account to `--report`."""
    settings, files = args.settings, FirmTypeFiles(args.firm_type, args.panel, *args.tables)
    assembler = Assembler(files)
    newest = assembler.stocks.newest_quarter
    windows = read_batches(files.windows, ["mgrno", "permno", "quarter", "zero_holding", "delta_sign"])
    try:
        found, account = newest_windows(windows, newest, settings.drop_zero_holding)
    except InputError as error:
        raise InputError(f"{files.windows}: {error}") from error
    rng = random_stream(settings.seed, args.firm_type, "forecast")
    chosen = draw_windows(found, settings.forecast.max_windows, rng)
    [sample], _ = assembler.assemble([chosen], settings.history_quarters)
    write_table(args.out, sample)
    quarter, following = quarter_labels([newest, newest + 1])
    account |= {"forecast": sample.num_rows, "data_digest": file_digest(args.panel)}
    names = {"firm_type": args.firm_type, "quarter": quarter, "quarter_forecast": following}
    write_json(args.report, names | account)
    counts = f"{sample.num_rows:,} of {account['candidates']:,} windows"
    return f"sample_forecast_windows {args.firm_type}: {counts}, t = {quarter}, to forecast {following}"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        panel=cli.TEXT,
        tables=TABLES,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
        report=cli.TEXT,
    )
