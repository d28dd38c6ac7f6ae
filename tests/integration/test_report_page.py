"""The report as a reader's browser shows it: a real headless Chromium, on a screen, on a phone, in the dark, on paper.

Needs Debian's package chromium, which it installs where it is missing (root on Debian), and is skipped elsewhere.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import tiny_config

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install brings it")
Axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe

pytestmark = pytest.mark.slow
CHROMIUM = "/usr/bin/chromium"
# A browser that talks to nobody.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
WIDTHS = {"desk": 1300, "phone": 390}
# A4 less two margins of 14 mm, in pixels of 1/96 inch.
A4_PX = round((210 - 2 * 14) / 25.4 * 96)
SERIOUS = ("serious", "critical")
# Boxes that scroll for themselves are no page that does: they are looked at apart.
TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter(one => !one.closest('.box') &&
  one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(one => one.outerHTML)"""
CUT_TABLES = """() => [...document.querySelectorAll('table')].filter(one =>
  one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(one => one.textContent)"""
SIZES = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
NOT_LOADED = "() => [...document.images].filter(one => !one.complete || !one.naturalWidth || !one.alt).length"
UNFOLD = "() => document.querySelectorAll('details').forEach(one => one.open = true)"


def install_chromium() -> None:
    if Path(CHROMIUM).exists():
        return
    if shutil.which("apt-get") is None or not Path("/etc/debian_version").is_file() or os.geteuid() != 0:
        pytest.skip("no chromium, and this is not root on Debian, where it could be installed")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        found = subprocess.run(["apt-get", *command], capture_output=True, text=True, env=environment)
        if found.returncode:
            pytest.skip(f"chromium cannot be installed: {found.stderr[-300:]}")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    install_chromium()
    with sync_api.sync_playwright() as playwright:
        # A profile of its own each time.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(finished) -> str:
    return finished.results("summary/report.html").as_uri()


class Opened:
    """The page in a window of a width; what the console complained of, and what the page asked for from outside."""

    def __init__(self, browser, address: str, width: int, scheme: str = "light"):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def assert_it_fits(self, width: int) -> None:
        """Folded and unfolded, nothing is wider than the window."""
        for unfold in (False, True):
            if unfold:
                self.page.evaluate(UNFOLD)
            scroll, client = self.page.evaluate(SIZES)
            assert scroll <= client == width
            assert self.page.evaluate(TOO_WIDE) == []

    def assert_it_is_whole(self) -> None:
        """Every figure is there, nothing was complained of, and nothing was asked for from outside."""
        assert self.page.evaluate(NOT_LOADED) == 0
        assert self.errors == []
        assert [one for one in self.asked if not one.startswith(("file:", "data:"))] == []

    def serious(self) -> list[str]:
        """Findings of axe-core that shut readers out."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in SERIOUS]


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_nothing_is_wider_than_the_page(browser, report, width):
    """Folded and unfolded: a wide table scrolls in its box, nothing else moves; every figure is there, with words."""
    with Opened(browser, report, width) as opened:
        opened.assert_it_fits(width)
        assert opened.page.evaluate("() => document.images.length") > 20
        opened.assert_it_is_whole()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, report, scheme):
    """Contrast, names, headings, boxes that scroll by keyboard; everything unfolded."""
    with Opened(browser, report, WIDTHS["desk"], scheme) as opened:
        opened.page.evaluate(UNFOLD)
        assert opened.serious() == []
        back = opened.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (back == "rgb(255, 255, 255)") == (scheme == "light")


def test_axe_is_awake(browser, report):
    """A figure without words, planted, is found."""
    with Opened(browser, report, WIDTHS["desk"]) as opened:
        opened.page.evaluate("() => document.images[0].removeAttribute('alt')")
        assert any("image-alt" in one for one in opened.serious())


def test_a_table_too_wide_would_be_seen(browser, report):
    """A page with a planted line that is too long fails the checks of widths."""
    with Opened(browser, report, WIDTHS["phone"]) as opened:
        opened.page.evaluate("() => { const one = document.querySelector('p'); one.style.width = '50rem';"
                             " one.style.maxWidth = 'none'; one.textContent = 'wide'; }")  # fmt: skip
        assert opened.page.evaluate(TOO_WIDE) != []


def test_paper_cuts_no_table(browser, report, tmp_path):
    """On A4 everything unfolded lies within the margins, and the PDF is whole."""
    with Opened(browser, report, A4_PX) as opened:
        opened.page.evaluate(UNFOLD)
        opened.page.emulate_media(media="print")
        scroll, client = opened.page.evaluate(SIZES)
        assert scroll <= client == A4_PX
        assert opened.page.evaluate(CUT_TABLES) == []
        opened.page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_figure_opens_large_and_closes_again(browser, report):
    with Opened(browser, report, WIDTHS["desk"]) as opened:
        figure = opened.page.locator("figure#answer")
        small = figure.locator("img").bounding_box()
        figure.locator("img").click()
        large = figure.locator("img").bounding_box()
        assert large["width"] > 1.3 * small["width"]
        assert figure.evaluate("one => getComputedStyle(one).position") == "fixed"
        figure.get_by_text("Close").click()
        assert figure.evaluate("one => getComputedStyle(one).position") == "static"


def test_a_table_downloads_as_csv(browser, report):
    with Opened(browser, report, WIDTHS["desk"]) as opened:
        with opened.page.expect_download() as found:
            opened.page.get_by_text("CSV: primary_grpo_capped_relative_MAE").click()
        assert found.value.suggested_filename == "primary_grpo_capped_relative_MAE.csv"
        assert Path(found.value.path()).read_text().startswith("firm_type,baseline,")


def test_the_first_screen_answers(browser, report):
    """Sentences, one figure beside them, the warnings of a toy trained for two steps, and what was run."""
    with Opened(browser, report, WIDTHS["desk"]) as opened:
        answers = opened.page.locator(".answers li")
        assert answers.count() == 5, "three rivals by the error, two by the ranking"
        assert "GRPO" in answers.first.text_content()
        assert opened.page.locator("figure#answer").bounding_box()["y"] < 900
        facts = opened.page.locator("dl.facts").first.text_content()
        assert f"Seed\n{tiny_config().get('seed', 1)}\n" in facts
        assert "no language model" in facts
        assert opened.page.locator("nav a").first.text_content() == "Results by type"
        places = opened.page.evaluate("() => [...document.querySelectorAll('nav a')].map(one => one.hash)")
        assert len(places) == 11
        assert [opened.page.locator(place).count() for place in places] == 11 * [1]
