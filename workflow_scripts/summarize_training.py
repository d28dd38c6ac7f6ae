"""Turn the trainer's log of one adapter into a table, a figure, and warnings where the training looks sick."""

from argparse import Namespace
from pathlib import Path

from workflow_scripts.holdings.report.training_curves import plot_training, sick_signs, training_curve
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, write_csv, write_json


def main(args: Namespace) -> str:
    """Write `{stage}.csv`, `{stage}.png`, `{stage}.pdf` and `{stage}.json` (the warnings) to the folder `--out`."""
    curve = training_curve(read_jsonl(args.log))
    signs = sick_signs(curve)
    out = Path(args.out)
    write_csv(out / f"{args.stage}.csv", curve)
    plot_training(curve, f"{args.firm_type}, {args.stage}", out / args.stage)
    write_json(out / f"{args.stage}.json", {"firm_type": args.firm_type, "stage": args.stage, "warnings": signs})
    label = f"summarize_training {args.firm_type} {args.stage}"
    return "\n".join([*(f"{label}: WARNING: {sign}" for sign in signs), f"{label}: {len(curve)} logged steps"])


if __name__ == "__main__":
    cli.run(main, __doc__, firm_type=cli.TEXT, stage=cli.TEXT, log=cli.TEXT, out=cli.TEXT)
