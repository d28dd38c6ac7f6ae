"""The same windows by other means, each a whole process: peers.py NAME SLICE OUT prints the number of windows.

A window needs four strictly consecutive quarters of a pair; written are mgrno, permno, quarter, aum,
zero_holding and delta_sign. `read` only reads the six columns that windows need, `loop` is what one would
write first. `polars-trusting` takes the rows to be sorted; the others do not.
"""

import sys

COLUMNS = ["mgrno", "permno", "date", "holding_t", "holding_t1", "aum"]
KEYS = ["mgrno", "permno", "quarter"]
OUT = [*KEYS, "aum", "zero_holding", "delta_sign"]


def read(path: str, out: str) -> int:
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=COLUMNS).num_rows


def loop(path: str, out: str) -> int:
    import pandas as pd

    panel = pd.read_parquet(path, columns=COLUMNS)
    panel["quarter"] = pd.to_datetime(panel["date"]).dt.year * 4 + pd.to_datetime(panel["date"]).dt.quarter - 1
    windows = []
    for (mgrno, permno), group in panel.sort_values(KEYS).groupby(["mgrno", "permno"]):
        for i in range(3, len(group)):
            history = group.iloc[i - 3 : i + 1]
            if (history["quarter"].diff().iloc[1:] == 1).all():
                row = history.iloc[-1]
                delta = row["holding_t1"] - row["holding_t"]
                sign = None if pd.isna(delta) else int(delta > 0) - int(delta < 0)
                windows.append((mgrno, permno, row["quarter"], row["aum"], row["holding_t"] == 0, sign))
    pd.DataFrame(windows, columns=OUT).to_parquet(out)
    return len(windows)


def pandas(path: str, out: str) -> int:
    import numpy as np
    import pandas as pd

    panel = pd.read_parquet(path, columns=COLUMNS)
    date = pd.to_datetime(panel["date"])
    panel["quarter"] = date.dt.year * 4 + date.dt.quarter - 1
    panel = panel.sort_values(KEYS, kind="stable")
    before = panel[KEYS].shift(3)
    same = (panel["mgrno"] == before["mgrno"]) & (panel["permno"] == before["permno"])
    windows = panel[same & (panel["quarter"] - before["quarter"] == 3)].copy()
    windows["zero_holding"] = windows["holding_t"] == 0
    windows["delta_sign"] = np.sign(windows["holding_t1"] - windows["holding_t"]).astype("Int8")
    windows[OUT].to_parquet(out, compression="zstd", index=False)
    return len(windows)


def polars(path: str, out: str, is_sorted: bool = False) -> int:
    import polars as pl

    quarter = pl.col("date").dt.year() * 4 + pl.col("date").dt.quarter() - 1
    panel = pl.scan_parquet(path).select(*COLUMNS, quarter.alias("quarter"))
    if not is_sorted:
        panel = panel.sort(KEYS)
    same = (pl.col("mgrno") == pl.col("mgrno").shift(3)) & (pl.col("permno") == pl.col("permno").shift(3))
    delta = (pl.col("holding_t1") - pl.col("holding_t")).fill_nan(None)
    windows = panel.filter(same & (pl.col("quarter") - pl.col("quarter").shift(3) == 3)).with_columns(
        zero_holding=pl.col("holding_t") == 0, delta_sign=delta.sign().cast(pl.Int8)
    )
    windows.select(OUT).sink_parquet(out, compression="zstd")
    return pl.scan_parquet(out).select(pl.len()).collect().item()


def polars_trusting(path: str, out: str) -> int:
    return polars(path, out, is_sorted=True)


def duckdb(path: str, out: str) -> int:
    import duckdb

    with duckdb.connect() as connection:
        return connection.execute(
            """
            COPY (
                SELECT mgrno, permno, quarter, aum, holding_t = 0 AS zero_holding,
                       CASE WHEN isnan(holding_t1) THEN NULL ELSE sign(holding_t1 - holding_t) END AS delta_sign
                FROM (SELECT *, year(date) * 4 + quarter(date) - 1 AS quarter FROM read_parquet($path))
                QUALIFY quarter - lag(quarter, 3) OVER (PARTITION BY mgrno, permno ORDER BY quarter) = 3
            ) TO '$out' (FORMAT parquet, COMPRESSION zstd)
            """.replace("$out", out).replace("$path", f"'{path}'")
        ).fetchone()[0]


if __name__ == "__main__":
    print(globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:]))
