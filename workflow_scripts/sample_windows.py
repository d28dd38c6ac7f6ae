"""Draw the stratified sample of one split and attach what is known of every sampled window.

Steps: windows of the split, by the quarter of t → drop those without a label (and at zero holding) →
sample → read the panel rows of the sampled pairs → add the next quarter's price and splits, and what the manager did
elsewhere → write the sample, these rows (the audits rebuild the sample from them) and the account of what was dropped.
Where the active change is the target, windows without one are dropped too. Fails when no window is left.
"""

from argparse import Namespace
from dataclasses import dataclass

import numpy as np

from workflow_scripts.holdings.panel.contract import IDS
from workflow_scripts.holdings.windows.assembling import TABLES, Assembler, FirmTypeFiles, SplitWindows
from workflow_scripts.holdings.windows.sampling import SampleSettings, sample_windows
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_json, write_table
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings(SplitWindows):
    """The sample of one split."""

    sample: SampleSettings


def main(args: Namespace) -> str:
    """Write the sample and the rows of its pairs to the two files of `--out`, and the account to `--report`."""
    settings = args.settings
    assembler = Assembler(FirmTypeFiles(args.firm_type, args.panel, *args.tables))
    candidates, account = assembler.candidates(args.split, settings, settings.sample.drop_zero_holding)
    chosen, sampled = sample_windows(
        candidates, settings.sample, random_stream(settings.seed, args.firm_type, args.split)
    )
    account |= sampled
    [sample], history = assembler.assemble([chosen], settings.history_quarters)
    price_ratio, split_ratio = (sample[name].to_numpy() for name in ("price_ratio", "split_ratio"))
    account["sampled_split_like"] = int(np.isfinite(split_ratio).sum())
    account["sampled_without_price"] = int(np.isnan(price_ratio).sum())
    sample_path, history_path = args.out
    write_table(sample_path, sample)
    # Other values hardly repeat: a dictionary of them costs more time than all else of writing, and saves nothing.
    write_table(history_path, history, use_dictionary=[*IDS, "quarter"])
    write_json(args.report, {"firm_type": args.firm_type, "split": args.split, **account})
    counts = f"{account['sampled']:,} of {account['candidates']:,} candidates"
    evenness = f"{account['smallest_bucket']:,} to {account['largest_bucket']:,} in each time bucket"
    return f"sample_windows {args.firm_type} {args.split}: {counts}, {evenness}"


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
        out={"nargs": 2, "metavar": ("SAMPLE", "HISTORY")},
        report=cli.TEXT,
    )
