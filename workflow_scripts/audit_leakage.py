"""Look for leaks in one split of a firm type, and fail the run where there is one.

Fails when a value dated after t changes a text that a model reads, when a split of the past is not the one that the
stock's quarters have, when a window lies outside its split, when a prompt names a label column, when a label is in two
splits, and, with an embargo, when a label lies in the next split. Counts what is allowed but should be known: labels in
the next split without an embargo, and prompts that are the same in two splits. `audit_baselines` checks the baselines.
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from workflow_scripts.holdings.evaluation import text_audit as audit
from workflow_scripts.holdings.evaluation.audit_checks import Check, checks_table, found_by
from workflow_scripts.holdings.texts.conversations import ThinkStyle
from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.holdings.texts.tickers import named_tickers
from workflow_scripts.holdings.windows.splits import Period
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, read_table, write_csv
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """What decided the texts and the windows of a split; `think` is how its think blocks are written, if it has any."""

    seed: int
    prompts: PromptSettings
    think: ThinkStyle | None
    period: Period
    next_start: str | None
    embargo_quarters: int


def audit_split(args: Namespace, sample: pa.Table, dataset: list[dict], rng: np.random.Generator) -> list[Check]:
    """The checks of one split by itself."""
    settings = args.settings
    tickers = named_tickers(args.tickers)
    history, stocks = map(read_table, args.data)
    unknown = list(audit.samples_without_future(sample, history, stocks, args.firm_type, rng))
    checks = [
        found_by(
            "texts that change with what is dated after t",
            audit.differing_texts(args.split, dataset, unknown, settings.prompts, settings.think, tickers),
        ),
        found_by("splits of the past that are not the stock's", audit.differing_splits(sample, stocks)),
        found_by("prompts that name a label column", audit.labels_in_text(dataset)),
        found_by("windows outside the split's quarters", audit.windows_outside_their_split(sample, settings.period)),
    ]
    if settings.next_start:
        count = audit.labels_in_next_split(sample, settings.next_start)
        allowed = "" if settings.embargo_quarters else "allowed by splits.embargo_quarters: 0"
        checks.append(("labels inside the next split", count, allowed, bool(settings.embargo_quarters)))
    return checks


def audit_splits(samples: dict[str, pa.Table], datasets: dict[str, list[dict]]) -> list[Check]:
    """The checks that need all splits, in the order of time."""
    return [
        found_by("labels in two splits", audit.repeated_labels(samples)),
        *(
            (f"identical prompts in {splits}", count, "", False)
            for splits, count in audit.identical_prompts(datasets).items()
        ),
    ]


def main(args: Namespace) -> str:
    """Write one row per check to `--out`; InputError, and no file, where one fails. Files are named as their split."""
    rng = random_stream(args.settings.seed, "audit", args.firm_type, args.split)
    samples = {Path(path).stem: read_table(path) for path in args.samples}
    datasets = {Path(path).stem: read_jsonl(path, ("window_id", "messages")) for path in args.datasets}
    checks = audit_split(args, samples[args.split], datasets[args.split], rng)
    if len(samples) > 1:
        checks += audit_splits(samples, datasets)
    write_csv(args.out, checks_table(checks, args.firm_type, args.split))
    passed = sum(must_be_zero for *_, must_be_zero in checks)
    return f"audit_leakage {args.firm_type} {args.split}: {passed} checks passed, {len(checks) - passed} counts"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        data={
            "nargs": 2,
            "metavar": ("HISTORY", "STOCKS"),
            "help": "the panel rows of the sampled pairs, and the splits of all stocks",
        },
        samples={**cli.FILES, "help": "of this split, or of all splits for what needs them"},
        datasets={**cli.FILES, "help": "of the same splits"},
        tickers=cli.TICKERS,
        firm_type=cli.TEXT,
        split=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
