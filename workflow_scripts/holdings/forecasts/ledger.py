"""The ledger of published forecasts: a line each, none of which can be changed, taken out or moved without notice.

`ledger.csv` is append-only. Each line holds the digest of the line before (`previous`) and of itself (`digest`), a hash
chain as in Haber and Stornetta (1991, How to time-stamp a digital document). Each forecast file is kept under its
digest in `forecasts/`, read-only. Neither is an output of a rule: Snakemake deletes outputs before it makes them again.
What a chain cannot show is a ledger that was made anew as a whole, files included; a copy of its last digest in other
hands can.
"""

import datetime as dt
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow_scripts.holdings.panel.quarters import label_ids, quarter_starts
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import file_digest, whole_file, write_text

LEDGER, KEPT = "ledger.csv", "forecasts"
COLUMNS = (
    "line",
    "made_at_utc",
    "firm_type",
    "quarter",
    "quarter_forecast",
    "windows",
    "rows",
    "data_digest",
    "model_digests",
    "forecast_digest",
    "version",
    "previous",
    "digest",
)
HEADER = ",".join(COLUMNS)
# Form 13F is due so many days after the quarter's end.
FILING_DAYS = 45
REMEDY = "the record is no longer what it was; put the file back from a copy"

Line = dict[str, str]


@dataclass(frozen=True)
class Published:
    """A forecast file, and what the ledger says of it beside time and digests of the chain."""

    path: Path
    firm_type: str
    quarter: str
    quarter_forecast: str
    windows: int
    rows: int
    data_digest: str
    model_digests: Mapping[str, str]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_ledger(folder: str | Path) -> list[Line]:
    """The lines of a run's ledger, none where there is no ledger; InputError naming the line where the chain breaks."""
    path = Path(folder) / LEDGER
    if not path.is_file():
        return []
    header, *rows, end = path.read_text(encoding="utf-8").split("\n")
    if header != HEADER or end:
        number = 1 if header != HEADER else len(rows) + 2
        raise InputError(f"{path}: line {number} is not as the workflow wrote it: {REMEDY}")
    lines, previous = [], _digest(HEADER)
    for number, row in enumerate(rows, start=2):
        cells = row.split(",")
        line = dict(zip(COLUMNS, cells, strict=False))
        if len(cells) != len(COLUMNS) or line["digest"] != _digest(row.rpartition(",")[0]):
            raise InputError(f"{path}: line {number} was edited, its digest is not that of its text: {REMEDY}")
        if line["previous"] != previous:
            raise InputError(
                f"{path}: line {number} does not follow the line before it; a line was taken out, put in or moved: "
                f"{REMEDY}"
            )
        previous = line["digest"]
        lines.append(line)
    return lines


def kept_name(line: Mapping[str, str]) -> str:
    """The file name under which a line's forecast is kept."""
    return f"{line['firm_type']}.{line['quarter_forecast']}.{line['forecast_digest']}.csv"


def check_kept(folder: str | Path, lines: Sequence[Line]) -> None:
    """InputError where a forecast is not as its line says, or where one is kept that no line names.

    The last is how it shows that lines were taken off the end.
    """
    ledger, kept = Path(folder) / LEDGER, Path(folder) / KEPT
    for number, line in enumerate(lines, start=2):
        path = kept / kept_name(line)
        if not path.is_file():
            raise InputError(f"{ledger}: line {number}: {path} is missing: {REMEDY}")
        if file_digest(path) != line["forecast_digest"]:
            raise InputError(f"{ledger}: line {number}: {path} was edited, its digest is another: {REMEDY}")
    unnamed = sorted({path.name for path in kept.glob("*.csv")} - {kept_name(line) for line in lines})
    if unnamed:
        raise InputError(
            f"{ledger}: line {len(lines) + 2} is missing, {kept / unnamed[0]} was published and no line names it: "
            f"{REMEDY}"
        )


def publish(folder: str | Path, forecasts: Sequence[Published], made_at: dt.datetime, version: str) -> list[Line]:
    """Append a line per forecast that the ledger does not have yet and keep its file; returns the new lines.

    The caller holds the folder, so that nobody else writes meanwhile. The same file of the same quarter adds no line.
    Raises InputError where the ledger or a kept file was changed; nothing is written then.
    """
    folder = Path(folder)
    lines, new = read_ledger(folder), []
    for forecast in forecasts:
        previous = lines[-1]["digest"] if lines else _digest(HEADER)
        line = _line(forecast, len(lines) + 1, f"{made_at:%Y-%m-%dT%H:%M:%SZ}", version, previous)
        if kept_name(line) not in map(kept_name, lines):
            new.append((line, forecast.path))
            lines.append(line)
        elif not (folder / KEPT / kept_name(line)).is_file():
            # A job was killed after it had written the line; the file is the same, its digest says so.
            _keep(forecast.path, folder / KEPT / kept_name(line))
    check_kept(folder, lines[: len(lines) - len(new)])
    if new:
        write_text(folder / LEDGER, "\n".join([HEADER, *(",".join(line.values()) for line in lines), ""]))
    for line, path in new:
        _keep(path, folder / KEPT / kept_name(line))
    return [line for line, _ in new]


def _line(forecast: Published, number: int, made_at: str, version: str, previous: str) -> Line:
    cells = (
        number,
        made_at,
        forecast.firm_type,
        forecast.quarter,
        forecast.quarter_forecast,
        forecast.windows,
        forecast.rows,
        forecast.data_digest,
        " ".join(f"{name}={digest}" for name, digest in forecast.model_digests.items()),
        file_digest(forecast.path),
        version,
        previous,
    )
    text = ",".join(map(str, cells))
    return dict(zip(COLUMNS, [*map(str, cells), _digest(text)], strict=True))


def _keep(source: Path, target: Path) -> None:
    with whole_file(target) as temporary:
        shutil.copyfile(source, temporary)
        temporary.chmod(0o444)


def filings_due(quarter: str) -> dt.date:
    """The day on which the filings of a quarter are due, FILING_DAYS after its end.

    >>> filings_due("2021Q4")
    datetime.date(2022, 2, 14)
    """
    end = quarter_starts(label_ids([quarter]) + 1)[0] - np.timedelta64(1, "D")
    return (end + np.timedelta64(FILING_DAYS, "D")).astype(object)


def marks(lines: Sequence[Line]) -> list[dict[str, bool]]:
    """Of each line: `is_first`, whether it is its quarter's and firm type's first, and `made_before_filings`."""
    seen: set[tuple[str, str]] = set()
    found = []
    for line in lines:
        key = line["firm_type"], line["quarter_forecast"]
        made = dt.date.fromisoformat(line["made_at_utc"][:10])
        early = made < filings_due(line["quarter_forecast"])
        found.append({"is_first": key not in seen, "made_before_filings": early})
        seen.add(key)
    return found
