"""Wall time and peak memory of the reading of Form 13F data sets, whole processes, on generated zips.

    make benchmark-sec                               one zip of 4 million rows, as the largest of the SEC
    make benchmark-sec SEC_ROWS=1000000 SEC_ZIPS=8   8 quarters, and the positions of all of them

The zips have the columns, the lengths of the names and the duplicates of the SEC's; the first half of the quarters is
in thousands. With `--keep FOLDER` zips and outputs stay there.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from workflow_scripts.plumbing.code_digest import ROOT

ROWS_PER_FILING = 400
CUSIPS = 20_000
CHUNK = 500_000
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
                cusip = (CUSIPS * generator.beta(1, 4, n)).astype(int)
                shares = np.exp(generator.normal(8, 2, n)).astype(int)
                put = pa.array(np.where(generator.random(n) < 0.08, "Put", ""))
                filing = np.minimum(np.arange(start, start + n) // ROWS_PER_FILING, filings - 1)
                table = {
                    "ACCESSION_NUMBER": accession.take(pa.array(filing)),
                    "INFOTABLE_SK": pa.array(np.arange(start, start + n) + 100_000_000),
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


def measured(command: list[str]) -> str:
    """Run a command; wall time, CPU time and peak memory as a text."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    wall = time.perf_counter() - started
    return f"{wall:7.1f} s, {usage.ru_utime + usage.ru_stime:7.1f} s CPU, {usage.ru_maxrss / 2**20:5.2f} GiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows of one zip")
    parser.add_argument("--zips", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        made = []
        for number in range(args.zips):
            quarter = 4 * 2023 - args.zips // 2 + number
            path = folder / f"{quarter // 4}q{quarter % 4 + 1}_form13f.zip"
            if not path.is_file():
                write_zip(path, quarter, args.rows)
            outputs = [folder / f"{path.stem}.{name}.parquet" for name in ("positions", "filings")]
            options = ["--zip", str(path), "--positions", str(outputs[0]), "--filings", str(outputs[1])]
            print(f"{path.name}: {args.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB", flush=True)
            print(f"read_sec_zip        {measured(['workflow_scripts.read_sec_zip', *options])}", flush=True)
            made.append(outputs)
        positions, filings = ([str(one) for one in files] for files in zip(*made, strict=True))
        options = ["--positions", *positions, "--filings", *filings, "--settings", "{}", "--out", str(folder)]
        print(f"build_sec_positions {measured(['workflow_scripts.build_sec_positions', *options])}")


if __name__ == "__main__":
    main()
