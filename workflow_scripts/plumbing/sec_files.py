"""Download what `panel: sec` is made of from the SEC: `make download-sec`, or this module with `--help`.

The SEC's pages list the files; their names and places have changed over the years, so that the links count. One file
after the other, with a pause, under the name that SEC_USER_AGENT gives, as the SEC asks of programs. A file that is
there and has its checksum is not fetched again, one that broke off goes on where it broke off, and none counts before
every part of its zip has the right checksum. The SEC publishes no digests: `downloads.csv` keeps those of the first
time.
"""

import calendar
import csv
import datetime as dt
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import file_digest, whole_file

AGENT = "SEC_USER_AGENT"
RECORD = "downloads.csv"
COLUMNS = ("file", "bytes", "sha256", "url", "last_modified")
TRIES = 5
# The SEC allows ten requests a second; seconds.
PAUSE = 0.5
LONGEST_WAIT = 600
TIMEOUT = 60
CHUNK = 2**20
SITE = "https://www.sec.gov"
MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr)}


@dataclass(frozen=True)
class Source:
    """A page with links to files: those whose name `pattern` matches, whose groups are the first day of a file."""

    page: str
    pattern: str


SOURCES = {
    "form13f": Source(
        f"{SITE}/data-research/sec-markets-data/form-13f-data-sets",
        r"(?:(?P<year>\d{4})q(?P<quarter>[1-4])|(?P<day>\d\d[a-z]{3}\d{4})-\d\d[a-z]{3}\d{4})_form13f\.zip",
    ),
    "fundamentals": Source(
        f"{SITE}/data-research/sec-markets-data/financial-statement-data-sets",
        r"(?P<year>\d{4})q(?P<quarter>[1-4])\.zip",
    ),
    # The half months around a quarter's end: their CUSIPs are those of its positions, and the first day after it has
    # its closing prices.
    "identifiers": Source(
        f"{SITE}/data-research/sec-markets-data/fails-deliver-data",
        r"cnsfails(?P<year>\d{4})(?P<month>(?:03|06|09|12)(?=b)|(?:01|04|07|10)(?=a))[ab](?:_\d)?\.zip",
    ),
}


@dataclass(frozen=True)
class Link:
    """A file of a source and the first day that it is of."""

    name: str
    url: str
    day: dt.date


def links_of(page: str, source: Source) -> list[Link]:
    """The files that a page links, by day; of one name the first link. Links to other sites are left out."""
    found: dict[str, Link] = {}
    site = urllib.parse.urlsplit(source.page).netloc
    for href in re.findall(r"""href\s*=\s*["']([^"']+)["']""", page, re.IGNORECASE):
        url = urllib.parse.urljoin(source.page, href)
        parts = urllib.parse.urlsplit(url)
        name = parts.path.rsplit("/", 1)[-1].lower()
        match = re.fullmatch(source.pattern, name)
        if match and parts.netloc == site and name not in found:
            found[name] = Link(name, url, _first_day(match.groupdict()))
    return sorted(found.values(), key=lambda link: (link.day, link.name))


def _first_day(groups: dict[str, str | None]) -> dt.date:
    if day := groups.get("day"):
        return dt.date(int(day[5:]), MONTHS[day[2:5]], int(day[:2]))
    month = int(groups.get("month") or 3 * int(groups.get("quarter") or 1) - 2)
    return dt.date(int(groups["year"] or 0), month, 1)


class Client:
    """Requests to one site, one at a time, with a pause before each but the first."""

    def __init__(self, agent: str, pause: float = PAUSE):
        if "@" not in agent:
            raise InputError(
                f"the SEC asks every program for a name and an address: {AGENT}='Jane Doe jane@university.edu'"
            )
        self._agent, self._pause, self._last = agent, pause, 0.0

    def _open(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        time.sleep(max(0.0, self._last + self._pause - time.monotonic()))
        self._last = time.monotonic()
        request = urllib.request.Request(url, headers={"User-Agent": self._agent, **headers})
        return urllib.request.urlopen(request, timeout=TIMEOUT)

    def text(self, url: str) -> str:
        """A page; InputError where there is none."""
        for attempt in range(TRIES):
            try:
                with self._open(url, {}) as response:
                    return response.read().decode("utf-8", "replace")
            except (OSError, http.client.HTTPException) as error:
                self._wait(url, error, attempt)
        raise AssertionError("the last attempt raises")

    def _wait(self, url: str, error: Exception, attempt: int) -> None:
        """Wait before the next attempt; InputError where there is none, or another one would end the same way."""
        code = getattr(error, "code", None)
        if code == 403:
            raise InputError(
                f"{url}: refused (403); {AGENT} must have a name and an address, and after too many requests the SEC "
                "answers nobody for ten minutes"
            ) from error
        if (code is not None and code < 500 and code not in (408, 416, 429)) or attempt + 1 == TRIES:
            raise InputError(f"{url}: not to be had ({error}); run the same command again") from error
        told = getattr(error, "headers", None) and error.headers.get("Retry-After", "")  # type: ignore[attr-defined]
        seconds = float(told) if told and told.isdecimal() else self._pause * 4**attempt
        time.sleep(min(seconds, LONGEST_WAIT))

    def fetch(self, url: str, path: Path) -> str:
        """Download a file to `path`, going on where an earlier attempt broke off; returns its Last-Modified.

        InputError where it cannot be had, or is no whole zip (or JSON).
        """
        part, mark = (path.with_name(f".{path.name}.{kind}") for kind in ("part", "mark"))
        for attempt in range(TRIES):
            try:
                modified = self._go_on(url, part, mark)
                if fault := fault_of(part, path.name):
                    part.unlink()
                    raise ConnectionError(f"not whole: {fault}")
                break
            except (OSError, http.client.HTTPException) as error:
                self._wait(url, error, attempt)
        os.replace(part, path)
        mark.unlink(missing_ok=True)
        return modified

    def _go_on(self, url: str, part: Path, mark: Path) -> str:
        """Add to `part` what it lacks; `mark` says of which state of the file it is. OSError where that breaks off."""
        have = part.stat().st_size if part.is_file() and mark.is_file() else 0
        state = mark.read_text() if have else ""
        # A file that the SEC has since replaced comes whole.
        headers = {"Range": f"bytes={have}-", "If-Range": state} if have and state else {}
        try:
            response = self._open(url, headers)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                part.unlink()
            raise
        with response:
            goes_on = response.status == 206
            if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink()
                raise ConnectionError("the server sent another part than asked for")
            mark.write_text(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")
            with part.open("ab" if goes_on else "wb") as file:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                left = response.length
            if left:
                raise ConnectionError(f"broke off with {left:,} bytes missing")
            return response.headers.get("Last-Modified", "")


def fault_of(path: Path, name: str) -> str:
    """What is wrong with a zip, each part of which has a checksum, or a JSON file; empty where it is whole."""
    try:
        if name.endswith(".json"):
            json.loads(path.read_bytes())
            return ""
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() or ""
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        return str(error) or "damaged"


def read_record(folder: Path) -> dict[str, dict[str, str]]:
    """What was downloaded into a folder, by name; empty where nothing was."""
    if not (folder / RECORD).is_file():
        return {}
    with (folder / RECORD).open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def _write_record(folder: Path, record: dict[str, dict[str, str]]) -> None:
    with whole_file(folder / RECORD) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(record[name] for name in sorted(record))


def download(client: Client, links: Sequence[Link], folder: Path) -> tuple[int, list[str]]:
    """Fetch the files that are not there, and what to say of those that cannot be had.

    A file that no longer has the checksum that it was recorded with is fetched again. One that is there without a
    record, the user's own, is recorded if it is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record, fetched = read_record(folder), 0
    faults: list[str] = []
    for link in links:
        path, modified = folder / link.name, ""
        digest = file_digest(path) if path.is_file() else ""
        known = record.get(link.name, {}).get("sha256")
        if digest and digest == known:
            continue
        if known or not digest or fault_of(path, link.name):
            try:
                modified = client.fetch(link.url, path)
            except InputError as error:
                faults.append(str(error))
                continue
            fetched += 1
            again = ", again: it was not what was downloaded" if digest else ""
            print(f"{link.name}: {path.stat().st_size:,} bytes{again}", flush=True)
        values = (link.name, str(path.stat().st_size), file_digest(path), link.url, modified)
        record[link.name] = dict(zip(COLUMNS, values, strict=True))
        _write_record(folder, record)
    return fetched, faults


def main(args: Namespace) -> str:
    """Download to `--folder`/{form13f, fundamentals, identifiers} what is of the days from `--since` to `--until`."""
    client = Client(os.environ.get(AGENT, ""))
    since, until = (dt.date.fromisoformat(day) for day in (args.since, args.until))
    fetched = 0
    faults: list[str] = []
    for what in args.what:
        source = SOURCES[what]
        links = links_of(client.text(source.page), source)
        if not links:
            raise InputError(f"{source.page}: links no file such as {source.pattern}; has the SEC moved them?")
        links = [link for link in links if since <= link.day <= until]
        if what == "identifiers":
            links.append(Link("company_tickers.json", f"{SITE}/files/company_tickers.json", since))
        print(f"{what}: {len(links)} files", flush=True)
        number, found = download(client, links, Path(args.folder) / what)
        fetched += number
        faults += found
    if faults:
        raise InputError("\n".join(faults))
    return f"download-sec: {fetched} files fetched, all others are there"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        folder={"default": "data/raw/sec"},
        what={"nargs": "+", "choices": list(SOURCES), "default": list(SOURCES)},
        since={"default": "2013-04-01"},
        until={"default": dt.date.max.isoformat()},
    )
