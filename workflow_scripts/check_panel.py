"""Check one slice against the panel contract; write counts and coverage, or fail and write nothing."""

from argparse import Namespace

from workflow_scripts.holdings.panel.checks import CheckSettings, check_panel, report_text, warning_lines
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_json, write_text


def main(args: Namespace) -> str:
    """Write the report to `--out` (JSON) and `--text`."""
    report = check_panel(args.panel, args.firm_type, args.settings)
    write_json(args.out, report)
    write_text(args.text, report_text(report))
    lines = [f"warning: {line}" for line in warning_lines([report])]
    span = f"{report['first_quarter']}-{report['last_quarter']}"
    lines.append(f"check_panel {args.firm_type}: {report['rows']:,} rows, {report['pairs']:,} pairs, {span}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        panel=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(CheckSettings),
        out=cli.TEXT,
        text=cli.TEXT,
    )
