"""What the probes show for each stage of one firm type: statistics with intervals, and what they mean.

Steps: facts of the probed windows from the sample → forecasts, recalled positions, named stocks and ranks of each
stage → estimates clustered by quarter and by manager → findings after Holm's correction over the table.
"""

import datetime as dt
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.holdings.evaluation.probes import Asked, StageAnswers, probe_table, remembering, stage_found
from workflow_scripts.holdings.texts.targets import TargetName, target_of
from workflow_scripts.holdings.windows.labels import label_arrays
from workflow_scripts.holdings.windows.lags import lagged
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_csv, read_jsonl, read_table, write_csv


@dataclass(frozen=True)
class Settings:
    """What was asked for, how close a recalled position must be, the confidence, the model's knowledge cut-off."""

    target: TargetName
    think: bool
    close: float
    confidence: float
    knowledge_cutoff: str | None


def main(args: Namespace) -> str:
    """Write the table to `--out`. A stage is named as its files."""
    if not args.predictions:
        raise InputError("there is no model to probe; name one in evaluation.stages or adapters")
    settings, (questions, ranked) = args.settings, map(read_jsonl, args.probes)
    sample = read_table(args.sample)
    known = label_arrays(sample)
    columns = {name: sample[name].to_numpy() for name in ("quarter", "mgrno")}
    columns |= {"me": sample[lagged("me", 0)].to_numpy(), "truth": known[target_of(settings.target).label]}
    facts = pd.DataFrame(known | columns, index=sample["window_id"].to_pylist())
    # Windows of which the questions ask, in their order.
    facts = facts.loc[list(dict.fromkeys(row["window"] for row in questions))]
    cutoff = settings.knowledge_cutoff
    asked = Asked(settings.target, settings.think, settings.close, cutoff and dt.date.fromisoformat(cutoff))
    found = {}
    for completions, probabilities, forecasts in zip(
        args.completions, args.log_probabilities, args.predictions, strict=True
    ):
        answers = StageAnswers(
            read_csv(forecasts).set_index("window_id")["predicted_delta"],
            read_jsonl(completions),
            read_jsonl(probabilities),
        )
        found[Path(forecasts).stem] = stage_found(questions, ranked, answers, facts, asked)
    table = probe_table(found, settings.confidence)
    table.insert(0, "firm_type", args.firm_type)
    write_csv(args.out, table)
    stages = ", ".join(remembering(table)) or "no stage"
    return f"score_probes {args.firm_type}: memory of the test windows shown for {stages}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        sample=cli.TEXT,
        probes={**cli.FILES, "help": "the questions and the sets of answers, by build_probes"},
        completions=cli.OPTIONAL_FILES,
        log_probabilities=cli.OPTIONAL_FILES,
        predictions=cli.OPTIONAL_FILES,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
