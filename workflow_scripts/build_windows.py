"""Find all windows of one slice: runs of strictly consecutive quarters of a (mgrno, permno) pair.

The slice is streamed by blocks of whole pairs, so that memory does not grow with it. The report of
`check_panel` says whether the slice is sorted.
"""

from argparse import Namespace

from workflow_scripts.holdings.panel.slices import panel_blocks
from workflow_scripts.holdings.windows.windows import (
    WINDOW_COLUMNS,
    WindowSettings,
    build_windows,
    without_stock_quarters,
)
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_json, write_tables


def main(args: Namespace) -> str:
    """Write the windows to `--out`."""
    report = read_json(args.report)
    settings = args.settings
    blocks = panel_blocks(args.panel, WINDOW_COLUMNS, report["sorted"])
    if settings.set_aside:
        blocks = (without_stock_quarters(block, settings.set_aside) for block in blocks)
    windows = write_tables(args.out, (build_windows(block, settings.history_quarters) for block in blocks))
    return f"build_windows {args.firm_type}: {report['rows']:,} rows, {windows:,} windows"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        panel=cli.TEXT,
        report=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(WindowSettings),
        out=cli.TEXT,
    )
