"""Look for the labels' hand in the sample of one split, and fail the run where there is one.

Fails when a label-blind draw from all windows that may be sampled gives other windows, when the windows of the sampled
pairs are not those that the panel gives, and when a label is not the position of the next quarter.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.evaluation import sample_audit as audit
from workflow_scripts.holdings.evaluation.audit_checks import checks_table, found_by
from workflow_scripts.holdings.panel.contract import IDS
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters
from workflow_scripts.holdings.windows.sampling import SampleSettings
from workflow_scripts.holdings.windows.splits import Period
from workflow_scripts.holdings.windows.windows import StockQuarter
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_batches, read_table, write_csv
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """What decided the windows and the sample of a split."""

    seed: int
    history_quarters: int
    set_aside: list[StockQuarter]
    sample: SampleSettings
    period: Period
    next_start: str | None
    embargo_quarters: int
    needs_active_change: bool


def main(args: Namespace) -> str:
    """Write one row per check to `--out`; InputError, and no file, where one fails."""
    settings, firm_type = args.settings, args.firm_type
    sample, history = map(read_table, args.sample)
    known = StockQuarters(read_table(args.stocks)).has_active_change if settings.needs_active_change else None
    parts = [*IDS, "quarter", "zero_holding", "delta_sign"]
    quarters = audit.quarters_of(settings.period, settings.next_start, settings.embargo_quarters)
    finder = audit.WindowFinder(sample, quarters, settings.sample.drop_zero_holding, known)
    eligible, theirs = finder.find(read_batches(args.windows, parts))
    rng = random_stream(settings.seed, firm_type, args.split)
    checks = [
        found_by(
            "windows that a draw without labels does not give",
            audit.chosen_by_label(sample, eligible, settings.sample, rng),
        ),
        found_by(
            "windows of the sampled pairs that are not the panel's",
            audit.differing_windows(theirs, sample, history, settings.history_quarters, settings.set_aside),
        ),
        found_by("labels that are not the next quarter's position", audit.wrong_labels(sample, history)),
    ]
    write_csv(args.out, checks_table(checks, firm_type, args.split))
    return f"audit_sample {firm_type} {args.split}: {len(checks)} checks passed"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        windows=cli.TEXT,
        stocks=cli.TEXT,
        sample={"nargs": 2, "metavar": ("SAMPLE", "HISTORY")},
        firm_type=cli.TEXT,
        split=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
