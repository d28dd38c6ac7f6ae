"""Put the reports of all slices side by side, and warn where the slices were made in different ways."""

from argparse import Namespace
from pathlib import Path

import pandas as pd

from workflow_scripts.holdings.panel.checks import report_text, schema_differences
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_json, write_csv, write_text


def main(args: Namespace) -> str:
    """Write `panel.csv`, one row per firm type, and `panel.txt` to `--out`; returns the warnings and the table."""
    reports = [read_json(path) for path in args.reports]
    rows = [
        {
            **{name: value for name, value in report.items() if not isinstance(value, dict | list)},
            **report["totals"],
            "warnings": "; ".join(f"{name} {found['count']}" for name, found in report["warnings"].items()),
        }
        for report in reports
    ]
    table = pd.DataFrame(rows)
    differences = [f"warning: {difference}" for difference in schema_differences(reports)]
    write_csv(Path(args.out) / "panel.csv", table)
    write_text(Path(args.out) / "panel.txt", "\n".join([*differences, *map(report_text, reports)]))
    shown = ["firm_type", "rows", "managers", "stocks", "first_quarter", "last_quarter", "warnings"]
    return "\n".join([*differences, table[shown].to_string(index=False)])


if __name__ == "__main__":
    cli.run(main, __doc__, reports=cli.FILES, out=cli.TEXT)
