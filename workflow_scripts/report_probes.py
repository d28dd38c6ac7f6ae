"""One page of the probes of all firm types: verdicts in words, then every statistic."""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.report.dictionary import data_dictionary
from workflow_scripts.holdings.report.probes_page import probes_page
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, write_csv, write_text


@dataclass(frozen=True)
class Settings:
    """The run's name, and how its questions name a stock."""

    run: str
    named_by: str


def main(args: Namespace) -> str:
    """Write the page to `--out`, and what the columns of the tables mean to `--dictionary`."""
    tables = [read_csv(path) for path in args.tables]
    write_text(args.out, probes_page(args.settings.run, args.settings.named_by, tables))
    write_csv(args.dictionary, data_dictionary({"probes/{firm_type}.csv": tables[0].columns}))
    return f"report_probes: see {args.out}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        tables=cli.FILES,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
        dictionary=cli.TEXT,
    )
