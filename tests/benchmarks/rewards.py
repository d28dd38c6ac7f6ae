"""What the rewards of the accuracy teach on the GRPO windows of a panel: dead groups, order, alignment with the truth.

    make benchmark-rewards                                the demo's simulated panel
    make benchmark-rewards PANEL=/path/to/panel_folder    real slices, with the production settings

GRPO datasets are built by the workflow. Each prompt gets a group of answers of known error: from -1 to 1.5 times the
truth, spread around no change by a tenth of the past change, or by all of it. Rewards score them in batches of several
sizes, because some are scaled by their batch. Columns, by kind of group, over the groups whose errors differ:

- dead: share of the groups from which ms-swift's division leaves less than half of the advantages
- order: share of the pairs in which the answer with the smaller error earns more
- cut: share of the answers with a number that earn -1, the least
- align: mean product of ms-swift's advantages and -|error|, standardized within the group: 1 for a reward that is
  linear in the error, 0 where nothing is told apart
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.project import SNAKEMAKE, checkout
from workflow_scripts.holdings.rewards.preflight import (
    ADVANTAGE_EPSILON,
    ROUNDING,
    SCALED_TRUTH,
    Windows,
    canned_forecasts,
    completions_of,
    group_around,
    group_shares,
)
from workflow_scripts.holdings.rewards.rewards import RewardSettings, replay
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.plumbing.files import read_jsonl

REWARDS = ("mse_holdings", "external_holdings", "direction_holdings", "scaled_mse_holdings", "scaled_mae_holdings",
           "crps_holdings")  # fmt: skip
KINDS = (SCALED_TRUTH, "no_change", "sampled")
GENERATIONS = 8
SEED = 1


def datasets(panel: str, firm_types: list[str], target: str, folder: Path) -> dict[str, list[dict]]:
    """The GRPO rows by firm type, built in a checkout of its own."""
    project = checkout(folder)
    config = "config/demo.yaml" if panel == "simulated" else "config/config.yaml"
    settings = {"run": "rewards", "panel": panel, "firm_types": firm_types, "prompts": {"target": target}}
    words = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]
    paths = {name: f"results/rewards/{name}/datasets/grpo.jsonl" for name in firm_types}
    command = [SNAKEMAKE, "--cores", "1", "--configfile", config, "--config", *words, "--", *paths.values()]
    result = subprocess.run(command, cwd=project.root, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(result.stdout + result.stderr)
    return {name: read_jsonl(project.root / path) for name, path in paths.items()}


def alignment(rewards: NDArray[np.float64], error: NDArray[np.float64]) -> float:
    """Mean over the groups, of shape (n, G), of the product of advantages and standardized -|error|."""
    spread = error.std(axis=1, ddof=1, keepdims=True)
    advantages = rewards - rewards.mean(axis=1, keepdims=True)
    advantages /= rewards.std(axis=1, ddof=1, keepdims=True) + ADVANTAGE_EPSILON
    product = advantages * (error.mean(axis=1, keepdims=True) - error) / spread
    return float(product.sum(axis=1).mean() / (rewards.shape[1] - 1))


def measured(rows: list[dict], target: str, prompts: list[int]) -> pd.DataFrame:
    """A row per reward and size of batch, columns by kind of group and measure."""
    label = TARGETS[target].label
    true, held, past = (np.array([row[name] for row in rows], float) for name in (label, "holding_t", "past_change"))
    windows, rng = Windows(true, held, past, GENERATIONS), np.random.default_rng(SEED)
    columns = {
        name: [row[name] for row in rows for _ in range(GENERATIONS)] for name in (label, "holding_t", "past_change")
    }
    forecasts, table = canned_forecasts(windows, rng), {}
    for kind in KINDS:
        draws = group_around(forecasts[kind], windows, rng)
        texts = completions_of(draws, windows, Contract(target))
        error = np.abs(draws.round(TARGETS[target].decimals) - true[:, None])
        told = np.ptp(error, axis=1) > ROUNDING
        for name in REWARDS:
            for size in prompts:
                paid = replay(name, RewardSettings([name], {}, target), texts, columns, size * GENERATIONS)
                paid = paid.reshape(error.shape)
                shares = group_shares(paid, error)
                row = table.setdefault((name, size), {})
                row[kind, "dead"], row[kind, "order"] = shares["dead_groups"], shares["in_order"]
                row[kind, "cut"], row[kind, "align"] = (paid <= -1).mean(), alignment(paid[told], error[told])
    return pd.DataFrame.from_dict(table, orient="index").rename_axis(["reward", "prompts"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", default="simulated", help="folder of slices, or the word simulated")
    parser.add_argument("--firm-types", nargs="+", help="all slices of the panel without it")
    parser.add_argument("--target", default="holding_delta", choices=TARGETS)
    parser.add_argument("--prompts", nargs="+", type=int, default=[2, 32], help="prompts in a batch")
    args = parser.parse_args()
    panel = args.panel if args.panel == "simulated" else str(Path(args.panel).resolve())
    slices = (
        ["banks", "mutual_funds"] if panel == "simulated" else sorted(p.stem for p in Path(panel).glob("*.parquet"))
    )
    with tempfile.TemporaryDirectory() as folder:
        found = datasets(panel, args.firm_types or slices, args.target, Path(folder))
    for firm_type, rows in found.items():
        print(f"\n{firm_type}: {len(rows):,} windows, target {args.target}, groups of {GENERATIONS}")
        print(measured(rows, args.target, args.prompts).round(3).to_string())


if __name__ == "__main__":
    main()
