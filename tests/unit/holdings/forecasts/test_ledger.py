"""The record: a line once written stays as it is, or every command notices."""

import datetime as dt
import os
import stat
import subprocess

import pandas as pd
import pytest

from workflow_scripts.holdings.forecasts.ledger import (
    COLUMNS,
    KEPT,
    LEDGER,
    Published,
    check_kept,
    filings_due,
    kept_name,
    marks,
    publish,
    read_ledger,
)
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import file_digest
from workflow_scripts.plumbing.project_version import project_version

MADE = dt.datetime(2022, 1, 10, 12, 30, tzinfo=dt.UTC)


def forecast(folder, text: str, firm_type: str = "banks") -> Published:
    path = folder / f"{firm_type}.csv"
    path.write_text(text)
    return Published(path, firm_type, "2021Q3", "2021Q4", 2, 4, "d" * 64, {"base": "b1", "sft": "5f"})


@pytest.fixture
def ledger(tmp_path):
    """Three lines: two forecasts of banks, one of others."""
    for text, firm_type in (("one\n", "banks"), ("two\n", "banks"), ("three\n", "other")):
        publish(tmp_path, [forecast(tmp_path, text, firm_type)], MADE, "0.2.0+abc")
    return tmp_path


def read(folder) -> list:
    lines = read_ledger(folder)
    check_kept(folder, lines)
    return lines


def rewrite(folder, change) -> None:
    """Edit the lines below the header."""
    header, *lines = (folder / LEDGER).read_text().splitlines()
    (folder / LEDGER).write_text("\n".join([header, *change(lines)]) + "\n")


def test_a_line_says_what_was_forecast_from_what_and_when(ledger):
    table = pd.read_csv(ledger / LEDGER)
    assert tuple(table.columns) == COLUMNS
    first = table.iloc[0]
    assert (first["line"], first["made_at_utc"], first["firm_type"]) == (1, "2022-01-10T12:30:00Z", "banks")
    assert (first["quarter"], first["quarter_forecast"], first["windows"], first["rows"]) == ("2021Q3", "2021Q4", 2, 4)
    assert (first["model_digests"], first["version"]) == ("base=b1 sft=5f", "0.2.0+abc")
    assert list(table["previous"][1:]) == list(table["digest"][:-1])
    kept = ledger / KEPT / f"banks.2021Q4.{first['forecast_digest']}.csv"
    assert kept.read_text() == "one\n"
    assert file_digest(kept) == first["forecast_digest"]
    assert not stat.S_IMODE(kept.stat().st_mode) & 0o222, "read-only"


def test_the_same_forecast_twice_is_one_line_and_another_one_replaces_none(ledger):
    assert publish(ledger, [forecast(ledger, "one\n")], MADE + dt.timedelta(90), "0.3.0") == []
    assert len(read(ledger)) == 3
    before = (ledger / LEDGER).read_text()
    (new,) = publish(ledger, [forecast(ledger, "four\n")], MADE, "0.2.0")
    assert (ledger / LEDGER).read_text().startswith(before), "append-only"
    assert new["line"] == "4"
    assert len(list((ledger / KEPT).glob("banks.2021Q4.*.csv"))) == 3


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (lambda lines: [lines[0].replace("2022-01-10", "2021-01-10"), *lines[1:]], 2, "was edited"),
        (lambda lines: [*lines[:2], lines[2].replace("other", "banks")], 4, "was edited"),
        (lambda lines: lines[1:], 2, "does not follow"),
        (lambda lines: [lines[0], lines[2]], 3, "does not follow"),
        (lambda lines: [lines[1], lines[0], lines[2]], 2, "does not follow"),
        (lambda lines: lines[:2], 4, "is missing"),
        (lambda lines: [*lines, lines[2]], 5, "does not follow"),
        (lambda lines: [*lines, "x,y"], 5, "was edited"),
    ],
    ids=["edited", "last edited", "first deleted", "one deleted", "moved", "last deleted", "repeated", "forged"],
)
def test_a_ledger_that_was_touched_is_refused_and_nothing_is_written(ledger, change, line, message):
    """By the line's number in the file."""
    rewrite(ledger, change)
    before = (ledger / LEDGER).read_text()
    with pytest.raises(InputError, match=f"ledger.csv: line {line}.*{message}"):
        read(ledger)
    with pytest.raises(InputError, match=f"ledger.csv: line {line}"):
        publish(ledger, [forecast(ledger, "five\n")], MADE, "0.2.0")
    assert (ledger / LEDGER).read_text() == before
    assert len(list((ledger / KEPT).glob("*.csv"))) == 3


def test_a_line_that_is_cut_short_is_refused(ledger):
    path = ledger / LEDGER
    path.write_text(path.read_text()[:-1])
    with pytest.raises(InputError, match="line 4 is not as the workflow wrote it"):
        read(ledger)


def test_a_kept_forecast_that_was_edited_or_deleted_is_refused(ledger):
    kept = ledger / KEPT / kept_name(read_ledger(ledger)[1])
    os.chmod(kept, 0o644)
    kept.write_text("better\n")
    with pytest.raises(InputError, match=f"line 3: .*{kept.name} was edited"):
        publish(ledger, [forecast(ledger, "five\n")], MADE, "0.2.0")
    kept.unlink()
    with pytest.raises(InputError, match=f"line 3: .*{kept.name} is missing"):
        publish(ledger, [forecast(ledger, "five\n")], MADE, "0.2.0")
    # As after a kill between line and file: the digest proves that it is the same forecast.
    assert publish(ledger, [forecast(ledger, "two\n")], MADE, "0.2.0") == []
    assert kept.read_text() == "two\n"
    assert len(read(ledger)) == 3


def test_two_types_at_once_get_a_line_each(tmp_path):
    new = publish(tmp_path, [forecast(tmp_path, "a\n"), forecast(tmp_path, "b\n", "other")], MADE, "0.2.0")
    assert [line["firm_type"] for line in read(tmp_path)] == ["banks", "other"]
    assert new == read(tmp_path)


def test_the_first_forecast_of_a_quarter_is_the_record_and_late_ones_say_so(ledger):
    """Filings of 2021Q4 are due on 14 February 2022: what is made on that day may know some of them."""
    for day, text in ((13, "early\n"), (14, "late\n")):
        publish(ledger, [forecast(ledger, text, "other")], dt.datetime(2022, 2, day, tzinfo=dt.UTC), "0.2.0")
    assert filings_due("2021Q4") == dt.date(2022, 2, 14)
    assert filings_due("2021Q1") == dt.date(2021, 5, 15)
    found = [(one["is_first"], one["made_before_filings"]) for one in marks(read(ledger))]
    assert found == [(True, True), (False, True), (True, True), (False, True), (False, False)]


def test_the_version_names_the_commit_and_whether_it_was_edited(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    assert project_version(tmp_path) == "1.2.3"
    git = ["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x@x.x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    version = project_version(tmp_path)
    assert version.startswith("1.2.3+")
    assert len(version) == len("1.2.3+") + 12
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n# edited\n')
    assert project_version(tmp_path) == f"{version}.edited"
