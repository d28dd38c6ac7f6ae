"""Which files of the user's a panel is made of, beside the zips; apart, because the plan of every run asks."""

from pathlib import Path


def identifier_files(folder: str | Path) -> list[Path]:
    """The files of a folder that `read_identifiers` looks at, by name."""
    patterns = ("cnsfails*.zip", "cnsfails*.txt", "company_tickers*.json", "*.csv", "*.csv.gz")
    return sorted({path for pattern in patterns for path in Path(folder).glob(pattern)})


def fundamental_files(source: str | Path) -> list[Path]:
    """The data sets of a folder, by name, or the one CSV."""
    source = Path(source)
    return sorted(source.glob("*q[1-4].zip")) if source.is_dir() else [source] * source.is_file()
