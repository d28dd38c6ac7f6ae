"""Company reports as they were known on a day: Financial Statement Data Sets of the SEC's, or a CSV.

Every number stands with the day on which it was first filed; a quarter sees what was filed by its last day. Later
corrections of a number are not used. A number that is made of others, such as the earnings of four quarters, is known
when the last of them is.

    be      equity - preferred stock
    profit  net income of the last four quarters / be, at the same date and with be > 0
    Gat     log(assets / assets twelve months before)
    shares  shares outstanding
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
from numpy.typing import NDArray

from workflow_scripts.plumbing.errors import InputError

# Tags by what they tell, the first that a report has.
TAGS = {
    "equity": ("StockholdersEquity", "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest"),
    "preferred": ("PreferredStockValue",),
    "assets": ("Assets",),
    "net_income": ("NetIncomeLoss", "ProfitLoss"),
    "shares": ("EntityCommonStockSharesOutstanding", "CommonStockSharesOutstanding"),
}
FLOW = "net_income"
SERIES = ("be", "profit", "Gat", "shares")
FACT_COLUMNS = ["company", "item", "month", "quarters", "value", "filed"]
# Columns of a CSV, and other names that they may have.
CSV_COLUMNS = {
    "period_end": ("period_end", "ddate", "end"),
    "filed": ("filed", "available_date"),
    "equity": ("equity", "be"),
    "preferred": ("preferred",),
    "assets": ("assets", "total_assets"),
    "net_income": ("net_income",),
    "shares": ("shares", "shares_outstanding"),
}
# Reports of 52 or 53 weeks end up to two weeks beside the end of a month.
HALF_MONTH = np.timedelta64(15, "D")


def months_of(days: pd.Series) -> pd.Series:
    """Months since January 1970 of ends of periods, the nearest end of a month: 1 July 2023 is the end of June."""
    return ((days.to_numpy("datetime64[D]") - HALF_MONTH).astype("datetime64[M]").astype(np.int64)).astype(np.int32)


def read_facts(paths: Iterable[str | Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Facts (company, item, month, quarters, value, filed) of all files, first filed alone, and company, name.

    `company` is the CIK as text, or what a CSV names companies by (ticker or cusip); `quarters` is the length of the
    time that a flow is of, 0 for what stands at a day; money in dollars.
    """
    facts, companies = [], []
    for path in map(Path, paths):
        if path.suffix == ".zip":
            rows, names = _data_set(path)
            companies.append(names)
        else:
            rows = _csv(path)
        facts.append(rows)
    table = pd.concat(facts) if facts else pd.DataFrame(columns=FACT_COLUMNS)
    keys = ["company", "item", "month", "quarters"]
    table = table.sort_values([*keys, "filed"], kind="stable").drop_duplicates(keys).reset_index(drop=True)
    known = pd.concat(companies) if companies else pd.DataFrame({"company": [], "name": []})
    return table, known.drop_duplicates()


def _data_set(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One Financial Statement Data Set: `sub` (adsh, cik, name, filed) and `num` (adsh, tag, ddate, qtrs, value).

    Of the whole company (no coregistrant, no segment) and in dollars. Shares that are told by class of stock alone are
    added up.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {Path(name).name: name for name in archive.namelist()}
            with archive.open(names["sub.txt"]) as file:
                sub = pd.read_csv(file, sep="\t", dtype=str, quoting=3, usecols=["adsh", "cik", "name", "filed"])
            with archive.open(names["num.txt"]) as file:
                parts = [_tagged(batch.to_pandas()) for batch in _filtered(file)]
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a Financial Statement Data Set of the SEC's, with sub.txt and num.txt ({error}); "
            "download it again"
        ) from error
    num = pd.concat(parts).merge(sub, on="adsh")
    item_of = {tag: item for item, tags in TAGS.items() for tag in tags}
    place = {tag: number for tags in TAGS.values() for number, tag in enumerate(tags)}
    num = num.assign(item=num["tag"].map(item_of), place=num["tag"].map(place))
    # The whole company before classes of its stock, the preferred tag before others.
    num = num.sort_values(["adsh", "item", "ddate", "qtrs", "place", "by_class"], kind="stable")
    first = num.groupby(["adsh", "item", "ddate", "qtrs"], sort=False)[["tag", "by_class"]].transform("first")
    num = num[(num["tag"] == first["tag"]) & (num["by_class"] == first["by_class"])]
    keys = ["cik", "item", "adsh", "filed", "ddate", "qtrs"]
    # Classes add up; the whole company has one number, or the same twice.
    summed = num.groupby([*keys, "by_class"], sort=True)["value"].agg(["sum", "first"]).reset_index()
    facts = pd.DataFrame(
        {
            "company": summed["cik"].str.lstrip("0"),
            "item": summed["item"],
            "month": months_of(pd.to_datetime(summed["ddate"], format="%Y%m%d")),
            "quarters": summed["qtrs"].astype(int),
            "value": np.where(summed["by_class"], summed["sum"], summed["first"]),
            "filed": pd.to_datetime(summed["filed"], format="%Y%m%d"),
        }
    )
    names = pd.DataFrame({"company": sub["cik"].str.lstrip("0"), "name": sub["name"].fillna("")})
    return facts, names.drop_duplicates()


def _filtered(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """The lines of `num` whose tag `TAGS` names, streamed: three million lines of which few are wanted."""
    columns = ["adsh", "tag", "ddate", "qtrs", "uom", "value"]
    header = file.readline().decode().rstrip("\n\r").split("\t")
    # Older files have no segments; then every number is of the whole company.
    columns += [name for name in ("segments", "coreg") if name in header]
    reader = csv.open_csv(
        file,
        read_options=csv.ReadOptions(column_names=header, block_size=16 * 2**20),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), check_utf8=False
        ),
    )
    wanted = pa.array([tag for tags in TAGS.values() for tag in tags])
    for batch in reader:
        yield batch.filter(pc.is_in(batch["tag"], wanted))


def _tagged(part: pd.DataFrame) -> pd.DataFrame:
    """The lines of a part of `num` that count, with value as a number and by_class."""
    segments = part["segments"].fillna("") if "segments" in part else pd.Series("", index=part.index)
    by_class = segments.str.fullmatch(r"(?:ClassOfStock|StatementClassOfStock)=[^;]*;?")
    is_share = part["tag"].isin(TAGS["shares"])
    wanted = (segments == "") | (by_class & is_share)
    wanted &= (part["uom"] == "USD") | ((part["uom"] == "shares") & is_share)
    if "coreg" in part:
        wanted &= part["coreg"].fillna("") == ""
    value = pd.to_numeric(part["value"], errors="coerce")
    part = part.assign(value=value, by_class=by_class)[wanted & value.notna()]
    return part[["adsh", "tag", "ddate", "qtrs", "value", "by_class"]]


def _csv(path: Path) -> pd.DataFrame:
    """A CSV with cik, ticker or cusip, period_end, filed and any of equity, preferred, assets, net_income, shares.

    Money in dollars; net_income of one quarter.
    """
    table = pd.read_csv(
        path, dtype={"ticker": str, "cusip": str, "cik": str}, keep_default_na=False, na_values=["", "NA"]
    )
    key = next((name for name in ("cik", "ticker", "cusip") if name in table), None)
    columns = {name: next((one for one in names if one in table), None) for name, names in CSV_COLUMNS.items()}
    missing = [name for name in ("period_end", "filed") if columns[name] is None]
    if key is None or missing:
        what = ", ".join([*([] if key else ["cik, ticker or cusip"]), *missing])
        raise InputError(f"{path}: column {what} is missing (data/README.md, company reports)")
    days = {}
    for name in ("period_end", "filed"):
        days[name] = pd.to_datetime(table[columns[name]].astype(str), errors="coerce")
        if days[name].isna().any():
            row = int(days[name].isna().idxmax())
            raise InputError(f"{path}: {columns[name]} {table[columns[name]][row]!r} in line {row + 2} is no day")
    company = table[key].fillna("").str.strip()
    company = company.str.lstrip("0") if key == "cik" else company.str.upper()
    parts = []
    for item in TAGS:
        if columns[item] is None:
            continue
        value = pd.to_numeric(table[columns[item]], errors="coerce")
        part = pd.DataFrame({"company": company, "item": item, "month": months_of(days["period_end"])})
        part["quarters"] = 1 if item == FLOW else 0
        parts.append(part.assign(value=value, filed=days["filed"])[value.notna() & (company != "")])
    return pd.concat(parts) if parts else pd.DataFrame(columns=FACT_COLUMNS)


def _shifted(series: pd.DataFrame, months: int) -> pd.DataFrame:
    """A series (company, month, value, filed) dated some months later, to stand beside what is of that month."""
    return series.assign(month=series["month"] + months)


def _join(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Series side by side where all are there: a column each by name, and `filed`, the last of their days."""
    joined: pd.DataFrame | None = None
    for name, part in parts.items():
        part = part[["company", "month", "value", "filed"]].rename(columns={"value": name, "filed": "filed_now"})
        if joined is None:
            joined = part.rename(columns={"filed_now": "filed"})
            continue
        joined = joined.merge(part, on=["company", "month"])
        joined["filed"] = joined[["filed", "filed_now"]].max(axis=1)
        joined = joined.drop(columns="filed_now")
    assert joined is not None
    return joined


def four_quarters(flows: pd.DataFrame) -> pd.DataFrame:
    """Sum of a flow over the four quarters to each month: company, month, value, filed.

    From a year's number, else the last year's + this year's to date - the same part of the last year, else four
    quarters one by one; the first that is there. `flows` has company, month, quarters, value, filed.
    """
    of = {quarters: flows[flows["quarters"] == quarters] for quarters in (1, 2, 3, 4)}
    found = [of[4][["company", "month", "value", "filed"]]]
    for quarters in (3, 2, 1):
        parts = {"year": _shifted(of[4], 3 * quarters), "now": of[quarters], "then": _shifted(of[quarters], 12)}
        joined = _join(parts)
        found.append(joined.assign(value=joined["year"] + joined["now"] - joined["then"]))
    single = _join({f"q{lag}": _shifted(of[1], 3 * lag) for lag in range(4)})
    found.append(single.assign(value=single[[f"q{lag}" for lag in range(4)]].sum(axis=1)))
    every = pd.concat([one[["company", "month", "value", "filed"]] for one in found])
    return every.drop_duplicates(["company", "month"]).reset_index(drop=True)


def series_of(facts: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """be ($ million), profit, Gat and shares (million) of each company: company, month, value, filed."""
    of = {item: facts[(facts["item"] == item) & (facts["quarters"] == 0)] for item in TAGS if item != FLOW}
    preferred = of["preferred"][["company", "month", "value", "filed"]]
    be = of["equity"].merge(preferred, on=["company", "month"], how="left", suffixes=("", "_preferred"))
    # What was told later was not known with the equity.
    in_time = be["filed_preferred"] <= be["filed"]
    be["value"] -= be["value_preferred"].where(in_time, 0)
    profit = _join({"income": four_quarters(facts[facts["item"] == FLOW]), "be": be})
    profit = profit[profit["be"] > 0]
    assets = of["assets"][of["assets"]["value"] > 0]
    growth = _join({"now": assets, "then": _shifted(assets, 12)})
    made = {
        "be": be.assign(value=be["value"] / 1e6),
        "profit": profit.assign(value=profit["income"] / profit["be"]),
        "Gat": growth.assign(value=np.log(growth["now"] / growth["then"])),
        "shares": of["shares"][of["shares"]["value"] > 0].assign(value=lambda rows: rows["value"] / 1e6),
    }
    return {name: one[["company", "month", "value", "filed"]] for name, one in made.items()}


def known_by(
    series: pd.DataFrame, companies: NDArray, end_days: NDArray[np.datetime64], stale_quarters: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The latest value of each company that was filed by each day, and its month; NaN for none.

    Shape (companies, days). `companies` are texts, empty for none. Values of periods that ended more than
    `stale_quarters` quarters before are none.
    """
    series = series.sort_values(["company", "month"], kind="stable")
    names, begins = np.unique(series["company"].to_numpy(str), return_index=True)
    shape = (len(companies), len(end_days))
    values, months = np.full(shape, np.nan), np.full(shape, np.nan)
    if not len(names):
        return values, months
    at = np.minimum(np.searchsorted(names, companies.astype(str)), len(names) - 1)
    is_known = names[at] == companies
    value, month = series["value"].to_numpy(), series["month"].to_numpy()
    filed = series["filed"].to_numpy("datetime64[D]")
    for column, day in enumerate(end_days):
        last = np.maximum.reduceat(np.where(filed <= day, np.arange(len(series)), -1), begins)
        row = np.where(is_known, last[at], -1)
        this_month = int(day.astype("datetime64[M]").astype(np.int64))
        fresh = (row >= 0) & (month[row] >= this_month - 3 * stale_quarters)
        values[fresh, column], months[fresh, column] = value[row[fresh]], month[row[fresh]]
    return values, months
