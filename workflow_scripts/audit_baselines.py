"""Look for leaks in the baselines of one firm type, and fail the run where there is one.

Fails when a value dated after t changes a feature that a baseline reads or a fact about its manager, when a window that
baselines are fitted on lies outside its split, when a forecast depends on test labels or on other test windows, and
when a band around it is none of what was seen before the test quarters.
"""

from argparse import Namespace
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from workflow_scripts.holdings.evaluation import baseline_audit
from workflow_scripts.holdings.evaluation.audit_checks import checks_table, found_by
from workflow_scripts.holdings.evaluation.text_audit import (
    differing_splits,
    samples_without_future,
    windows_outside_their_split,
)
from workflow_scripts.holdings.panel.slices import read_managers
from workflow_scripts.holdings.texts.targets import TargetName
from workflow_scripts.holdings.windows.splits import SplitSettings
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, read_table, write_csv
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """What the baselines forecast."""

    seed: int
    target: TargetName
    splits: SplitSettings


def main(args: Namespace) -> str:
    """Write one row per check to `--out`; InputError, and no file, where one fails. Files are named as their split."""
    settings = args.settings
    rng = random_stream(settings.seed, "audit", args.firm_type, "baselines")
    samples = {Path(path).stem: read_table(path) for path in args.samples}
    histories = {Path(path).stem: read_table(path) for path in args.histories}
    predictions = {Path(path).stem: read_csv(path) for path in args.predictions}
    panel, stocks = args.panel[0], read_table(args.panel[1])
    checks = []
    for split, sample in samples.items():
        unknown = samples_without_future(sample, histories[split], stocks, args.firm_type, rng)
        found = baseline_audit.differing_features(sample, unknown, settings.target)
        checks.append(found_by(f"{split}: features that change with what is dated after t", found))
    training = {Path(path).stem: read_table(path) for path in args.train}
    for split, windows in training.items():
        outside = windows_outside_their_split(windows, getattr(settings.splits, split))
        checks.append(found_by(f"{split}: windows for the baselines outside the split", outside))
        splits = differing_splits(windows, stocks)
        checks.append(found_by(f"{split}: splits of the past, for the baselines, that are not the stock's", splits))
    train = pa.concat_tables(training.values())
    known = pa.concat_tables([train, *samples.values()])
    facts = baseline_audit.differing_facts(known, partial(read_managers, panel), stocks, rng)
    checks.append(found_by("facts about managers that change with what is dated after t", facts))
    moved = baseline_audit.differing_baselines(train, samples["test"], settings.target, predictions, rng)
    checks.append(found_by("baselines that depend on test labels or other test windows", moved))
    bands = baseline_audit.differing_bands(training, samples, settings.target, predictions, rng)
    checks.append(found_by("baselines whose bands are not those of the residuals before the test quarters", bands))
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
