"""Wall time, CPU time and peak memory of the data stages, whole processes, beside peers that find the same windows.

    make benchmark-data                      slices of 0.2, 5 and 20 million rows
    make benchmark-data ROWS="0.2 5 20 100"  with 100 million: some 10 GB of disk, a quarter of an hour

Every process runs `--repeat` times (once beyond 5 million rows), in turn, on a simulated slice; the table shows the
fastest. All must find the same number of windows. The line `all stages that read the slice` is the sum of the stages
up to the samples, of the windows for the baselines and of the audits, to be held against `read`, which only reads the
six columns that windows need; `their start` is what these processes take to begin, which no slice is too small for, and
`start` is Python with numpy and pyarrow alone. Linear algebra and Arrow have one thread, as in a job of Snakemake.
`in one process` are stages in a process that has loaded them, to be held against `loop`. `--shuffled` measures the
stages on an unsorted copy as well.
"""

import argparse
import functools
import json
import os
import re
import runpy
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.settings.reading import read_config
from workflow_scripts.settings.uses import USES

ROOT = Path(__file__).resolve().parents[2]
PEERS = ["read", "pandas", "polars", "polars-trusting", "duckdb", "loop"]
# Rows of a manager in the simulated panel: 100 stocks, 80 quarters, most of them held.
ROWS_PER_MANAGER = 6170
# What Snakemake gives a job of one thread.
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
START = ["-c", "import numpy, pyarrow.compute, pyarrow.parquet"]
# Windows, stocks, managers and one sample.
SAMPLED = slice(1, 4)
# Millions of rows up to which a peer takes part: the loop takes minutes beyond, pandas more memory than a laptop has.
LARGEST = {"loop": 0.2, "pandas": 20}
# Up to here processes run several times.
REPEATED = 5
SIMULATION = {"stocks": 4000, "stocks_per_manager": 100, "first_year": 2000, "last_year": 2019}
FIRM_TYPE = "banks"
SPLITS = ("sft", "grpo", "test")
CONFIG = read_config({"run": "benchmark", "panel": "panel", "firm_types": [FIRM_TYPE]})
PROMPTS = 20_000


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds of wall time, seconds of CPU in the program and in the kernel, peak memory in MB."""

    wall: float
    user: float
    system: float
    memory: float

    def __add__(self, other: "Cost") -> "Cost":
        times = (getattr(self, name) + getattr(other, name) for name in ("wall", "user", "system"))
        return Cost(*times, max(self.memory, other.memory))

    def row(self, name: str, read: "Cost") -> str:
        """A line of the table; the ratios are those of wall time and of all CPU time."""
        ratios = self.wall / read.wall, (self.user + self.system) / (read.user + read.system)
        times = "".join(f"{value:>9.2f}" for value in (self.wall, self.user, self.system, *ratios))
        return f"{name:<32}{times}{self.memory:>8,.0f}"


HEADER = f"{'process':<32}{'wall':>9}{'user':>9}{'system':>9}{'/ read':>9}{'CPU /':>9}{'MB':>8}"


def measured(command: list) -> tuple[Cost, str]:
    """Cost and output of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {command}")
    return Cost(time.perf_counter() - start, usage.ru_utime, usage.ru_stime, usage.ru_maxrss / 1024), output


def module(name: str, **options) -> list:
    pairs = [(f"--{key.replace('_', '-')}", value) for key, value in options.items()]
    lists = [[key, *value] if isinstance(value, list) else [f"{key}={value}"] for key, value in pairs]
    return ["-m", f"workflow_scripts.{name}", *(part for option in lists for part in option)]


def settings(rule: str, split: str = "", **changes) -> str:
    """What the rule is given in a run with the settings' defaults."""
    return json.dumps(USES[rule](CONFIG, SimpleNamespace(firm_type=FIRM_TYPE, split=split)) | changes)


def reading(slice_path: Path, folder: Path) -> dict[str, list]:
    """Our stages that read the slice, up to the samples, in the order in which they need each other."""
    shared = {"panel": slice_path, "firm_type": FIRM_TYPE}
    report, windows = folder / "report.json", folder / "windows.parquet"
    checks = {"settings": settings("check_panel"), "out": report, "text": folder / "report.txt"}
    stages = {
        "check_panel": module("check_panel", **shared, **checks),
        "build_windows": module(
            "build_windows", **shared, report=report, settings=settings("build_windows"), out=windows
        ),
        "build_quarters": module("build_quarters", **shared, stocks=tables(folder)[1], managers=tables(folder)[2]),
    }
    for split in SPLITS:
        stages[f"sample_windows {split}"] = sampling(slice_path, folder, split, settings("sample_windows", split))
    rule = "collect_training_windows"
    options = {"tables": tables(folder), "settings": settings(rule), "out": training_windows(folder)}
    return {**stages, rule: module(rule, **shared, **options)}


def tables(folder: Path) -> list[Path]:
    return [folder / f"{name}.parquet" for name in ("windows", "stock_quarters", "manager_quarters")]


def training_windows(folder: Path) -> list[Path]:
    return [folder / f"training_windows/{split}.parquet" for split in SPLITS[:-1]]


def sampling(slice_path: Path, folder: Path, split: str, content: str) -> list:
    out = folder / f"samples/{split}.parquet"
    files = {"tables": tables(folder), "out": [out, history(folder, split)], "report": out.with_suffix(".json")}
    return module("sample_windows", panel=slice_path, firm_type=FIRM_TYPE, **files, split=split, settings=content)


def history(folder: Path, split: str) -> Path:
    return folder / f"histories/{split}.parquet"


def texts(folder: Path) -> dict[str, list]:
    """What lies between the samples and the audits, and reads no slice."""
    stages = {}
    for split in SPLITS:
        rule, prompts = f"build_{split}_dataset", folder / f"prompts/{split}.jsonl"
        options = {"firm_type": FIRM_TYPE, "sample": folder / f"samples/{split}.parquet"}
        stages[f"build_prompts {split}"] = module(
            "build_prompts", **options, split=split, settings=settings("build_prompts"), out=prompts
        )
        options |= {"prompts": prompts, "out": folder / f"datasets/{split}.jsonl"}
        options |= {"settings": settings(rule)} if rule in USES else {}
        options |= {"report": folder / "datasets/sft.json"} if split == "sft" else {}
        stages[rule] = module(rule, **options)
    train = training_windows(folder)
    later, test = (folder / f"samples/{split}.parquet" for split in SPLITS[-2:])
    options = {"train": train, "later": later, "test": test, "firm_type": FIRM_TYPE}
    options |= {"settings": settings("predict_baselines")}
    return {**stages, "predict_baselines": module("predict_baselines", **options, out=forecasts(folder))}


def forecasts(folder: Path) -> list[Path]:
    return [folder / f"predictions/{name}.csv" for name in BASELINES]


def audits(slice_path: Path, folder: Path) -> dict[str, list]:
    shared = {"firm_type": FIRM_TYPE}
    stages = {}
    for split in SPLITS:
        audited = SPLITS if split == SPLITS[-1] else (split,)
        files = {
            kind: [folder / f"{kind}/{name}.{end}" for name in audited]
            for kind, end in (("samples", "parquet"), ("datasets", "jsonl"))
        }
        files["data"] = [history(folder, split), folder / "stock_quarters.parquet"]
        options = {"split": split, "settings": settings("audit_leakage", split), "out": folder / f"audit/{split}.csv"}
        sample = {"sample": [folder / f"samples/{split}.parquet", history(folder, split)],
                  "windows": folder / "windows.parquet", "stocks": folder / "stock_quarters.parquet"}  # fmt: skip
        blind = {
            "split": split,
            "settings": settings("audit_sample", split),
            "out": folder / f"audit/sample_{split}.csv",
        }
        stages[f"audit_sample {split}"] = module("audit_sample", **shared, **sample, **blind)
        stages[f"audit_leakage {split}"] = module("audit_leakage", **shared, **files, **options)
    files = {"samples": [folder / f"samples/{split}.parquet" for split in SPLITS], "predictions": forecasts(folder)}
    files["histories"] = [history(folder, split) for split in SPLITS]
    files["train"] = training_windows(folder)
    files["panel"] = [slice_path, tables(folder)[1]]
    options = {"settings": settings("audit_baselines"), "out": folder / "audit/baselines.csv"}
    return {**stages, "audit_baselines": module("audit_baselines", **shared, **files, **options)}


def number_of_windows(name: str, output: str) -> int | None:
    match = re.search(r"([\d,]+) windows", output) if name == "build_windows" else re.match(r"(\d+)$", output.strip())
    return int(match[1].replace(",", "")) if match and name != "read" else None


def benchmark(millions: float, folder: Path, repeat: int, shuffled: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    slice_path = folder / f"{FIRM_TYPE}.parquet"
    simulation = {**SIMULATION, "managers": max(1, round(millions * 1e6 / ROWS_PER_MANAGER))}
    law = json.dumps({"seed": 1, "simulation": simulation, "drift": -0.04})
    cost, output = measured(module("simulate_panel", firm_type=FIRM_TYPE, settings=law, out=slice_path))
    print(f"\n{output.strip()} in {cost.wall:.1f} s; {slice_path.stat().st_size / 1e6:,.0f} MB on disk")
    ours, between = reading(slice_path, folder), texts(folder)
    chain = {**ours, **audits(slice_path, folder)}
    peers = [name for name in PEERS if millions <= LARGEST.get(name, millions)]
    repeat = repeat if millions <= REPEATED else 1
    stages = {"start": START} | ours | between | chain
    stages |= {
        name: [Path(__file__).with_name("peers.py"), name, slice_path, folder / "peer.parquet"] for name in peers
    }
    if shuffled:
        copy = folder / "shuffled.parquet"
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.data_stages", "--shuffle", slice_path, copy], cwd=ROOT, check=True
        )
        stages |= {f"{name} (unsorted)": command for name, command in reading(copy, folder / "unsorted").items()}
    best: dict[str, Cost] = {}
    windows: dict[str, int] = {}
    for turn in range(repeat):
        for name, command in stages.items():
            if turn and (name == "loop" or name in between):
                continue
            cost, output = measured(command)
            best[name] = min(best.get(name, cost), cost, key=lambda one: one.wall)
            if (found := number_of_windows(name.removesuffix(" (unsorted)"), output)) is not None:
                windows[name] = found
    if len(set(windows.values())) != 1:
        sys.exit(f"the numbers of windows differ: {windows}")
    print(f"{next(iter(windows.values())):,} windows, found by {', '.join(windows)}")
    one_sample = list(ours)[SAMPLED]
    sums = {"all stages that read the slice": chain, "windows, stocks, managers, one sample": one_sample}
    print(HEADER)
    for name, cost in best.items():
        print(cost.row(name, best["read"]))
    for name, parts in sums.items():
        print(functools.reduce(Cost.__add__, (best[part] for part in parts)).row(name, best["read"]))
        starts = (measured([*stages[part][:2], "--help"])[0] for part in parts)
        print(functools.reduce(Cost.__add__, starts).row("  their start", best["read"]))
    commands = json.dumps([list(map(str, ours[part])) for part in one_sample])
    _, output = measured(["-m", "tests.benchmarks.data_stages", "--in-one-process", commands])
    print(f"{'  in one process':<32}{float(output.splitlines()[-1]):>9.2f}")
    prompts(slice_path, folder)


def prompts(slice_path: Path, folder: Path) -> None:
    """Prompts per second, the whole process, on a sample that is large enough to tell."""
    folder_of_many = folder / "many"
    folder_of_many.mkdir(exist_ok=True)
    for path in tables(folder):
        (folder_of_many / path.name).unlink(missing_ok=True)
        (folder_of_many / path.name).symlink_to(path)
    many = {"sample": {"per_type_limit": PROMPTS, "max_per_pair": 50}, "period": {"start": None, "end": None}}
    measured(sampling(slice_path, folder_of_many, "sft", settings("sample_windows", "sft", **many)))
    cost, output = measured(texts(folder_of_many)["build_prompts sft"])
    count = int(re.search(r"([\d,]+) prompts", output)[1].replace(",", ""))
    print(f"build_prompts: {count:,} prompts in {cost.wall:.2f} s, {count / cost.wall:,.0f} per second")


def in_one_process(commands: list[list[str]]) -> None:
    """Run stages in this process, and once more when it has loaded all that they need; prints the seconds of that."""
    for _ in range(2):
        start = time.perf_counter()
        for _, name, *options in commands:
            sys.argv = [name, *options]
            runpy.run_module(name, run_name="__main__")
    print(time.perf_counter() - start)


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
    parser.add_argument("--in-one-process", type=json.loads, metavar="COMMANDS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_one_process:
        in_one_process(arguments.in_one_process)
    elif arguments.shuffle:
        shuffle(*arguments.shuffle)
    else:
        for size in arguments.rows:
            benchmark(size, arguments.folder / f"{size:g}", arguments.repeat, arguments.shuffled)
