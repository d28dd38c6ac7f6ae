"""What is said of the filings is written down, and the page has no column that is not there."""

import re

from workflow_scripts.holdings.sec.amendments import STATES
from workflow_scripts.holdings.sec.filing_report import COLUMNS
from workflow_scripts.holdings.sec.units import BY_DAY, BY_HABIT, BY_OWN_PRICES, BY_PRICES
from workflow_scripts.plumbing.code_digest import ROOT


def test_the_page_has_every_column_of_the_filings_and_every_word_in_them():
    page = (ROOT / "data/README.md").read_text()
    table = page[page.index("| column of `sec/filings.csv`") :].split("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(COLUMNS)
    assert f"| {', '.join(STATES)} |" in table
    assert ", ".join((BY_PRICES, BY_OWN_PRICES, BY_HABIT, BY_DAY)) in table
