"""Zips in the SEC's layout from the simulated panel, with all that makes the real ones hard.

    python -m tests.sec_zips --folder data/raw/demo_sec     # make demo-sec

Every positive position of the simulation is filed, and whoever reads the zips rightly gets it back. In the way are:
thousands before 2023-01-03 and for one filer in ten since; restatements of wrong tables and new holdings, some in a
later zip; quarters that a manager does not file for, or leaves to another one by a notice; calls and puts, bonds,
several rows of one CUSIP, CUSIPs in lower case, without their zeros or their check digit; a split; a zip with a folder.
Outside assets are positions without a CUSIP. The characteristics of the stocks, which no filing tells, go to
`values.csv` (`sec.values`), the truth to `truth.parquet`.
"""

import argparse
import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from tests.unit.holdings.sec.hand_made import Filing, Row, cusip, write_zip
from workflow_scripts.holdings.panel.contract import FACTORS
from workflow_scripts.holdings.panel.quarters import quarter_ids, quarter_labels
from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.random_streams import random_stream

NAMES = {"banks": "FIRST NATIONAL BANK {} NA", "mutual_funds": "MUTUAL FUNDS OF {} INC"}
DOLLARS_SINCE = dt.date(2023, 1, 3)
# Stock of the simulation that is split two for one, in the middle of the panel.
SPLIT_STOCK, SPLIT = 10001, 2
# One filing in so many is ...
RESTATED, ADDED, SKIPPED, NOTICE, IN_THOUSANDS = 15, 17, 40, 45, 10


@dataclass
class Truth:
    """What a reader of the zips must find: positions filed, positions sold, and manager-quarters without any."""

    held: pd.DataFrame
    sold: pd.DataFrame
    not_filed: set[tuple[int, str]] = field(default_factory=set)


def simulated(settings: SimulationSettings, drift: dict[str, float], seed: int) -> pd.DataFrame:
    """The simulated slices in one frame, with cik, cusip, quarter, end (last day) and shares (whole)."""
    parts = []
    for number, (firm_type, name) in enumerate(NAMES.items(), start=1):
        tables = simulate_panel(firm_type, drift[firm_type], settings, seed)
        part = pd.concat([table.to_pandas() for table in tables])
        part["cik"] = part["mgrno"] + 100_000 * number
        part["name"] = [name.format(one) for one in part["mgrno"]]
        parts.append(part)
    panel = pd.concat(parts, ignore_index=True)
    panel["quarter"] = quarter_labels(quarter_ids(panel["date"].to_numpy()))
    panel["end"] = pd.PeriodIndex(panel["quarter"], freq="Q").end_time.date
    # Small numbers, so that many CUSIPs begin with zeros.
    panel["cusip"] = panel["permno"].map({one: cusip(one - 10_000) for one in panel["permno"].unique()})
    middle = settings.first_year + (settings.last_year - settings.first_year) // 2
    is_split = (panel["permno"] == SPLIT_STOCK) & (panel["quarter"] >= f"{middle}Q3")
    panel["prc"] /= np.where(is_split, SPLIT, 1)
    panel["shares"] = np.round(panel["holding_t"] * 1e6 / panel["prc"])
    return panel


def _spelling(text: str, chance: np.random.Generator) -> str:
    """A CUSIP as some filers write it."""
    way = chance.integers(40)
    if way == 0:
        return text.lower() + " "
    if way == 1 and text.startswith("0"):
        return text.lstrip("0").rjust(7, "0")
    return text[:-1] if way == 2 else text


def _rows(held: pd.DataFrame, outside: float, unit: int, chance: np.random.Generator) -> list[Row]:
    """The information table of one manager and quarter."""
    rows: list[Row] = []
    for one in held.itertuples():
        spelt = _spelling(one.cusip, chance)
        about = {"issuer": f"COMPANY {one.permno} INC", "title": "COM"}
        first = one.shares if chance.integers(8) else np.floor(one.shares / 3)
        for shares in (first, one.shares - first):
            if shares:
                rows.append(Row(spelt, int(shares), round(shares * one.prc / unit), **about))
        if not chance.integers(20):
            kind = {"put_call": "Call"} if chance.integers(2) else {"put_call": "Put"}
            rows.append(Row(one.cusip[:6] + "905", 1000, int(1000 * one.prc / unit), **kind, **about))
        if not chance.integers(30):
            rows.append(Row(one.cusip, 50_000, int(50_000 / unit), kind="PRN", **about))
    rows.append(Row("CASHFUND", int(outside * 1e6), round(outside * 1e6 / unit), issuer="MONEY FUND"))
    return rows


def _filings(manager: int, name: str, held: pd.DataFrame, outside: float, chance: np.random.Generator) -> list[Filing]:
    """What a manager files for a quarter: most often one table, sometimes a wrong one or a part first."""
    end = held["end"].iloc[0]
    filed = end + dt.timedelta(days=int(chance.integers(20, 46)))
    # One in ten goes on in thousands: always the same ones.
    unit = 1000 if filed < DOLLARS_SINCE or manager % IN_THOUSANDS == 3 else 1
    rows = _rows(held, outside, unit, chance)
    about = {"FILINGMANAGER_NAME": name}
    first = Filing(manager, rows, _day(filed), _day(end), others=about)
    later = filed + dt.timedelta(days=int(chance.integers(5, 150)))
    amended = {"filed": _day(later), "form": "13F-HR/A", "number": "1"}
    later_unit = 1000 if later < DOLLARS_SINCE or manager % IN_THOUSANDS == 3 else 1
    if chance.integers(RESTATED) == 0:
        wrong = [replace(row, shares=2 * row.shares, value=2 * row.value) for row in rows[: len(rows) // 2]]
        return [
            replace(first, rows=wrong),
            replace(first, rows=_in_unit(rows, unit, later_unit), amendment="RESTATEMENT", **amended),
        ]
    # A CUSIP stands in one of the two tables, because new holdings that repeat a row do not count twice.
    cusips = list(dict.fromkeys(row.cusip for row in rows))
    if chance.integers(ADDED) == 0 and len(cusips) > 3:
        parts = [[row for row in rows if (row.cusip in cusips[3:]) == kept] for kept in (True, False)]
        return [
            replace(first, rows=parts[0]),
            replace(first, rows=_in_unit(parts[1], unit, later_unit), amendment="NEW HOLDINGS", **amended),
        ]
    return [first]


def _in_unit(rows: list[Row], unit: int, other: int) -> list[Row]:
    """The same rows in another unit: dollars of a table in thousands are those that it had rounded to."""
    return [replace(row, value=round(row.value * unit / other)) for row in rows]


def _day(day: dt.date) -> str:
    return f"{day:%d-%b-%Y}".upper()


def _zip_name(filed: str) -> str:
    """The SEC's zip of a day: quarters to the end of 2023, then three months from March, June, September, December."""
    day = dt.datetime.strptime(filed.title(), "%d-%b-%Y").date()
    if day.year < 2024:
        return f"{day.year}q{(day.month + 2) // 3}_form13f"
    if day < dt.date(2024, 3, 1):
        return "01jan2024-29feb2024_form13f"
    first = pd.Timestamp(day.year, day.month, 1) - pd.DateOffset(months=day.month % 3)
    last = first + pd.DateOffset(months=3) - pd.Timedelta(days=1)
    return f"{first:%d%b%Y}-{last:%d%b%Y}_form13f".lower()


def write_sec_zips(folder: Path, settings: SimulationSettings, drift: dict[str, float], seed: int) -> Truth:
    """Write the zips to `folder`/form13f and values.csv and truth.parquet to `folder`."""
    panel = simulated(settings, drift, seed)
    chance = random_stream(seed, "sec zips")
    truth = Truth(panel[panel["shares"] > 0], panel[panel["shares"] == 0])
    by_zip: dict[str, list[Filing]] = defaultdict(list)
    for (manager, quarter), group in panel.groupby(["cik", "quarter"]):
        held = group[group["shares"] > 0]
        name = group["name"].iloc[0]
        fate = chance.integers(SKIPPED), chance.integers(NOTICE)
        if not len(held) or 0 in fate:
            truth.not_filed.add((int(manager), quarter))
            if fate[1] == 0:
                end = group["end"].iloc[0]
                notice = {"form": "13F-NT", "report": "13F NOTICE", "others": {"FILINGMANAGER_NAME": name}}
                filed = _day(end + dt.timedelta(days=30))
                by_zip[_zip_name(filed)].append(Filing(int(manager), [], filed, _day(end), **notice))
            continue
        outside = round(float(group["outaum"].iloc[0]), 3)
        for filing in _filings(int(manager), name, held, outside, chance):
            by_zip[_zip_name(filing.filed)].append(filing)
    gone = pd.MultiIndex.from_tuples(sorted(truth.not_filed), names=["cik", "quarter"])
    truth.held, truth.sold = (
        rows[~pd.MultiIndex.from_frame(rows[["cik", "quarter"]]).isin(gone)] for rows in (truth.held, truth.sold)
    )
    for number, (name, filings) in enumerate(sorted(by_zip.items())):
        nested = f"{name.upper()}/" if number == len(by_zip) // 2 else ""
        write_zip(folder / "form13f" / f"{name}.zip", filings, nested)
    stocks = panel.drop_duplicates(["cusip", "end"]).sort_values(["cusip", "end"])
    stocks[["cusip", "end", *FACTORS]].rename(columns={"end": "date"}).to_csv(folder / "values.csv", index=False)
    truth.held.to_parquet(folder / "truth.parquet", index=False)
    return truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    folder = parser.parse_args().folder
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    law = demo["simulation"] | {"first_year": 2013, "last_year": 2024}
    drift = law.pop("drift")
    # What a filing leaves out is not there by chance; what is missing in a factor would be an outside asset.
    settings = SimulationSettings(**law, gap_probability=0.0, missing_probability=0.0)
    truth = write_sec_zips(folder, settings, drift, demo["seed"])
    zips = len(list((folder / "form13f").glob("*.zip")))
    print(
        f"{folder}: {zips} zips with {len(truth.held):,} positions; {len(truth.not_filed):,} quarters of a manager "
        "without holdings"
    )


if __name__ == "__main__":
    main()
