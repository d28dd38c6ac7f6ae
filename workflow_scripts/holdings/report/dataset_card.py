"""The dataset card beside the JSONL of a firm type: what a person, and `datasets.load_dataset`, must know of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.report.dictionary import column_of_data
from workflow_scripts.holdings.texts.answers import AnswerName
from workflow_scripts.holdings.texts.conversations import DATASET_COLUMNS

TRAINED = {
    "sft": "conversations to imitate: the answer is the label, rounded",
    "grpo": "prompts to answer, without an answer: the label columns pay for it",
    "test": "forecast and scored, never trained on; the answer is the unrounded position at the end of t+1",
}
QUANTILES_TRAINED = {
    "sft": "conversations to imitate: the median is the label, rounded; the width around it is what no change was "
    "wrong by in this split, the same share of every position"
}
# Types of Hugging Face datasets. They are stated because a label can be missing in all rows of a split.
TYPES = {"window_id": "string", "firm_type": "string", "mgrno": "int64", "permno": "int64", "quarter": "int64"}
MESSAGES = {
    "name": "messages",
    "list": [{"name": "role", "dtype": "string"}, {"name": "content", "dtype": "string"}],
}


@dataclass(frozen=True)
class CardFacts:
    """What the card says of the run: the kind of its panel, the target that is asked for and how, its seed."""

    panel: str
    target: str
    seed: int
    answer: AnswerName = "number"


@dataclass(frozen=True)
class SplitFacts:
    """Counts of a split's rows, its first and last quarter, and the SHA-256 of its file."""

    rows: int
    managers: int
    stocks: int
    first_quarter: str
    last_quarter: str
    digest: str


def split_facts(rows: Iterable[Mapping[str, Any]], digest: str) -> SplitFacts:
    """The facts of a split, of at least one row, from the rows of its dataset and the digest of its file."""
    keys = [(row["mgrno"], row["permno"], row["quarter"]) for row in rows]
    managers, stocks, quarters = (set(values) for values in zip(*keys, strict=True))
    first, last = quarter_labels([min(quarters), max(quarters)])
    return SplitFacts(len(keys), len(managers), len(stocks), first, last, digest)


def dataset_card(firm_type: str, facts: CardFacts, splits: Mapping[str, SplitFacts]) -> str:
    """README.md of a folder of datasets: Hugging Face's front matter, how to load it, splits, columns, provenance."""
    columns = ("window_id", "messages", *DATASET_COLUMNS)
    features: list[dict] = [
        MESSAGES if name == "messages" else {"name": name, "dtype": TYPES.get(name, "float64")} for name in columns
    ]
    head = {
        "pretty_name": f"Holdings adjustment, {firm_type.replace('_', ' ')}",
        "license": "other",
        "task_categories": ["text-generation"],
        "tags": ["finance", "form-13f"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"{name}.jsonl"} for name in splits],
            }
        ],
        "dataset_info": {"config_name": "default", "features": features},
    }
    origin = (
        "The panel is simulated, so that nothing here is about a real institution."
        if facts.panel == "simulated"
        else "The panel is the user's own. These texts quote its numbers, so that its licence, such as that of CRSP or "
        "Compustat, holds for them, too: look there before you pass them on."
    )
    asked, trained = f"`{facts.target}`", TRAINED
    if facts.answer == "quantiles":
        asked, trained = f"quantiles of {asked}", TRAINED | QUANTILES_TRAINED
    rows = [
        (name, f"{one.rows:,}", f"{one.first_quarter} to {one.last_quarter}", f"{one.managers:,}", f"{one.stocks:,}",
         trained[name])
        for name, one in splits.items()
    ]  # fmt: skip
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False).strip()}\n---",
        f"# Holdings adjustment, {firm_type.replace('_', ' ')}",
        "What will an institution do with a position next quarter? Each row is a window: the last quarters of one "
        f"manager's position in one stock as a conversation that asks for {asked}, and what came true. Made "
        "by the holdings-adjustment workflow.",
        "## Load it",
        '```python\nfrom datasets import load_dataset\n\nsplits = load_dataset("path/to/this/folder")\n```',
        "## Splits",
        _table(("split", "rows", "quarters t", "managers", "stocks", "what for"), rows),
        "## Columns",
        _table(("column", "unit", "meaning"), [(f"`{name}`", *column_of_data(name)) for name in columns]),
        "The label columns and `holding_t` are for rewards and scores. None of them belongs into a prompt: the prompt "
        "already has what was known at t.",
        "## Where it comes from",
        f"{origin} The windows were sampled with seed {facts.seed}; `config.yaml` of the run has every setting.",
        "\n".join(f"- {name}.jsonl (SHA-256): {one.digest}" for name, one in splits.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "&#124;") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
