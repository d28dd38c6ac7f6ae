"""Wall time, CPU time and peak memory from Form 13F data sets to the panel, whole processes, on generated zips.

    make benchmark-sec                                one zip of 4 million rows, as the largest of the SEC
    make benchmark-sec SEC_ROWS=3000000 SEC_ZIPS=50   50 quarters: some 15 GB of disk, half an hour

The zips have the columns, the lengths of the names and the duplicates of the SEC's; the first half of the quarters is
in thousands. Managers keep their stocks: a position is held for HELD quarters, its shares move by a tenth a quarter.
With `--keep FOLDER` zips and outputs stay there, and zips and quarters that lie there are not made again.
"""

import argparse
import json
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
from scipy.stats import norm

from tests.benchmarks.data_stages import measured
from workflow_scripts.settings.reading import read_config
from workflow_scripts.settings.uses import USES

ROWS_PER_FILING = 400
CUSIPS = 20_000
CHUNK = 500_000
# Quarters after which a line of a manager's table is another stock.
HELD = 12
QUARTER_DAYS = ("31-MAR", "30-JUN", "30-SEP", "31-DEC")
FILED = ("14-MAY", "13-AUG", "13-NOV", "13-FEB")
HEADERS = {
    "SUBMISSION": "ACCESSION_NUMBER FILING_DATE SUBMISSIONTYPE CIK PERIODOFREPORT",
    "COVERPAGE": "ACCESSION_NUMBER AMENDMENTNO AMENDMENTTYPE FILINGMANAGER_NAME REPORTTYPE CRDNUMBER SECFILENUMBER",
    "SUMMARYPAGE": "ACCESSION_NUMBER TABLEENTRYTOTAL TABLEVALUETOTAL ISCONFIDENTIALOMITTED",
}


def text(numbers: np.ndarray, before: str, width: int, after: str = "") -> pa.Array:
    """Numbers with leading zeros between two texts."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(before, digits, after, "")


def uniform(line: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each line of a table and each of its turns, the same in every quarter; shape (n,).

    The finaliser of MurmurHash3 (Appleby 2011), so that a quarter can be written without those before it.
    """
    with np.errstate(over="ignore"):
        bits = line.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + turn.astype(np.uint64)
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            bits = (bits ^ (bits >> np.uint64(33))) * np.uint64(factor)
    return (bits >> np.uint64(11)) / 2.0**53


def lines(member, table: pa.Table, header: bool) -> None:
    options = csv.WriteOptions(include_header=header, delimiter="\t", quoting_style="needed", quoting_header="none")
    csv.write_csv(table, member, options)


def write_zip(path: Path, quarter: int, rows: int) -> None:
    """One zip of `rows` rows of the quarter with this id, filed in the next one."""
    filings = max(rows // ROWS_PER_FILING, 1)
    year, q = divmod(quarter, 4)
    filed = f"{FILED[q]}-{year + (q == 3)}"
    generator = np.random.default_rng(quarter)
    ids = np.arange(filings)
    accession = text(ids, f"000{1_000_000 + quarter}-{year % 100:02d}-", 6)
    constant = dict.fromkeys(("AMENDMENTNO", "AMENDMENTTYPE", "CRDNUMBER", "SECFILENUMBER"), "")
    constant |= {"FILING_DATE": filed, "SUBMISSIONTYPE": "13F-HR", "PERIODOFREPORT": f"{QUARTER_DAYS[q]}-{year}"}
    constant |= {"REPORTTYPE": "13F HOLDINGS REPORT", "ISCONFIDENTIALOMITTED": "N"}
    constant |= {"TABLEENTRYTOTAL": str(ROWS_PER_FILING), "TABLEVALUETOTAL": "1"}
    named = {"ACCESSION_NUMBER": accession, "CIK": text(ids + 1_000_000, "", 10)}
    named["FILINGMANAGER_NAME"] = text(ids, "Capital Management Partners ", 6, " LLC")
    unit = 1 if filed[-4:] >= "2023" else 1000
    prices = np.exp(np.random.default_rng(1).normal(4, 1, CUSIPS))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, header in HEADERS.items():
            columns = {one: named.get(one, pa.array([constant.get(one)] * filings)) for one in header.split()}
            with archive.open(f"{name}.tsv", "w") as member:
                lines(member, pa.table(columns), header=True)
        with archive.open("INFOTABLE.tsv", "w", force_zip64=True) as member:
            for start in range(0, rows, CHUNK):
                n = min(CHUNK, rows - start)
                line = np.arange(start, start + n)
                turn = (quarter + (HELD * uniform(line, np.zeros(n))).astype(int)) // HELD
                # A few stocks are held by most: the distribution function of Beta(1, 4), turned round.
                cusip = (CUSIPS * (1 - uniform(line, turn) ** 0.25)).astype(int)
                size = 8 + 2 * norm.ppf(np.clip(uniform(line, turn + 1_000_000), 1e-9, 1 - 1e-9))
                shares = np.exp(size + generator.normal(0, 0.1, n)).astype(int)
                put = pa.array(np.where(generator.random(n) < 0.08, "Put", ""))
                filing = np.minimum(line // ROWS_PER_FILING, filings - 1)
                table = {
                    "ACCESSION_NUMBER": accession.take(pa.array(filing)),
                    "INFOTABLE_SK": pa.array(line + 100_000_000),
                    "NAMEOFISSUER": text(cusip, "INTERNATIONAL BUSINESS ", 5),
                    "TITLEOFCLASS": pa.array(["COM"] * n),
                    "CUSIP": text(cusip, "0", 5, "100"),
                    "FIGI": text(cusip, "BBG00", 7),
                    "VALUE": pa.array((shares * prices[cusip] / unit).astype(int)),
                    "SSHPRNAMT": pa.array(shares),
                    "SSHPRNAMTTYPE": pa.array(["SH"] * n),
                    "PUTCALL": put,
                    "INVESTMENTDISCRETION": pa.array(["SOLE"] * n),
                    "OTHERMANAGER": pa.array(["1,2"] * n),
                    "VOTING_AUTH_SOLE": pa.array(shares),
                    "VOTING_AUTH_SHARED": pa.array([0] * n),
                    "VOTING_AUTH_NONE": pa.array([0] * n),
                }
                lines(member, pa.table(table), header=start == 0)


def told(name: str, *options: object) -> str:
    """Run a stage; a line with its wall time, CPU time and peak memory, and below it what it said last."""
    cost, output = measured(["-m", f"workflow_scripts.{name}", *options])
    times = f"{cost.wall:7.1f} s, {cost.user + cost.system:7.1f} s CPU, {cost.memory / 1024:5.2f} GiB"
    return f"{name:<20}{times}\n  {output.splitlines()[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows of one zip")
    parser.add_argument("--zips", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    config = read_config({"run": "benchmark", "panel": "sec", "sec": {"zips": "zips"}})
    settings = {
        rule: ["--settings", json.dumps(USES[rule](config, SimpleNamespace()))]
        for rule in ("build_sec_positions", "build_sec_panel")
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        made = []
        for number in range(args.zips):
            quarter = 4 * 2023 - args.zips // 2 + number
            path = folder / f"{quarter // 4}q{quarter % 4 + 1}_form13f.zip"
            made.append([folder / f"{path.stem}.{name}.parquet" for name in ("positions", "filings")])
            if made[-1][1].is_file():
                continue
            if not path.is_file():
                write_zip(path, quarter, args.rows)
            print(f"{path.name}: {args.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB", flush=True)
            files = ["--zip", path, "--positions", made[-1][0], "--filings", made[-1][1]]
            print(told("read_sec_zip", *files), flush=True)
        positions, filings = zip(*made, strict=True)
        files = ["--positions", *positions, "--filings", *filings]
        print(told("build_sec_positions", *files, *settings["build_sec_positions"], "--out", folder), flush=True)
        files = ["--positions", folder / "positions.parquet", "--managers", folder / "managers.parquet"]
        out = ["--slices", folder / "panel", "--out", folder]
        print(told("build_sec_panel", *files, *settings["build_sec_panel"], *out))


if __name__ == "__main__":
    main()
