"""Look for leaks in the baselines of one firm type, and fail the run where there is one.

Fails when a value dated after t changes a feature that a baseline reads or a fact about its manager, when a window that
baselines are fitted on lies outside its split, and when a forecast depends on test labels or on other test windows.
"""

from argparse import Namespace
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from workflow_scripts.holdings.evaluation import baseline_audit
from workflow_scripts.holdings.evaluation.text_audit import (
    checks_table,
    found_by,
    samples_without_future,
    windows_outside_their_split,
)
from workflow_scripts.holdings.panel.slices import panel_batches
from workflow_scripts.holdings.texts.targets import TargetName
from workflow_scripts.holdings.windows.splits import SplitSettings
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, read_table, write_csv
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """What the baselines forecast, and from how many quarters."""

    seed: int
    target: TargetName
    history_quarters: int
    splits: SplitSettings


def main(args: Namespace) -> str:
    """Write one row per check to `--out`; InputError, and no file, where one fails. Files are named as their split."""
    settings = args.settings
    rng = random_stream(settings.seed, "audit", args.firm_type, "baselines")
    samples = {Path(path).stem: read_table(path) for path in args.samples}
    histories = {Path(path).stem: read_table(path) for path in args.histories}
    predictions = {Path(path).stem: read_csv(path) for path in args.predictions}
    checks = []
    for split, sample in samples.items():
        unknown = samples_without_future(sample, histories[split], args.firm_type, settings.history_quarters, rng)
        found = baseline_audit.differing_features(sample, unknown, settings.target)
        checks.append(found_by(f"{split}: features that change with what is dated after t", found))
    training = {Path(path).stem: read_table(path) for path in args.train}
    for split, windows in training.items():
        outside = windows_outside_their_split(windows, getattr(settings.splits, split))
        checks.append(found_by(f"{split}: windows for the baselines outside the split", outside))
    train = pa.concat_tables(training.values())
    known = pa.concat_tables([train, *samples.values()])
    panel, stocks = args.panel
    facts = baseline_audit.differing_facts(known, partial(panel_batches, panel), read_table(stocks), rng)
    checks.append(found_by("facts about managers that change with what is dated after t", facts))
    moved = baseline_audit.differing_baselines(train, samples["test"], settings.target, predictions, rng)
    checks.append(found_by("baselines that depend on test labels or other test windows", moved))
    write_csv(args.out, checks_table(checks, args.firm_type, "baselines"))
    return f"audit_baselines {args.firm_type}: {len(checks)} checks passed"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        panel={"nargs": 2, "metavar": ("PANEL", "STOCK_QUARTERS")},
        train={**cli.FILES, "help": "what the baselines are fitted on, from collect_training_windows"},
        histories={**cli.FILES, "help": "the panel rows of the sampled pairs, from sample_windows"},
        samples=cli.FILES,
        predictions=cli.FILES,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
