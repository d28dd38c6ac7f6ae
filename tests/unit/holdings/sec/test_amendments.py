"""build_sec_positions: which filings count, and whose positions they are."""

import pytest

from tests.unit.holdings.sec.hand_made import Filing, Row, build, cusip, market, write_zip
from workflow_scripts.plumbing.errors import InputError

A, B, C = cusip(1), cusip(2), cusip(3)
BASE = Filing(1, [Row(A, 10, 110), Row(B, 5, 60)], filed="10-MAY-2024")
RESTATED = Filing(1, [Row(A, 11, 121)], "12-MAY-2024", form="13F-HR/A", amendment="RESTATEMENT", number="1")
ADDED = Filing(1, [Row(A, 1, 11), Row(C, 7, 91)], "20-AUG-2025", form="13F-HR/A", amendment="NEW HOLDINGS", number="2")
UNTYPED = Filing(1, [Row(B, 9, 108)], "13-MAY-2024", form="13F-HR/A")
ORIGINAL = Filing(1, [Row(C, 2, 26)], "14-MAY-2024")


@pytest.mark.parametrize(
    ("filings", "expected"),
    [
        ([BASE], {A: 10, B: 5}),
        ([BASE, RESTATED], {A: 11}),
        ([BASE, ADDED], {A: 11, B: 5, C: 7}),
        ([BASE, RESTATED, ADDED], {A: 12, C: 7}),
        ([BASE, UNTYPED], {B: 9}),
        ([BASE, RESTATED, ORIGINAL], {C: 2}),
        ([ADDED], {A: 1, C: 7}),
    ],
    ids=["original", "restatement", "new holdings", "both", "no type", "another original", "new holdings alone"],
)
@pytest.mark.parametrize("spread", [False, True], ids=["in one zip", "in later zips"])
def test_a_restatement_replaces_and_new_holdings_add(tmp_path, filings, expected, spread):
    """Also where the amendment comes years later, in a zip with filings of other quarters, and before it by name."""
    groups = [[one] for one in filings] if spread else [list(reversed(filings))]
    zips = [write_zip(tmp_path / f"{9 - n}_form13f.zip", group) for n, group in enumerate(groups)]
    result = build(sorted(zips), tmp_path)
    assert {name: shares for name, (shares, _) in result.held(1).items()} == expected
    assert result.managers["has_holdings"].tolist() == [filings != [ADDED]], "new holdings alone are not the table"
    assert result.filings["without_base"].tolist() == [filings == [ADDED]] * len(filings)


@pytest.mark.parametrize("first", ["a", "c"], ids=["later zip", "earlier zip"])
def test_a_whole_table_that_is_called_new_holdings_does_not_double_the_manager(tmp_path, first):
    """Positions that stand in the original to the share are left out; one that really is new adds."""
    rows = [Row(cusip(n), 10 * n, 100 * n) for n in range(1, 6)]
    again = Filing(1, [*rows[:4], Row(cusip(5), 7, 70), Row(cusip(6), 5, 50)], "20-MAY-2024", form="13F-HR/A")
    again.amendment = "NEW HOLDINGS"
    chance = [Filing(2, rows), Filing(2, [rows[0], *again.rows[4:]], "20-MAY-2024", form="13F-HR/A")]
    chance[1].amendment = "NEW HOLDINGS"
    zips = [
        write_zip(tmp_path / f"{first}_form13f.zip", [Filing(1, rows), *chance[:1]]),
        write_zip(tmp_path / "b_form13f.zip", [again, *chance[1:]]),
    ]
    result = build(sorted(zips), tmp_path)
    shares = {name: held for name, (held, _) in result.held(1).items()}
    assert shares == {cusip(1): 10, cusip(2): 20, cusip(3): 30, cusip(4): 40, cusip(5): 57, cusip(6): 5}
    assert result.held(2)[cusip(1)] == (20, 200), "one equal number is chance"
    assert "repeated, left out                    4" in result.text


def test_numbers_of_amendments_order_those_of_one_day(tmp_path):
    """Accession numbers do not: an agent's may be lower than the one before."""
    first = Filing(1, [Row(A, 1, 11)], form="13F-HR/A", amendment="RESTATEMENT", number="1", accession="9")
    second = Filing(1, [Row(A, 2, 22)], form="13F-HR/A", amendment="RESTATEMENT", number="2", accession="1")
    original = Filing(1, [Row(A, 3, 33)], accession="A")
    result = build([write_zip(tmp_path / "a_form13f.zip", [second, original, first])], tmp_path)
    assert result.held(1) == {A: (2, 22)}


def test_as_of_gives_what_was_known_on_that_day(tmp_path):
    """A restatement of two days later, and confidential positions of a year later, are not known yet."""
    path = write_zip(tmp_path / "a_form13f.zip", [BASE, RESTATED, ADDED])
    known = {day: build([path], tmp_path / day, as_of=day) for day in ("2024-05-11", "2024-05-12", "2025-08-20")}
    assert [sorted(one.held(1)) for one in known.values()] == [[A, B], [A], [A, C]]
    assert sorted(known["2024-05-11"].filings["state"]) == ["after as_of", "after as_of", "kept"]
    assert known["2025-08-20"].positions["filed"].astype(str).tolist() == ["2025-08-20", "2025-08-20"]
    assert known["2024-05-12"].positions["filed"].astype(str).tolist() == ["2024-05-12"]
    with pytest.raises(InputError, match=r"none counts .*as_of"):
        build([path], tmp_path / "early", as_of="2024-05-09")


def test_a_filing_that_is_in_two_zips_counts_once(tmp_path):
    """The SEC's three months of 2024 and a copy of a zip overlap; the same accession is one filing."""
    zips = [write_zip(tmp_path / f"{name}_form13f.zip", [BASE, ADDED]) for name in "ab"]
    result = build(zips, tmp_path)
    assert result.held(1) == {A: (11, 121), B: (5, 60), C: (7, 91)}
    assert result.filings["state"].value_counts().to_dict() == {"kept": 2, "in another zip": 2}


def test_notices_and_combination_reports_are_told_from_holdings(tmp_path):
    """A notice says that another manager reports the positions: a gap, not an exit. A combination report has a part."""
    notice = Filing(1, form="13F-NT", report="13F NOTICE", stated=(0, 0))
    combination = Filing(2, [Row(A, 1, 11)], report="13F COMBINATION REPORT")
    nothing = Filing(3, stated=(0, 0))
    lost = Filing(4, stated=(12, 5000))
    fixed = Filing(5, [Row(A, 1, 11)])
    cover_only = Filing(5, form="13F-HR/A", amendment="RESTATEMENT", filed="15-MAY-2024")
    filings = [notice, combination, nothing, lost, fixed, cover_only]
    result = build([write_zip(tmp_path / "a_form13f.zip", filings)], tmp_path)
    found = result.managers.set_index("mgrno")
    whole = found["has_holdings"].to_dict()
    assert whole == {1: False, 2: True, 3: True, 5: True}, "3 holds nothing; the table of 4 is lost"
    assert found["is_combination"].to_dict() == {1: False, 2: True, 3: False, 5: False}
    assert result.states() == ["notice", "kept", "kept", "no table", "kept", "no table"]
    assert result.held(5) == {A: (1, 11)}, "an amendment without a table changes none"


def test_a_filing_that_has_each_row_twice_counts_half(tmp_path):
    """Its summary counts half the rows, or half the value. Equal rows are no fault as such: they are two accounts."""
    rows = [Row(cusip(n), 10 * n, 100 * n) for n in range(1, 5)]
    twice = Filing(1, [*rows, *reversed(rows)], stated=(4, 1000))
    by_value = Filing(2, [*rows, *rows], stated=(8, 1000))
    accounts = Filing(3, [*rows, *rows])
    other = Filing(4, [*rows, *rows[:3], Row(cusip(4), 41, 400)], stated=(4, 1000))
    result = build([write_zip(tmp_path / "a_form13f.zip", [twice, by_value, accounts, other])], tmp_path)
    once = {row.cusip: (row.shares, row.value) for row in rows}
    assert result.held(1) == result.held(2) == once
    assert result.held(3) == {name: (2 * shares, 2 * value) for name, (shares, value) in once.items()}
    assert result.held(4)[cusip(4)] == (81, 800), "rows that differ are not the same rows twice"
    assert "2 have each row twice and count half" in result.text


def test_other_managers_of_a_filing_do_not_multiply_its_positions(tmp_path):
    """A filing that names three included managers has its positions once, and those managers have none by it."""
    filing = Filing(1, [Row(A, 10, 110)], included=(2, 3, 4))
    result = build([write_zip(tmp_path / "a_form13f.zip", [filing])], tmp_path)
    assert result.held(1) == {A: (10, 110)}
    assert set(result.positions["mgrno"]) == {1}


def test_one_table_filed_by_two_joint_managers_counts_once(tmp_path):
    """The parent includes the subsidiary, which files the same table. Who is named by nobody stays: funds are alike."""
    rows = [Row(cusip(n), 10 * n, 100 * n) for n in range(1, 7)]
    parent, subsidiary = Filing(1, rows, included=(2,)), Filing(2, rows)
    stranger, own = Filing(3, rows), Filing(4, [*rows[1:], Row(cusip(1), 11, 100)])
    mutual = [Filing(5, rows[:5], included=(6,)), Filing(6, rows[:5], included=(5,))]
    path = write_zip(tmp_path / "a_form13f.zip", [parent, subsidiary, stranger, own, *mutual])
    result = build([path], tmp_path)
    assert result.states() == ["kept", "in another manager's", "kept", "kept", "kept", "in another manager's"]
    assert set(result.positions["mgrno"]) == {1, 3, 4, 5}


def test_values_in_the_place_of_shares_are_no_holdings(tmp_path):
    """A share count equal to the value in row after row says nothing of either; one stock at $1 may be right."""
    wrong = Filing(1, [Row(cusip(n), 100 * n, 100 * n) for n in range(1, 5)])
    one_dollar = Filing(2, [Row(A, 100, 100), Row(B, 10, 120), Row(C, 10, 130)])
    result = build([write_zip(tmp_path / "a_form13f.zip", [*market(), wrong, one_dollar])], tmp_path)
    assert result.held(1) == {}
    assert len(result.held(2)) == 3
    assert 1 not in set(result.managers["mgrno"]), "its quarter is a gap"
    assert "shares are values" in result.text


def test_a_cusip_written_in_two_ways_is_one_position(tmp_path):
    """Lost zeros and check digits are mended by what others wrote, in whatever zip, and the rows then add up."""
    zips = [
        write_zip(tmp_path / "a_form13f.zip", [Filing(1, [Row(A, 1, 11), Row(A[:-1], 2, 22)])]),
        write_zip(tmp_path / "b_form13f.zip", [Filing(2, [Row(A.lstrip("0"), 4, 44)]), Filing(3, [Row(A, 1, 11)])]),
    ]
    result = build(zips, tmp_path)
    assert result.held(1) == {A: (3, 33)}


def test_the_outputs_are_the_same_bytes_and_sorted(tmp_path):
    zips = [
        write_zip(tmp_path / "a_form13f.zip", market(period="31-DEC-2023", filed="13-FEB-2024")),
        write_zip(tmp_path / "b_form13f.zip", market()),
    ]
    outs = [tmp_path / name for name in ("one", "two")]
    for out in outs:
        result = build(zips, out)
    for name in ("positions.parquet", "managers.parquet", "filings.csv", "filings.txt"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
    keys = result.positions[["mgrno", "cusip", "quarter"]]
    assert keys.equals(keys.sort_values(list(keys))), "as the panel's builder reads it"


def test_no_filing_at_all_is_refused(tmp_path):
    notice = write_zip(tmp_path / "a_form13f.zip", [Filing(1, form="13F-NT")])
    with pytest.raises(InputError, match="1 filings in 1 zips none counts"):
        build([notice], tmp_path)
    assert not (tmp_path / "positions.parquet").exists()
