"""A large file is read once, and again after whatever may have changed its bytes."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from workflow_scripts.plumbing import remembered_digests
from workflow_scripts.plumbing.files import file_digest
from workflow_scripts.plumbing.remembered_digests import content_digest


@pytest.fixture
def readings(tmp_path, monkeypatch):
    """The paths that were read; every file counts as large and at rest."""
    monkeypatch.setattr(remembered_digests, "MEMORY", tmp_path / "memory")
    monkeypatch.setattr(remembered_digests, "SMALL", 0)
    monkeypatch.setattr(remembered_digests, "REST_SECONDS", -1.0)
    paths = []

    def reading(path):
        paths.append(path)
        return file_digest(path)

    monkeypatch.setattr(remembered_digests, "file_digest", reading)
    return paths


def test_a_large_file_is_read_once(tmp_path, readings):
    path = tmp_path / "panel.parquet"
    path.write_bytes(b"one")
    (tmp_path / "link").symlink_to(path)
    assert {content_digest(path), content_digest(path), content_digest(tmp_path / "link")} == {file_digest(path)}
    assert readings == [path], "a link is the same file"


def replace_with_an_older_file(path):
    """As `mv` and `rsync -t` do: same size, an older time of modification."""
    other = path.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, (1, 1))
    os.replace(other, path)


def overwrite_and_set_the_time_back(path):
    """As `cp -p` does: same size, same inode, the same time of modification."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.write(b"two")
    os.utime(path, ns=times)


@pytest.mark.parametrize("change", [replace_with_an_older_file, overwrite_and_set_the_time_back])
def test_other_bytes_are_seen_whatever_the_times_say(tmp_path, readings, change):
    path = tmp_path / "panel.parquet"
    path.write_bytes(b"one")
    before = content_digest(path)
    change(path)
    assert content_digest(path) == file_digest(path) != before


def test_a_touch_and_a_copy_keep_the_digest(tmp_path, readings):
    path = tmp_path / "panel.parquet"
    path.write_bytes(b"one")
    before = content_digest(path)
    path.touch()
    shutil.copyfile(path, tmp_path / "copy")
    assert content_digest(path) == content_digest(tmp_path / "copy") == before
    assert len(readings) == 3, "both were read again, because they might have changed"


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, readings, monkeypatch):
    monkeypatch.setattr(remembered_digests, "REST_SECONDS", 60.0)
    path = tmp_path / "panel.parquet"
    path.write_bytes(b"one")
    content_digest(path)
    assert not remembered_digests.MEMORY.exists(), "a second write within a tick of the clock would go unseen"


def test_small_files_are_read_each_time(tmp_path, readings, monkeypatch):
    monkeypatch.setattr(remembered_digests, "SMALL", 10)
    path = tmp_path / "tickers.csv"
    path.write_bytes(b"one")
    content_digest(path)
    assert not remembered_digests.MEMORY.exists()


def test_a_damaged_memory_is_no_digest(tmp_path, readings):
    path = tmp_path / "panel.parquet"
    path.write_bytes(b"one")
    digest = content_digest(path)
    (memory,) = remembered_digests.MEMORY.iterdir()
    memory.write_bytes(bytes(20))
    assert content_digest(path) == digest
    assert memory.read_text().strip() == digest


def test_a_memory_that_cannot_be_written_costs_time_only(tmp_path, readings, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(remembered_digests, "MEMORY", tmp_path / "file/memory")
    path = tmp_path / "panel.parquet"
    path.write_bytes(b"one")
    assert content_digest(path) == content_digest(path) == file_digest(path)


def test_many_readers_agree(tmp_path, readings):
    path = tmp_path / "panel.parquet"
    path.write_bytes(b"one" * 1000)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(content_digest, [path] * 32)) == {file_digest(path)}
