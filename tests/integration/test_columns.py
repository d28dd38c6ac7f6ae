"""docs/columns.md has every column of every table that a run writes, and no other."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from workflow_scripts.holdings.report.dictionary import COLUMNS, column_of_data, without_k
from workflow_scripts.plumbing.code_digest import ROOT

PAGE = ROOT / "docs/columns.md"
# Files of Snakemake and of the store, which are no results.
LEFT_OUT = ("store", "logs", "benchmarks")
# Their columns are those of the tables; all other files hold data, and names mean there what they mean in the panel.
TABLES = ("evaluation", "summary", "audit", "preflight")
HEAD = """# Columns

Every column of every parquet, CSV and JSONL below `results/<run>/`. A test writes this page from what a run has made
(`python -m pytest tests/integration/test_columns.py --update-golden`) and the sentences of
`workflow_scripts/holdings/report/dictionary.py`; `summary/data_dictionary.csv` of a run has the same for its tables.
Rewards are those of the demo; each has its columns in the logs.
"""


def columns_of(path: Path) -> list[str]:
    """All columns of a file; rows of a JSONL can have different ones."""
    if path.suffix == ".parquet":
        return pq.read_schema(path).names
    if path.suffix == ".csv":
        return list(pd.read_csv(path, nrows=0).columns)
    return list(dict.fromkeys(key for line in path.read_text().splitlines() for key in json.loads(line)))


def described(name: str, columns: list[str]) -> Iterator[str]:
    is_table = name.split("/")[-2] in TABLES
    yield from ("| column | unit | meaning |", "|---|---|---|")
    for column in columns:
        # A table may show columns of the data beside its own.
        described = COLUMNS.get(without_k(column)) if is_table else None
        unit, meaning = described or column_of_data(column)
        yield f"| `{column}` | {unit} | {meaning.replace('|', '&#124;')} |"


def page(results: Path) -> str:
    """A table per set of columns, headed by the files of one folder that have it."""
    files: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        if path.suffix in (".parquet", ".csv", ".jsonl") and name.parts[0] not in LEFT_OUT:
            folder = str(name.parent).replace("mutual_funds", "{firm_type}").replace("banks", "{firm_type}")
            shown = name.name.replace("mutual_funds", "{firm_type}").replace("banks", "{firm_type}")
            names = files.setdefault((folder, tuple(columns_of(path))), [])
            names += [shown] * (shown not in names)
    parts = [HEAD]
    for (folder, columns), names in files.items():
        title = f"`{folder}/`: " + ", ".join(f"`{name}`" for name in names)
        parts.append("\n".join([f"## {title}", "", *described(f"{folder}/x", list(columns)), ""]))
    return "\n".join(parts)


def test_the_page_of_columns_is_that_of_a_run(finished, request):
    """A column more or less in any file, or one without a sentence, fails here."""
    text = page(finished.root / "results/tiny")
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "if intended: python -m pytest tests/integration/test_columns.py --update-golden"
