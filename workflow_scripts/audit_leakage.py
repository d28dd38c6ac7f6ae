"""Look for leaks of one firm type, and fail the run where there is one.

Fails when a value dated after t changes a text that a model reads or a feature that a baseline reads, when a window
lies outside its split, when a prompt names a label column, when a baseline depends on test labels or on other test
windows, when a label is in two splits, and, with an embargo, when a label lies in a later split. Counts what is allowed
but should be known: labels in later splits without an embargo, and prompts that are the same in two splits.
"""

import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts import cli
from workflow_scripts.build_prompts import read_tickers
from workflow_scripts.holdings import audit
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.files import read_jsonl, write_csv
from workflow_scripts.holdings.history import read_history
from workflow_scripts.holdings.prompts import PromptSettings
from workflow_scripts.holdings.sampling import random_stream


def _examples(found: list[str]) -> str:
    return ", ".join(found[: audit.EXAMPLES])


def main(args) -> str:
    """Write one row per check to `--out`; InputError, and no file, where one fails.

    Files are named as their split or baseline, splits in the order of time.
    """
    rng = random_stream(args.seed, "audit", args.firm_type)
    samples = {Path(path).stem: pq.read_table(path) for path in args.samples}
    datasets = {Path(path).stem: read_jsonl(path, ("window_id", "messages")) for path in args.datasets}
    predictions = {Path(path).stem: pd.read_csv(path) for path in args.predictions}
    tickers = read_tickers(args.tickers) if args.tickers else None
    history_quarters = args.settings.history_quarters
    checks: list[tuple[str, int, str, bool]] = []
    for split, sample in samples.items():
        panel = read_history(args.panel, sample)
        unknown = list(audit.samples_without_future(sample, panel, args.firm_type, history_quarters, rng))
        found = audit.differing_texts(split, datasets[split], unknown, args.settings, args.style, tickers)
        checks.append((f"{split}: texts that change with what is dated after t", len(found), _examples(found), True))
        found = audit.differing_features(sample, unknown, args.settings.target)
        checks.append((f"{split}: features that change with what is dated after t", len(found), _examples(found), True))
        start, end = (day and dt.date.fromisoformat(day) for day in args.splits[split])
        found = audit.windows_outside_their_split(sample, start, end)
        checks.append((f"{split}: windows outside the split's quarters", len(found), _examples(found), True))
        named = audit.labels_in_text(datasets[split])
        checks.append((f"{split}: prompts that name a label column", len(named), _examples(named), True))
    train = pa.concat_tables([samples["sft"], samples["grpo"]])
    moved = audit.differing_baselines(train, samples["test"], args.settings.target, predictions, rng)
    checks.append(("baselines that depend on test labels or other test windows", len(moved), _examples(moved), True))
    repeated = audit.repeated_labels(samples)
    checks.append(("labels in two splits", len(repeated), _examples(repeated), True))
    starts = {split: days[0] for split, days in args.splits.items()}
    for split, count in audit.labels_in_later_splits(samples, starts).items():
        allowed = "" if args.embargo_quarters else "allowed by splits.embargo_quarters: 0"
        checks.append((f"{split}: labels inside a later split", count, allowed, bool(args.embargo_quarters)))
    for splits, count in audit.identical_prompts(datasets).items():
        checks.append((f"identical prompts in {splits}", count, "", False))
    table = pd.DataFrame(checks, columns=["check", "count", "detail", "must_be_zero"])
    failed = table[table["must_be_zero"] & (table["count"] > 0)]
    if len(failed):
        faults = "; ".join(f"{row.check}: {row.count} ({row.detail})" for row in failed.itertuples(index=False))
        raise InputError(f"leak in {args.firm_type}: {faults}. Nothing of this run can be believed: mend it first")
    table.insert(0, "firm_type", args.firm_type)
    write_csv(args.out, table)
    known = table[~table["must_be_zero"]]
    return f"audit_leakage {args.firm_type}: {len(table) - len(known)} checks passed, {len(known)} counts"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        panel=cli.TEXT,
        samples=cli.FILES,
        datasets=cli.FILES,
        predictions=cli.FILES,
        tickers={"default": "", "help": "CSV permno,ticker,company"},
        firm_type=cli.TEXT,
        settings=cli.settings_option(PromptSettings),
        style=cli.JSON,
        splits={**cli.JSON, "help": "first and last day by split, null for open"},
        embargo_quarters=cli.INTEGER,
        seed=cli.INTEGER,
        out=cli.TEXT,
    )
