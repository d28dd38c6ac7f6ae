"""Answers of a model as it wrote them: where it beat no change by most, a usual one, where it lost most, one unread."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.holdings.report.numbers import decimals_of, number
from workflow_scripts.plumbing.files import iterate_jsonl, read_csv

GAINED, USUAL, LOST, UNREAD = (
    "beat no change by most",
    "a usual one",
    "lost most to no change",
    "no number could be read",
)
DATASET_COLUMNS = ("window_id", "holding_t", "messages")


@dataclass(frozen=True)
class Sample:
    """An answer: why it is shown, of which window, what was asked and written, and how far it is from the truth."""

    firm_type: str
    kind: str
    window_id: str
    messages: Sequence[tuple[str, str]]
    completion: str
    outcome: str


@dataclass(frozen=True)
class Answered:
    """The files of a firm type's answers by one model: what was asked, written and read."""

    firm_type: str
    dataset: Path
    completions: Path
    predictions: Path


def chosen_windows(truth: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, str]:
    """Kind -> window_id of the answers to show; at most one of each kind, no window twice.

    `truth` has window_id, holding_t and truth ($ million), `predictions` window_id, predicted_delta and parsed. The
    gain on no change is |truth| - |error| over the position; windows without a position or a truth are not chosen for
    it. Equal gains: the first window_id.
    """
    table = predictions.merge(truth, on="window_id", validate="one_to_one").sort_values("window_id")
    read = table[table["parsed"].astype(bool) & table["truth"].notna() & (table["holding_t"] > 0)].copy()
    error = (read["predicted_delta"] - read["truth"]).abs()
    gain = (read["truth"].abs() - error) / read["holding_t"]
    found: dict[str, str] = {}
    if len(read):
        if gain.max() > 0:
            found[GAINED] = read["window_id"][gain.idxmax()]
        order = gain.sort_values(kind="stable").index
        found[USUAL] = read["window_id"][order[len(order) // 2]]
        if gain.min() < 0:
            found[LOST] = read["window_id"][gain.idxmin()]
    unread = table["window_id"][~table["parsed"].astype(bool)]
    if len(unread):
        found[UNREAD] = unread.iloc[0]
    # Of few windows one can be two of these.
    return {kind: name for i, (kind, name) in enumerate(found.items()) if name not in list(found.values())[:i]}


def _outcome(row: pd.Series) -> str:
    """The forecast beside the truth and the position."""
    values = [row["predicted_delta"], row["truth"], row["holding_t"]]
    decimals = max(decimals_of([value]) for value in values)
    forecast, truth, position = (number(value, decimals) for value in values)
    said = f"forecast {forecast}" if forecast else "no forecast, counted as 0"
    return f"{said}, truth {truth or 'unknown'}, position {position} ($ million)"


def sample_answers(files: Answered, label: str) -> Iterator[Sample]:
    """The chosen answers of a firm type; `label` is the dataset's column with the true change that was asked for."""
    truth = pd.DataFrame(
        [
            (row["window_id"], row["holding_t"], row[label])
            for row in iterate_jsonl(files.dataset, (*DATASET_COLUMNS, label))
        ],
        columns=["window_id", "holding_t", "truth"],
    ).astype({"truth": float})
    predictions = read_csv(files.predictions)[["window_id", "predicted_delta", "parsed"]]
    kinds = chosen_windows(truth, predictions)
    wanted = set(kinds.values())
    asked = {row["window_id"]: row["messages"] for row in iterate_jsonl(files.dataset) if row["window_id"] in wanted}
    written: dict[str, str] = {}
    for row in iterate_jsonl(files.completions, ("window_id", "completion")):
        if row["window_id"] in wanted:
            written.setdefault(row["window_id"], row["completion"])
    facts = predictions.merge(truth, on="window_id").set_index("window_id").replace({None: np.nan})
    for kind, name in kinds.items():
        # What the dataset teaches is no part of the question.
        messages = [(one["role"], one["content"]) for one in asked[name] if one["role"] != "assistant"]
        yield Sample(files.firm_type, kind, name, messages, written.get(name, ""), _outcome(facts.loc[name]))
