"""The page of several runs in a real Chromium, as `test_report_page` looks at the report."""

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install brings it")

from tests.integration.test_report_page import WIDTHS, Opened, browser  # noqa: F401
from tests.unit.holdings.evaluation.test_run_comparison import DELTA, FORECASTS
from tests.unit.settings.test_compare_runs import finish, forecasts
from workflow_scripts.settings.compare_runs import Curve, compare

pytestmark = pytest.mark.slow


@pytest.fixture
def page(tmp_path, monkeypatch) -> str:
    """Four runs with long names that differ in three settings, with a curve."""
    monkeypatch.chdir(tmp_path)
    names = [f"a-long-name-of-a-run-model0.5B-windows{number}" for number in (100, 300, 1000, 3000)]
    for number, name in enumerate(names):
        grpo = (1 - 0.2 * number) * FORECASTS["sft"] + 0.2 * number * DELTA
        finish(name, forecasts(grpo), grpo={"learning_rate": 1e-6 * (number + 1), "beta": 0.01 * (number + 1)},
               sample={"sft": {"per_type_limit": 100 * (number + 1)}})  # fmt: skip
    curve = Curve("windows", dict(zip(names, (100, 300, 1000, 3000), strict=True)), dict.fromkeys(names, "model 0.5B"))
    return compare(names, names[0], tmp_path / "out", curve).as_uri()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_page_of_runs_is_as_wide_as_the_screen_and_readable_by_all(browser, page, width):  # noqa: F811
    with Opened(browser, page, width) as opened:
        opened.assert_it_fits(width)
        assert opened.page.evaluate("() => document.images.length") == 2
        assert opened.serious() == []
        opened.assert_it_is_whole()
