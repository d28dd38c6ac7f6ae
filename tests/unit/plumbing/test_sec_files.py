"""The download command, against a server on this machine: resumed, checked, polite. Nothing is fetched from the SEC."""

import datetime as dt
import io
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from workflow_scripts.plumbing import sec_files
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import file_digest
from workflow_scripts.plumbing.sec_files import SOURCES, Client, Link, Source, download, links_of, read_record

AGENT = "Jane Doe jane@university.edu"


def zip_bytes(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("INFOTABLE.tsv", text * 5000)
    return content.getvalue()


class Server:
    """Serves `files` by path; `faults` happen to the next answers: a status, or "cut" (half of what is asked for)."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.faults: list = []
        self.asked: list[tuple[str, str]] = []
        self.agents: set[str] = set()
        self.times: list[float] = []
        self.version = 1
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                outer.answer(self)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, request):
        self.times.append(time.monotonic())
        self.agents.add(request.headers.get("User-Agent", ""))
        asked = request.headers.get("Range", "")
        self.asked.append((request.path, asked))
        fault = self.faults.pop(0) if self.faults else None
        content = self.files.get(request.path)
        if isinstance(fault, int) or content is None:
            request.send_response(fault if isinstance(fault, int) else 404)
            request.send_header("Retry-After", "0")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        tag = f'"{self.version}"'
        begin = int(asked[6:-1]) if asked and request.headers["If-Range"] == tag else 0
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        part = content[begin:]
        request.send_header("ETag", tag)
        request.send_header("Last-Modified", "Thu, 15 Feb 2024 12:00:00 GMT")
        request.send_header("Content-Length", str(len(part)))
        request.end_headers()
        request.wfile.write(part[: len(part) // 2] if fault == "cut" else part)
        request.close_connection = True


@pytest.fixture
def server():
    one = Server()
    one.files["/a.zip"] = zip_bytes("one row\n")
    yield one
    one.http.shutdown()
    one.http.server_close()


def fetched(server, folder, names=("a.zip",), pause=0.01):
    links = [Link(name, f"{server.url}/{name}", dt.date(2024, 1, 1)) for name in names]
    return download(Client(AGENT, pause), links, folder)


def test_a_file_is_fetched_once_and_recorded(server, tmp_path):
    assert fetched(server, tmp_path) == (1, [])
    assert (tmp_path / "a.zip").read_bytes() == server.files["/a.zip"]
    record = read_record(tmp_path)["a.zip"]
    assert record["sha256"] == file_digest(tmp_path / "a.zip")
    assert record["last_modified"].startswith("Thu, 15 Feb 2024")
    assert fetched(server, tmp_path) == (0, [])
    assert len(server.asked) == 1, "the second time nothing is asked for"
    assert server.agents == {AGENT}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "downloads.csv"]


def test_what_broke_off_goes_on_where_it_broke_off(server, tmp_path):
    server.faults = ["cut", 503, "cut", None]
    assert fetched(server, tmp_path) == (1, [])
    size = len(server.files["/a.zip"])
    begins = [int(asked[6:-1]) if asked else 0 for _, asked in server.asked]
    assert begins == [0, size // 2, size // 2, size // 2 + (size - size // 2) // 2]
    assert (tmp_path / "a.zip").read_bytes() == server.files["/a.zip"]


def test_a_later_command_goes_on_and_a_file_that_changed_meanwhile_comes_whole(server, tmp_path):
    """Two halves of two states of a file would be a zip that nobody published."""
    server.faults = ["cut", *[500] * 4]
    number, [fault] = fetched(server, tmp_path)
    assert number == 0
    assert "run the same command again" in fault
    assert not (tmp_path / "a.zip").exists(), "a part is no file of that name"
    server.files["/a.zip"] = zip_bytes("another row\n")
    server.version = 2
    assert fetched(server, tmp_path) == (1, [])
    assert (tmp_path / "a.zip").read_bytes() == server.files["/a.zip"]
    assert server.asked[-1][1].startswith("bytes="), "it had asked for the rest"


def test_a_file_that_is_not_whole_does_not_count(server, tmp_path):
    whole = server.files["/a.zip"]
    server.files["/a.zip"] = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    number, [fault] = fetched(server, tmp_path)
    assert number == 0
    assert "not whole: INFOTABLE.tsv" in fault
    assert not list(tmp_path.glob("*.zip"))


def test_files_that_are_there_are_checked(server, tmp_path):
    """The user's own download counts if it is whole; one that has changed since it was recorded is fetched again."""
    (tmp_path / "a.zip").write_bytes(server.files["/a.zip"])
    assert fetched(server, tmp_path) == (0, [])
    (tmp_path / "a.zip").write_bytes(b"cut")
    assert fetched(server, tmp_path) == (1, [])
    (tmp_path / "downloads.csv").unlink()
    (tmp_path / "a.zip").write_bytes(b"cut")
    assert fetched(server, tmp_path) == (1, [])
    assert (tmp_path / "a.zip").read_bytes() == server.files["/a.zip"]


def test_one_file_that_is_missing_does_not_keep_the_others(server, tmp_path):
    server.files["/c.json"] = b'{"0": {"ticker": "A"}}'
    number, [fault] = fetched(server, tmp_path, ["b.zip", "a.zip", "c.json"])
    assert number == 2
    assert "/b.zip: not to be had (HTTP Error 404" in fault
    assert [path for path, _ in server.asked].count("/b.zip") == 1, "asking again would not help"


def test_requests_come_one_by_one_with_a_pause(server, tmp_path):
    for name in ("b.zip", "c.zip"):
        server.files[f"/{name}"] = server.files["/a.zip"]
    fetched(server, tmp_path, ["a.zip", "b.zip", "c.zip"], pause=0.15)
    gaps = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
    assert min(gaps) > 0.14
    assert sec_files.PAUSE >= 0.1, "ten requests a second are the most that the SEC allows"


def test_a_refusal_says_why_and_is_not_repeated(server, tmp_path):
    server.faults = [403]
    _, [fault] = fetched(server, tmp_path)
    assert "SEC_USER_AGENT must have a name and an address" in fault
    assert len(server.asked) == 1


@pytest.mark.parametrize("agent", ["", "python"])
def test_without_a_name_nothing_is_asked(agent):
    with pytest.raises(InputError, match=r"SEC_USER_AGENT='Jane Doe jane@university.edu'"):
        Client(agent)


PAGE = """
<a href="/files/structureddata/data/form-13f-data-sets/01mar2026-31may2026_form13f.zip">2026</a>
<a HREF='/files/datastandardsinnovation/data/form-13f-data-sets/01jan2024-29feb2024_form13f.zip'>2024</a>
<a href="/files/structureddata/data/form-13f-data-sets/2023q4_form13f.zip">2023</a>
<a href="https://www.sec.gov/files/again/2023q4_form13f.zip">again</a>
<a href="https://example.com/2023q3_form13f.zip">elsewhere</a> <a href="/files/../../2023q2_form13f.zip.exe">x</a>
<a href="/files/2023q4.zip">statements</a> <a href="/x/cnsfails202212b.zip"> <a href="/x/cnsfails202301a_0.zip">
<a href="/x/cnsfails202301b.zip"> <a href="/x/cnsfails202302a.zip">
"""


def test_links_count_wherever_the_sec_has_put_the_files():
    found = {what: links_of(PAGE, source) for what, source in SOURCES.items()}
    assert [link.name for link in found["form13f"]] == [
        "2023q4_form13f.zip", "01jan2024-29feb2024_form13f.zip", "01mar2026-31may2026_form13f.zip",
    ]  # fmt: skip
    assert [link.day for link in found["form13f"]] == [dt.date(2023, 10, 1), dt.date(2024, 1, 1), dt.date(2026, 3, 1)]
    assert found["form13f"][1].url.startswith("https://www.sec.gov/files/datastandardsinnovation/")
    assert [link.name for link in found["fundamentals"]] == ["2023q4.zip"]
    assert [link.name for link in found["identifiers"]] == ["cnsfails202212b.zip", "cnsfails202301a_0.zip"]


def test_the_command_fetches_what_the_page_links_for_the_days_asked_for(server, tmp_path, monkeypatch):
    server.files["/page"] = b'<a href="/d/2023q4_form13f.zip">a</a> <a href="/d/2013q2_form13f.zip">b</a>'
    server.files["/d/2023q4_form13f.zip"] = zip_bytes("x")
    monkeypatch.setattr(sec_files, "SOURCES", {"form13f": Source(f"{server.url}/page", SOURCES["form13f"].pattern)})
    monkeypatch.setenv("SEC_USER_AGENT", AGENT)
    days = {"since": "2020-01-01", "until": "2024-12-31"}
    args = sec_files.Namespace(folder=str(tmp_path), what=["form13f"], **days)
    assert sec_files.main(args) == "download-sec: 1 files fetched, all others are there"
    assert [path.name for path in (tmp_path / "form13f").glob("*.zip")] == ["2023q4_form13f.zip"]
    server.files["/page"] = b"<html>We have moved</html>"
    with pytest.raises(InputError, match=r"links no file such as .* has the SEC moved them"):
        sec_files.main(args)
