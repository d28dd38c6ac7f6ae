"""Check one slice against the panel contract; write counts and coverage, or fail and write nothing."""

from argparse import Namespace

from workflow_scripts.holdings.panel.checks import WARNINGS, check_panel, report_text
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_json, write_text


def main(args: Namespace) -> str:
    """Write the report to `--out` (JSON) and `--text`."""
    report = check_panel(args.panel, args.firm_type)
    write_json(args.out, report)
    write_text(args.text, report_text(report))
    lines = [f"warning: {finding['count']:,} {WARNINGS[name]}" for name, finding in report["warnings"].items()]
    span = f"{report['first_quarter']}-{report['last_quarter']}"
    lines.append(f"check_panel {args.firm_type}: {report['rows']:,} rows, {report['pairs']:,} pairs, {span}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main, __doc__, panel=cli.TEXT, firm_type=cli.TEXT, out=cli.TEXT, text=cli.TEXT)
