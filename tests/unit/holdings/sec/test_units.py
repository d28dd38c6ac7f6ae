"""Dollars or thousands: decided by prices, then by the manager's own filings, then by the day of filing."""

import numpy as np
import pytest

from tests.unit.holdings.sec.hand_made import PRICES, Filing, Row, build, cusip, market, write_zip
from workflow_scripts.holdings.sec.units import medians

OLD = {"filed": "14-NOV-2022", "period": "30-SEP-2022"}
NEW = {"filed": "14-MAY-2024", "period": "31-MAR-2024"}


def filing(cik: int, unit: float, names=tuple(PRICES), shares: int = 1000, **changes) -> Filing:
    """A thousand shares of each stock, reported in `unit`."""
    return Filing(cik, [Row(name, shares, shares * PRICES[name] / unit) for name in names], **changes)


def unit_of(result, cik: int) -> list[tuple[str, str]]:
    rows = result.filings[result.filings["mgrno"] == cik]
    return list(zip(rows["unit"], rows["unit_by"], strict=True))


DOLLARS = {name: (1000, round(1000 * price, 3)) for name, price in PRICES.items()}


@pytest.mark.parametrize(
    ("when", "usual", "unit", "found"),
    [
        (NEW, 1, 1, "dollars"), (NEW, 1, 1000, "thousands"), (OLD, 1000, 1000, "thousands"), (OLD, 1000, 1, "dollars"),
    ],
    ids=["dollars", "still thousands", "thousands", "already dollars"],
)  # fmt: skip
def test_prices_of_the_others_tell_the_unit(tmp_path, when, usual, unit, found):
    """1,844 filers went on in thousands after 2023-01-03, and some reported dollars before."""
    path = write_zip(tmp_path / "a_form13f.zip", [*market(usual, **when), filing(1, unit, **when)])
    result = build([path], tmp_path)
    assert unit_of(result, 1) == [(found, "prices")]
    assert result.held(1) == DOLLARS
    table = result.filings.set_index("mgrno")
    assert table.loc[1, ["priced_cusips", "unit_share", "price_ratio"]].tolist() == [6, 1, 1]


@pytest.mark.parametrize(
    ("filed", "unit", "found"),
    [("31-DEC-2022", 1000, "thousands"), ("02-JAN-2023", 1000, "thousands"), ("03-JAN-2023", 1, "dollars")],
)
def test_the_day_of_filing_counts_and_not_the_period(tmp_path, filed, unit, found):
    """All of these are for 2022Q3; nobody else holds the stock, so that the day alone decides."""
    path = write_zip(tmp_path / "a_form13f.zip", [filing(1, unit, [cusip(1)], filed=filed, period="30-SEP-2022")])
    result = build([path], tmp_path)
    assert unit_of(result, 1) == [(found, "day filed")]
    assert result.held(1) == {cusip(1): (1000, 11000)}


def test_an_amendment_in_dollars_adds_to_an_original_in_thousands(tmp_path):
    """Each filing has a unit of its own: an original of 2022 and its new holdings of 2024 are one quarter's."""
    base = filing(1, 1000, list(PRICES)[:5], **OLD)
    amended = {"form": "13F-HR/A", "amendment": "NEW HOLDINGS", "filed": "14-MAY-2024", "period": OLD["period"]}
    added = filing(1, 1, shares=500, **amended)
    result = build([write_zip(tmp_path / "a_form13f.zip", [*market(1000, **OLD), base, added])], tmp_path)
    assert unit_of(result, 1) == [("thousands", "prices"), ("dollars", "prices")]
    expected = {name: (1.5 * shares, 1.5 * value) for name, (shares, value) in DOLLARS.items()}
    last = list(PRICES)[5]
    assert result.held(1) == expected | {last: (500, DOLLARS[last][1] / 2)}


def test_most_filers_in_thousands_do_not_make_the_others_wrong_in_dollars(tmp_path):
    """The medians start from the day of filing, and are taken again with the units found."""
    rest = [filing(cik, 1000, **NEW) for cik in range(1, 4)]
    result = build([write_zip(tmp_path / "a_form13f.zip", [*market(**NEW), *rest])], tmp_path)
    assert all(result.held(cik) == DOLLARS for cik in range(1, 4))
    assert result.held(902)[cusip(1)] == (2000, 22000)


def test_a_penny_stock_is_not_taken_for_thousands(tmp_path):
    """A rule such as `value / shares below 1` takes $0.17 a share for thousands; too few CUSIPs decide nothing."""
    penny = Filing(1, [Row(cusip(50), 1000, 170)], **NEW)
    with_others = Filing(2, [Row(cusip(50), 1000, 170), *filing(2, 1).rows], **NEW)
    result = build([write_zip(tmp_path / "a_form13f.zip", [*market(**NEW), penny, with_others])], tmp_path)
    assert unit_of(result, 1) == [("dollars", "day filed")]
    assert unit_of(result, 2) == [("dollars", "prices")]
    assert result.held(1) == {cusip(50): (1000, 170)}


def test_few_filers_make_no_price_and_few_cusips_no_decision(tmp_path):
    """Both minimum counts are settings."""
    path = write_zip(tmp_path / "a_form13f.zip", [*market(**NEW), filing(1, 1000, list(PRICES)[:2], **NEW)])
    assert unit_of(build([path], tmp_path / "usual"), 1) == [("dollars", "day filed")]
    assert unit_of(build([path], tmp_path / "two", min_priced_cusips=2), 1) == [("thousands", "prices")]
    many = build([path], tmp_path / "many", min_price_filers=9)
    assert set(many.filings["unit_by"]) == {"day filed"}
    assert many.filings["priced_cusips"].tolist() == [0] * 5


def test_a_managers_own_prices_decide_where_those_of_others_are_too_few(tmp_path):
    """One quarter is decided by others; in the next it holds one of its stocks only, in another unit."""
    first = list(PRICES)[:1]
    zips = [
        write_zip(tmp_path / "a_form13f.zip", [*market(1000, **OLD), filing(1, 1000, **OLD)]),
        write_zip(tmp_path / "b_form13f.zip", [filing(1, 1000, first, filed="13-FEB-2023", period="31-DEC-2022")]),
        write_zip(tmp_path / "c_form13f.zip", [filing(1, 1, first, filed="12-MAY-2023", period="31-MAR-2023")]),
    ]
    result = build(zips, tmp_path)
    assert unit_of(result, 1) == [("thousands", "prices"), ("thousands", "own prices"), ("dollars", "own prices")]
    assert result.held(1, "2022Q4") == result.held(1, "2023Q1") == {cusip(1): (1000, 11000)}


def test_without_a_common_stock_the_managers_habit_decides(tmp_path):
    """It reported thousands although dollars were asked for, and does so in the quarter whose stock nobody knows."""
    unknown = Filing(1, [Row(cusip(70), 1000, 40)], filed="13-AUG-2024", period="30-JUN-2024")
    before = Filing(1, [Row(cusip(71), 1000, 40)], filed="13-AUG-2022", period="30-JUN-2022")
    zips = [write_zip(tmp_path / "a_form13f.zip", [*market(**NEW), filing(1, 1000, **NEW), unknown, before])]
    result = build(zips, tmp_path)
    assert unit_of(result, 1) == [("thousands", "day filed"), ("thousands", "prices"), ("thousands", "own filings")]
    assert result.held(1, "2024Q2") == {cusip(70): (1000, 40000)}


def test_prices_off_by_another_factor_are_said_not_mended(tmp_path):
    """Values a hundred times too small are neither unit; shares are likely right, so the filing stays."""
    path = write_zip(tmp_path / "a_form13f.zip", [*market(**NEW), filing(1, 20, **NEW)])
    result = build([path], tmp_path)
    assert result.held(1)[cusip(1)] == (1000, 550)
    assert "1 filings have prices 10 times off" in result.text
    assert result.filings.set_index("mgrno").loc[1, "price_ratio"] == pytest.approx(0.05)


def test_medians_are_numpys():
    generator = np.random.default_rng(3)
    groups, values = generator.integers(0, 40, 500), generator.normal(size=500)
    groups[groups == 7] = 8
    found, counts = medians(groups, values, 41)
    expected = [np.median(values[groups == g]) if (groups == g).any() else np.nan for g in range(41)]
    np.testing.assert_allclose(found, expected)
    assert counts.sum() == 500
    assert np.isnan(medians(np.empty(0, dtype=int), np.empty(0), 2)[0]).all()
