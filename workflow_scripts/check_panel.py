"""Check one slice against the panel contract; write counts and coverage, or fail and write nothing."""

from workflow_scripts import cli
from workflow_scripts.holdings.files import write_json
from workflow_scripts.holdings.panel import check_panel


def main(args) -> str:
    """Write the report to `--out`."""
    report = check_panel(args.panel, args.firm_type)
    write_json(args.out, report)
    span = f"{report['first_quarter']}-{report['last_quarter']}"
    return f"check_panel {args.firm_type}: {report['rows']:,} rows, {report['pairs']:,} pairs, {span}"


if __name__ == "__main__":
    cli.run(main, __doc__, panel=cli.TEXT, firm_type=cli.TEXT, out=cli.TEXT)
