"""Read the forecasts out of one stage's completions, with the parser that the rewards use, but leniently.

Writes one row per window, and examples of each kind of fault.
"""

from argparse import Namespace

from workflow_scripts.holdings.forecasts.predictions import fault_examples, parse_samples, summarize_samples
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, write_csv


def main(args: Namespace) -> str:
    """Write one row per test window to `--out`, and completions with a fault to `--faults`."""
    completions = read_jsonl(args.completions, ("window_id", "completion", "finish_reason"))
    samples = parse_samples(completions, read_jsonl(args.dataset), args.settings)
    table = summarize_samples(samples)
    write_csv(args.out, table)
    examples = fault_examples(samples)
    for name in ("stage", "firm_type"):
        examples.insert(0, name, getattr(args, name))
    write_csv(args.faults, examples)
    shares = f"{table['parsed_share'].mean():.1%} parsed, {table['valid_share'].mean():.1%} valid"
    return f"parse_predictions {args.firm_type} {args.stage}: {shares}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        completions=cli.TEXT,
        dataset=cli.TEXT,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        settings=cli.settings_option(Contract),
        out=cli.TEXT,
        faults=cli.TEXT,
    )
