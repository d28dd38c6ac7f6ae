"""Collect the windows of the training splits that the baselines are fitted on: all of them, or a random part of many.

A language model learns from its sample; the baselines that it is held against may learn from all that there was. They
learn from all training splits together, which are therefore collected in one reading of the slice.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.windows.assembling import TABLES, Assembler, FirmTypeFiles, SplitWindows
from workflow_scripts.holdings.windows.sampling import draw_uniformly
from workflow_scripts.holdings.windows.splits import SPLITS
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_table
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """How many windows of each split at most, and whether those with nothing held at t are among them."""

    splits: dict[str, SplitWindows]
    max_windows: int
    drop_zero_holding: bool


def main(args: Namespace) -> str:
    """Write the windows, with the columns of a sample, to `--out`: a file for each training split, in their order."""
    settings = args.settings
    assembler = Assembler(FirmTypeFiles(args.firm_type, args.panel, *args.tables))
    chosen, counts = [], []
    for split in SPLITS[:-1]:
        windows = settings.splits[split]
        candidates, account = assembler.candidates(split, windows, settings.drop_zero_holding)
        rng = random_stream(windows.seed, args.firm_type, split, "training windows")
        chosen.append(draw_uniformly(candidates, settings.max_windows, rng))
        counts.append(f"{split} {chosen[-1].num_rows:,} of {account['candidates']:,} windows")
    [history_quarters] = {windows.history_quarters for windows in settings.splits.values()}
    samples, _ = assembler.assemble(chosen, history_quarters)
    for path, sample in zip(args.out, samples, strict=True):
        write_table(path, sample)
    return f"collect_training_windows {args.firm_type}: {', '.join(counts)}"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        panel=cli.TEXT,
        tables=TABLES,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.FILES,
    )
