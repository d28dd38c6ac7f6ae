"""Collect the windows of a training split that the baselines are fitted on: all of them, or a random part of many.

A language model learns from its sample; the baselines that it is held against may learn from all that there was.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.windows.assembling import TABLES, Assembler, FirmTypeFiles, SplitWindows
from workflow_scripts.holdings.windows.sampling import draw_uniformly
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_table
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings(SplitWindows):
    """How many windows at most, and whether those with nothing held at t are among them."""

    max_windows: int
    drop_zero_holding: bool


def main(args: Namespace) -> str:
    """Write the windows, with the columns of a sample, to `--out`."""
    settings = args.settings
    assembler = Assembler(FirmTypeFiles(args.firm_type, args.panel, *args.tables), settings)
    candidates, account = assembler.candidates(args.split, settings.drop_zero_holding)
    rng = random_stream(settings.seed, args.firm_type, args.split, "training windows")
    windows, _ = assembler.assemble(draw_uniformly(candidates, settings.max_windows, rng))
    write_table(args.out, windows)
    counts = f"{windows.num_rows:,} of {account['candidates']:,} windows"
    return f"collect_training_windows {args.firm_type} {args.split}: {counts}"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        panel=cli.TEXT,
        tables=TABLES,
        firm_type=cli.TEXT,
        split=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
