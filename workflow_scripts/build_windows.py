"""Find all windows of one slice: runs of strictly consecutive quarters of a (mgrno, permno) pair."""

from workflow_scripts import cli
from workflow_scripts.holdings.files import write_table
from workflow_scripts.holdings.panel import panel_quarters, read_panel
from workflow_scripts.holdings.windows import WINDOW_COLUMNS, build_windows


def main(args) -> str:
    """Write the windows to `--out`."""
    panel = read_panel(args.panel, WINDOW_COLUMNS)
    windows = build_windows(panel, panel_quarters(panel), args.history_quarters)
    write_table(args.out, windows)
    return f"build_windows {args.firm_type}: {panel.num_rows:,} rows, {windows.num_rows:,} windows"


if __name__ == "__main__":
    cli.run(main, __doc__, panel=cli.TEXT, firm_type=cli.TEXT, history_quarters=cli.INTEGER, out=cli.TEXT)
