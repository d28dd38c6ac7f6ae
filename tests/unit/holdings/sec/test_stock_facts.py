"""What is known of stocks and managers: company reports by the day filed, tickers, own values, types, betas."""

import doctest
import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.unit.holdings.sec.conftest import AAPL, AMZN, MSFT, cell
from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.holdings.sec import identifiers, manager_types, stocks
from workflow_scripts.holdings.sec.characteristics import shares_outstanding, winsorised
from workflow_scripts.holdings.sec.fundamentals import four_quarters, known_by, read_facts, series_of
from workflow_scripts.holdings.sec.identifiers import by_name, read_identifiers
from workflow_scripts.holdings.sec.own_values import read_values
from workflow_scripts.holdings.sec.panel_files import identifier_files
from workflow_scripts.holdings.sec.stocks import betas
from workflow_scripts.plumbing.errors import InputError

DAYS = np.array(["2020-03-31", "2020-06-30", "2020-09-30", "2022-03-31"], dtype="datetime64[D]")


@pytest.mark.parametrize("module", [identifiers, manager_types, stocks])
def test_examples(module):
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed


def data_set(path, filings, numbers):
    """A Financial Statement Data Set: `filings` (adsh, cik, name, filed), `numbers` (adsh, tag, ddate, qtrs, value)."""
    num = "adsh\ttag\tversion\tddate\tqtrs\tuom\tsegments\tcoreg\tvalue\tfootnote\n"
    for adsh, tag, ddate, qtrs, value, *rest in numbers:
        segments, coreg, uom = (*rest, *["", "", "shares" if "Shares" in tag else "USD"][len(rest) :])
        num += f'{adsh}\t{tag}\tus-gaap/2020\t{ddate}\t{qtrs}\t{uom}\t{segments}\t{coreg}\t{value}\ta "note\n'
    with zipfile.ZipFile(path, "w") as archive:
        sub = "adsh\tcik\tname\tsic\tfiled\n" + "".join(f"{a}\t{c}\t{n}\t1\t{f}\n" for a, c, n, f in filings)
        archive.writestr("sub.txt", sub)
        archive.writestr("num.txt", num)
    return path


def test_reports_count_from_the_day_filed_and_as_first_told(tmp_path):
    """Equity of March is known in June, not in March. A later correction of it does not count, nor do segments,
    coregistrants and other currencies. After six quarters it is stale."""
    path = data_set(
        tmp_path / "2020q2.zip",
        [("a", 7, "ACME CORP", 20200505), ("b", 7, "ACME CORP", 20200805)],
        [
            ("a", "StockholdersEquity", 20200331, 0, 5e9),
            ("a", "StockholdersEquity", 20200331, 0, 1e9, "EquityComponents=CommonStock;"),
            ("a", "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest", 20200331, 0, 6e9),
            ("a", "PreferredStockValue", 20200331, 0, 1e9),
            ("a", "Assets", 20200331, 0, 3e9, "", "PARENT"),
            ("b", "StockholdersEquity", 20200331, 0, 9e9),
            ("b", "Assets", 20200331, 0, 8e9, "", "", "EUR"),
            ("b", "CommonStockSharesOutstanding", 20200630, 0, 100e6, "ClassOfStock=A;"),
            ("b", "CommonStockSharesOutstanding", 20200630, 0, 50e6, "ClassOfStock=B;"),
        ],
    )
    facts, companies = read_facts([path])
    assert companies.to_dict("records") == [{"company": "7", "name": "ACME CORP"}]
    series = series_of(facts)
    values, months = known_by(series["be"], np.array(["7", "", "8"]), DAYS, 6)
    np.testing.assert_allclose(values, [[np.nan, 4000, 4000, np.nan], [np.nan] * 4, [np.nan] * 4])
    assert months[0, 1] == 12 * 50 + 2
    assert known_by(series["shares"], np.array(["7"]), DAYS, 6)[0][0, 2] == 150
    assert not len(series["Gat"])


def test_income_of_four_quarters_from_years_and_parts_of_years():
    """The year to March 2020 = 2019 + its first quarter - that of 2019, known when the last of them is; from single
    quarters where no year is told."""

    def flow(company, month, quarters, value, filed):
        return {"company": company, "month": month, "quarters": quarters, "value": value, "filed": pd.Timestamp(filed)}

    rows = [
        flow("7", 11, 4, 40.0, "2020-02-20"),
        flow("7", 14, 1, 13.0, "2020-05-05"),
        flow("7", 2, 1, 9.0, "2020-06-09"),  # told late, as the number beside it in a later report
        *(flow("8", month, 1, value, "2020-01-01") for month, value in ((2, 1.0), (5, 2.0), (8, 3.0), (11, 4.0))),
    ]
    found = four_quarters(pd.DataFrame(rows)).set_index(["company", "month"])
    assert found["value"].to_dict() == {("7", 11): 40, ("7", 14): 44, ("8", 11): 10}
    assert found.loc[("7", 14), "filed"] == pd.Timestamp("2020-06-09")


def test_reports_of_a_csv_reach_the_panel_and_none_before_its_day(make_panel, tmp_path):
    """profit and Gat by hand; a period that ends on 1 July is June's; the stock is found by its ticker."""
    ends = ["2019-06-29", "2019-09-28", "2019-12-31", "2020-03-28", "2020-07-01"]
    lines = [f"ACME,{end},{e8}-08-01,{10 + n},{100.0 * 1.1**n},50\n" for n, (end, e8) in enumerate(
        zip(ends, [2019, 2019, 2020, 2020, 2020], strict=True))]  # fmt: skip
    (tmp_path / "f.csv").write_text(
        "ticker,period_end,available_date,net_income,total_assets,equity\n" + "".join(lines)
    )
    (tmp_path / "ids").mkdir()
    (tmp_path / "ids/own.csv").write_text(f"cusip,ticker\n{AAPL},acme\n")
    (tmp_path / "ids/other.csv").write_text("a,b\n1,2\n")
    settings = {"fundamentals": str(tmp_path / "f.csv"), "identifiers": str(tmp_path / "ids"), "needed": []}
    quarters = ["2020Q1", "2020Q2", "2020Q3"]
    panel = make_panel([(1, c, q, 1000, 0.1) for c in (AAPL, MSFT) for q in quarters], **settings)
    assert np.isnan(cell(panel, 1, AAPL, "2020Q2")["profit"])
    row = cell(panel, 1, AAPL, "2020Q3")
    assert row["be"] == pytest.approx(50 / 1e6)
    assert row["profit"] == pytest.approx((11 + 12 + 13 + 14) / 50)
    assert row["Gat"] == pytest.approx(4 * np.log(1.1))
    assert np.isnan(cell(panel, 1, MSFT, "2020Q3")["be"])
    tickers = pd.read_csv(tmp_path / "sec/tickers.csv")
    assert tickers[["ticker", "company"]].to_numpy().tolist() == [["ACME", "ISSUER"]]
    assert "other.csv" in (tmp_path / "sec/panel.txt").read_text()


def test_tickers_from_fails_to_deliver_and_companies_by_ticker_and_by_name(tmp_path):
    """The latest line of a CUSIP counts, the counts at the end do not; a CSV counts before; one company alone has a
    name, or none is taken."""
    text = "SETTLEMENT DATE|CUSIP|SYMBOL|QUANTITY (FAILS)|DESCRIPTION|PRICE\n"
    old = text + f'20210104|{AAPL}|OLD|1|A "COMPANY|.\nTrailer record count 1\nTrailer total quantity of shares 1\n'
    new = text + f"20210630|{AAPL}|AAPL|1|APPLE|10\n20210630|{MSFT}|XX|1|M|10\nTrailer record count 2\n"
    for name, content in (("cnsfails202101a", old), ("cnsfails202106b", new)):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(f"{name}.txt", content)
    (tmp_path / "company_tickers.json").write_text(json.dumps({"0": {"cik_str": 320193, "ticker": "AAPL"}}))
    (tmp_path / "own.csv").write_text(f"cusip8,ticker,CIK\n{MSFT[:8]},MSFT,789019\n")
    found = read_identifiers(identifier_files(tmp_path))
    assert found.ticker == {AAPL: "AAPL", MSFT: "MSFT"}
    assert found.company_of_ticker == {"AAPL": 320193, "MSFT": 789019}
    assert found.company == {MSFT: 789019}
    names = pd.DataFrame({"company": ["1", "2", "3"], "name": ["Amazon Com Inc", "TWIN CORP", "Twin Co /DE/"]})
    assert by_name(["AMAZON.COM INC", "TWIN INC", "NOBODY"], names) == {"AMAZON.COM INC": 1}
    (tmp_path / "company_tickers.json").write_text("[]")
    with pytest.raises(InputError, match=r"company_tickers\.json"):
        read_identifiers(identifier_files(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cusip,date\n1,2020-03-31\n", "any of prc"),
        ("ticker,date,prc\nA,31.13.2020,1\n", "line 2"),
        ("ticker,date,prc\nA,2020-03-31,ten\n", "'ten' in line 2"),
        ("ticker,date,prc\nA,2020-03-31,1\nA,2020-03-30,1\n", "line 3 repeats ticker A"),
    ],
)
def test_values_that_cannot_be_read_are_named(tmp_path, text, message):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_values(tmp_path / "v.csv")


def test_types_by_file_name_and_registration_each_with_a_reason(tmp_path):
    names = {
        1: "ARROW BANK NATIONAL ASSOCIATION", 2: "TEXAS PERMANENT SCHOOL FUND", 3: "OWNERS INSURANCE CO",
        4: "VANGUARD GROUP INC", 5: "THIRD POINT LLC", 6: "GATES FOUNDATION TRUST", 7: "PUNCH CARD",
        8: "AMAZON COM INC", 9: "BANK OF X PENSION FUND",
    }  # fmt: skip
    table = pa.table(
        {
            "mgrno": [*names, 1],
            "name": [*names.values(), "OLD NAME INSURANCE"],
            "quarter": [*[8001] * 9, 8000],
            "crd_number": [None] * 6 + ["000107"] + [None] * 3,
            "sec_file_number": [None] * 10,
        }
    )
    (tmp_path / "types.csv").write_text("CIK,Type\n0000000008,Insurance Companies\n")
    found = manager_types.manager_types(table, manager_types.read_types(tmp_path / "types.csv")).set_index("mgrno")
    assert found["type"].to_dict() == {
        1: "banks", 2: "pension_funds", 3: "insurance_companies", 4: "mutual_funds", 5: "investment_advisors",
        6: "other", 7: "investment_advisors", 8: "insurance_companies", 9: "pension_funds",
    }  # fmt: skip
    assert found.loc[[7, 8], "reason"].tolist() == ["registered as adviser", "sec.types"]
    assert found["reason"].ne("").all()
    assert set(found["type"]) <= set(FIRM_TYPES)
    faults = {
        "cik\n1\n": "type is missing",
        "cik,type\n1,hedge\n": "'hedge' in line 2",
        "cik,type\nx,bank\n": "'x' in line 2",
        "cik,type\n1,bank\n1,other\n": "two types",
    }
    for text, message in faults.items():
        (tmp_path / "types.csv").write_text(text)
        with pytest.raises(InputError, match=message):
            manager_types.read_types(tmp_path / "types.csv")


def test_betas_of_known_stocks_from_past_returns_alone():
    """Stocks that move one and two times the market have these betas; a split is no return; quarters to come change
    nothing; few returns give none."""
    rng = np.random.default_rng(1)
    market = rng.normal(0, 0.1, 40)
    slope = np.array([0.5, 1.0, 1.5, 2.0, 1.0, 0.0])
    prices = 50 * np.cumprod(1 + slope[:, None] * market, axis=1)
    splits, weights = np.ones_like(prices), np.ones_like(prices)
    prices[3, 20:] /= 2
    splits[3, 20] = 2
    found = betas(prices, splits, weights, 20, 12)
    assert np.isnan(found[:, :12]).all()
    np.testing.assert_allclose(found[:, 12:], np.repeat(slope[:, None], 28, axis=1), atol=1e-9)
    prices[:, 30:] *= rng.uniform(0.9, 1.1, (6, 10))
    np.testing.assert_allclose(betas(prices, splits, weights, 20, 12)[:, :30], found[:, :30], atol=1e-9)


def test_winsorised_by_the_quarters_before():
    grid = np.array([[0.0, 9.0, 9.0], [1.0, -9.0, np.nan], [2.0, 1.0, 1.0]])
    cut = winsorised(grid, 0.25)
    assert cut[:, 0].tolist() == [0, 1, 2], "nothing is known before it"
    assert cut[:, 1].tolist() == [1.5, 0.5, 1]
    changed = grid.copy()
    changed[:, 2] = 100
    assert winsorised(changed, 0.25)[:, 1].tolist() == cut[:, 1].tolist()


def test_shares_outstanding_go_with_splits_until_a_report_tells_them():
    """A 2:1 split in the third quarter: told one quarter later in the first line, at once in the second, never in the
    third."""
    splits = np.tile([1.0, 1.0, 2.0, 1.0, 1.0], (3, 1))
    reported = np.array([[100.0, 100, 100, 202, 202], [100, 100, 201, 201, 203], [100, 100, 100, 100, 100]])
    np.testing.assert_allclose(
        shares_outstanding(reported, splits),
        [[100, 100, 200, 202, 202], [100, 100, 201, 201, 203], [100, 100, 200, 200, 200]],
    )


def test_no_stock_is_looked_for_under_an_empty_name(make_panel, tmp_path):
    """A CSV line without a name belongs to no stock, and a stock without a ticker gets nothing of it."""
    (tmp_path / "v.csv").write_text("ticker,date,prc\n,2020-03-31,99\n")
    panel = make_panel([(1, AMZN, "2020Q1", 1000, 0.1)], values=str(tmp_path / "v.csv"))
    assert panel["prc"][0] == pytest.approx(100)
