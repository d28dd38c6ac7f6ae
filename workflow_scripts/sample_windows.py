"""Draw the stratified sample of one split and attach the history of every sampled window.

Steps: windows of the split, by the quarter of t → drop those without a label (and at zero holding) →
sample → read the panel rows of the sampled pairs → add the next quarter's price and splits → write the sample,
these rows (the audits rebuild the sample from them) and the account of what was dropped. Where the active change is
the target, windows without one are dropped too. Fails when no window is left.
"""

from argparse import Namespace
from dataclasses import dataclass
from functools import partial

import numpy as np

from workflow_scripts.holdings.panel.contract import IDS
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters
from workflow_scripts.holdings.windows.history import attach_history, read_history
from workflow_scripts.holdings.windows.prices import attach_prices
from workflow_scripts.holdings.windows.sampling import SampleSettings, find_candidates, sample_windows
from workflow_scripts.holdings.windows.splits import Period, split_mask
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_batches, read_table, write_json, write_table
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """The sample of one split; `next_start` is the first day of the next split where an embargo looks at it."""

    seed: int
    history_quarters: int
    sample: SampleSettings
    period: Period
    next_start: str | None
    embargo_quarters: int
    needs_active_change: bool


def main(args: Namespace) -> str:
    """Write the sample and the rows of its pairs to the two files of `--out`, and the account to `--report`."""
    settings = args.settings
    windows = read_batches(args.windows, [*IDS, "quarter", "zero_holding", "delta_sign"])
    in_split = partial(
        split_mask,
        period=settings.period,
        next_start=settings.next_start,
        embargo_quarters=settings.embargo_quarters,
    )
    stocks = StockQuarters(read_table(args.stocks))
    known = stocks.has_active_change if settings.needs_active_change else None
    try:
        candidates, account = find_candidates(windows, in_split, settings.sample.drop_zero_holding, known)
    except InputError as error:
        raise InputError(f"{args.windows}, split {args.split}: {error}") from error
    sample, sampled = sample_windows(
        candidates, settings.sample, random_stream(settings.seed, args.firm_type, args.split)
    )
    account |= sampled
    history = read_history(args.panel, sample)
    sample = attach_history(sample, history, args.firm_type, settings.history_quarters)
    sample = attach_prices(sample, stocks, settings.history_quarters)
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
        windows=cli.TEXT,
        stocks=cli.TEXT,
        firm_type=cli.TEXT,
        split=cli.TEXT,
        settings=cli.settings_option(Settings),
        out={"nargs": 2, "metavar": ("SAMPLE", "HISTORY")},
        report=cli.TEXT,
    )
