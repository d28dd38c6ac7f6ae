"""Wall time and peak memory of the data stages, whole processes, beside peers that find the same windows.

    make benchmark-data                      slices of 0.2, 5 and 20 million rows
    make benchmark-data ROWS="0.2 5 20 100"  with 100 million: some 10 GB of disk, a quarter of an hour

Every process runs `--repeat` times (once beyond 5 million rows), in turn, on a simulated slice; the table shows the
fastest. All must find the same number of windows. `--shuffled` measures the stages on an unsorted copy as well.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ["read", "pandas", "polars", "polars-trusting", "duckdb", "loop"]
# Rows of a manager in the simulated panel: 100 stocks, 80 quarters, most of them held.
ROWS_PER_MANAGER = 6170
# Millions of rows up to which a peer takes part: the loop takes minutes beyond, pandas more memory than a laptop has.
LARGEST = {"loop": 0.2, "pandas": 20}
# Up to here processes run several times.
REPEATED = 5
SIMULATION = {"stocks": 4000, "stocks_per_manager": 100, "first_year": 2000, "last_year": 2019}
SPLITS = {"sft": (None, "2016-12-31"), "grpo": ("2017-01-01", "2018-12-31"), "test": ("2019-01-01", None)}
PROMPTS = 20_000


def measured(command: list) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and output of a process."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {command}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, output


def module(name: str, **options) -> list:
    pairs = [(f"--{key.replace('_', '-')}", value) for key, value in options.items()]
    return ["-m", f"workflow_scripts.{name}", *(f"{key}={value}" for key, value in pairs)]


def commands(slice_path: Path, folder: Path) -> dict[str, list]:
    """Our stages in the order in which they need each other."""
    shared = {"panel": slice_path, "firm_type": "banks"}
    report, windows = folder / "report.json", folder / "windows.parquet"
    stages = {
        "check_panel": module("check_panel", **shared, settings="{}", out=report, text=folder / "report.txt"),
        "build_windows": module("build_windows", **shared, report=report, settings="{}", out=windows),
        "build_stock_quarters": module("build_stock_quarters", **shared, out=folder / "stock_quarters.parquet"),
    }
    for split, period in SPLITS.items():
        stages[f"sample_windows {split}"] = sampling(shared, windows, folder, split, period, {})
    return stages


def sampling(shared: dict, windows: Path, folder: Path, split: str, period: tuple, sample: dict) -> list:
    settings = {
        "seed": 1,
        "history_quarters": 4,
        "sample": sample,
        "period": dict(zip(("start", "end"), period, strict=True)),
        "next_start": None,
        "embargo_quarters": 0,
        "needs_active_change": False,
    }
    stocks, out = folder / "stock_quarters.parquet", folder / f"{split}.parquet"
    files = {"windows": windows, "stocks": stocks, "out": out, "report": out.with_suffix(".json")}
    return module("sample_windows", **shared, **files, split=split, settings=json.dumps(settings))


def number_of_windows(name: str, output: str) -> int | None:
    match = re.search(r"([\d,]+) windows", output) if name == "build_windows" else re.match(r"(\d+)$", output.strip())
    return int(match[1].replace(",", "")) if match and name != "read" else None


def benchmark(millions: float, folder: Path, repeat: int, shuffled: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    slice_path = folder / "banks.parquet"
    simulation = {**SIMULATION, "managers": max(1, round(millions * 1e6 / ROWS_PER_MANAGER))}
    settings = json.dumps({"seed": 1, "simulation": simulation, "drift": -0.04})
    options = {"firm_type": "banks", "settings": settings, "out": slice_path}
    seconds, memory, output = measured(module("simulate_panel", **options))
    print(f"\n{output.strip()} in {seconds:.1f} s, {memory:,.0f} MB; {slice_path.stat().st_size / 1e6:,.0f} MB on disk")
    stages = commands(slice_path, folder)
    peers = [name for name in PEERS if millions <= LARGEST.get(name, millions)]
    repeat = repeat if millions <= REPEATED else 1
    stages |= {
        name: [Path(__file__).with_name("peers.py"), name, slice_path, folder / "peer.parquet"] for name in peers
    }
    if shuffled:
        copy = folder / "shuffled.parquet"
        subprocess.run([sys.executable, __file__, "--shuffle", slice_path, copy], check=True)
        (folder / "unsorted").mkdir(exist_ok=True)
        stages |= {f"{name} (unsorted)": command for name, command in commands(copy, folder / "unsorted").items()}
    best: dict[str, tuple[float, float]] = {}
    windows: dict[str, int] = {}
    for turn in range(repeat):
        for name, command in stages.items():
            if name == "loop" and turn:
                continue
            seconds, memory, output = measured(command)
            best[name] = min(best.get(name, (seconds, memory)), (seconds, memory))
            if (found := number_of_windows(name.removesuffix(" (unsorted)"), output)) is not None:
                windows[name] = found
    if len(set(windows.values())) != 1:
        sys.exit(f"the numbers of windows differ: {windows}")
    read = best["read"][0]
    print(f"{next(iter(windows.values())):,} windows, found by {', '.join(windows)}")
    print(f"{'process':<32}{'seconds':>9}{'/ read':>8}{'MB':>8}")
    for name, (seconds, memory) in best.items():
        print(f"{name:<32}{seconds:>9.2f}{seconds / read:>8.2f}{memory:>8,.0f}")
    prompts(slice_path, folder)


def prompts(slice_path: Path, folder: Path) -> None:
    """Prompts per second, the whole process, on a sample that is large enough to tell."""
    shared = {"panel": slice_path, "firm_type": "banks"}
    settings = {"per_type_limit": PROMPTS, "max_per_pair": 50}
    measured(sampling(shared, folder / "windows.parquet", folder, "sft", (None, None), settings))
    options = {"sample": folder / "sft.parquet", "firm_type": "banks", "split": "sft", "settings": "{}"}
    seconds, memory, output = measured(module("build_prompts", **options, out=folder / "prompts.jsonl"))
    count = int(re.search(r"([\d,]+) prompts", output)[1].replace(",", ""))
    print(f"build_prompts: {count:,} prompts in {seconds:.2f} s, {count / seconds:,.0f} per second, {memory:,.0f} MB")


def shuffle(source: str, target: str) -> None:
    """The rows of a slice in random order, by a library that can do so out of memory."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '4GB'")
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{source}') ORDER BY hash(mgrno, permno, date)) TO '{target}' "
            "(FORMAT parquet, COMPRESSION zstd)"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=float, default=[0.2, 5, 20], help="millions of rows")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--shuffled", action="store_true", help="also on an unsorted slice")
    parser.add_argument("--folder", type=Path, default=ROOT / "results/benchmark-data")
    parser.add_argument("--shuffle", nargs=2, metavar=("SOURCE", "TARGET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.shuffle:
        shuffle(*arguments.shuffle)
    else:
        for size in arguments.rows:
            benchmark(size, arguments.folder / f"{size:g}", arguments.repeat, arguments.shuffled)
