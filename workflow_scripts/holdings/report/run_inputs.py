"""The files of a run that its summary is made of, found by the ends of their paths."""

from pathlib import Path

import pandas as pd

from workflow_scripts.plumbing.files import read_csv


class Inputs:
    """The files of a run that the summary is made of, in the order given."""

    def __init__(self, paths: list[str]) -> None:
        # A table of the first firm type can stand there twice, once for the dictionary.
        self.paths = [Path(path) for path in dict.fromkeys(paths)]

    def of(self, pattern: str) -> list[Path]:
        """The files whose path ends like `evaluation/metrics.csv` or `samples/*.json`."""
        return [path for path in self.paths if path.match(pattern)]

    def table(self, pattern: str) -> pd.DataFrame:
        """The rows of all these CSV files; no rows, and only the column firm_type, where there are none."""
        tables = [read_csv(path) for path in self.of(pattern)]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["firm_type"])
