"""Values of stocks that the user brings: a CSV with cusip or ticker, date and any of prc, me, be, profit, Gat, beta."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from workflow_scripts.holdings.panel.contract import FACTORS
from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.holdings.sec.cusips import mend_column
from workflow_scripts.plumbing.errors import InputError

OWN_COLUMNS = ("prc", *FACTORS)


def read_values(path: str | Path) -> pd.DataFrame:
    """The file's rows: `cusip` or `ticker`, quarter, and float columns. One row per stock and quarter.

    Raises InputError naming column, line and remedy for what cannot be read.
    """
    table = pd.read_csv(
        path, dtype={"cusip": str, "ticker": str, "date": str}, keep_default_na=False, na_values=["", "NA"]
    )
    key = next((name for name in ("cusip", "ticker") if name in table), None)
    columns = [name for name in OWN_COLUMNS if name in table]
    if key is None or "date" not in table or not columns:
        raise InputError(
            f"{path}: it needs cusip or ticker, date, and any of {', '.join(OWN_COLUMNS)}; it has {', '.join(table)}"
        )
    days = pd.to_datetime(table["date"], errors="coerce")
    if days.isna().any():
        row = int(days.isna().idxmax())
        raise InputError(f"{path}: date {table['date'][row]!r} in line {row + 2} is no day; write 2015-03-31")
    values = {}
    for name in columns:
        values[name] = pd.to_numeric(table[name], errors="coerce")
        wrong = (values[name].isna() & table[name].notna()) | np.isinf(values[name])
        if wrong.any():
            row = int(wrong.idxmax())
            raise InputError(f"{path}: {name} {table[name][row]!r} in line {row + 2} is no number; correct it")
    if "prc" in values:
        # CRSP marks the mean of bid and ask by a minus sign.
        values["prc"] = values["prc"].abs().where(values["prc"] != 0)
    names = table[key].fillna("").astype(object)
    if key == "cusip":
        stocks, _ = mend_column(pa.array(names.to_numpy(), pa.string()))
        names = pd.Series(stocks.to_pylist())
    else:
        names = names.str.strip().str.upper()
    rows = pd.DataFrame({key: names, "quarter": quarter_ids(days.to_numpy()), **values})
    repeated = rows.duplicated([key, "quarter"])
    if repeated.any():
        row = int(repeated.idxmax())
        raise InputError(
            f"{path}: line {row + 2} repeats {key} {rows[key][row]} in a quarter; keep the quarter's last day"
        )
    return rows
