"""Paired comparisons of one firm type: base, SFT and GRPO with each other and with no-change."""

from workflow_scripts import cli
from workflow_scripts.evaluate_forecasts import read_joined
from workflow_scripts.holdings.comparison import compare_forecasts
from workflow_scripts.holdings.files import write_csv
from workflow_scripts.holdings.sampling import random_stream

PAIRS = (
    ("base", "sft"),
    ("sft", "grpo"),
    ("base", "grpo"),
    ("no_change", "base"),
    ("no_change", "sft"),
    ("no_change", "grpo"),
)


def main(args) -> str:
    """Write the comparisons to `--out`."""
    joined = read_joined(args.dataset, args.predictions)
    rng = random_stream(args.seed, args.firm_type, "bootstrap")
    table = compare_forecasts(joined, PAIRS, args.draws, args.confidence, rng)
    table.insert(0, "firm_type", args.firm_type)
    write_csv(args.out, table)
    return f"compare_forecasts {args.firm_type}: {len(PAIRS)} pairs, {args.draws:,} draws"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        dataset=cli.TEXT,
        predictions=cli.FILES,
        firm_type=cli.TEXT,
        draws=cli.INTEGER,
        confidence={"type": float},
        seed=cli.INTEGER,
        out=cli.TEXT,
    )
