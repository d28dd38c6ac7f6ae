"""Write what the models are asked to tell knowing from remembering, for some test windows of one firm type.

Steps: draw windows → the prompts of the probes, made by the run's own prompt builder → the true answers among others,
in the form of the SFT labels. The random stream depends on the seed and the firm type alone.
"""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.texts.conversations import ThinkStyle
from workflow_scripts.holdings.texts.probe_answers import AnswerStyle, answer_rows
from workflow_scripts.holdings.texts.probe_prompts import ProbeSettings, factors, probe_rows, probed_rows
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.texts.tickers import named_tickers
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_table, write_jsonl
from workflow_scripts.plumbing.random_streams import random_stream


@dataclass(frozen=True)
class Settings:
    """The probes, and the form of the run's prompts and answers."""

    seed: int
    probes: ProbeSettings
    prompts: PromptSettings
    think: ThinkStyle | None
    decimals: int


def main(args: Namespace) -> str:
    """Write the prompts to `--questions` and the sets of answers to `--ranked`."""
    settings = args.settings
    rng = random_stream(settings.seed, args.firm_type, "probes")
    sample = read_table(args.sample)
    sample = sample.take(probed_rows(sample.num_rows, settings.probes.windows, rng))
    tickers = named_tickers(args.tickers)
    factor = factors(sample.num_rows, settings.probes.largest_factor, rng)
    questions = probe_rows(sample, factor, settings.prompts, tickers)
    style = AnswerStyle(settings.prompts.target, settings.decimals, settings.think)
    ranked = answer_rows(sample, build_prompts(sample, settings.prompts, tickers), style, settings.probes, rng)
    write_jsonl(args.questions, questions)
    write_jsonl(args.ranked, ranked)
    return (
        f"build_probes {args.firm_type}: {sample.num_rows:,} windows, {len(questions):,} prompts, {len(ranked):,} sets"
    )


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        sample=cli.TEXT,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        tickers=cli.TICKERS,
        questions=cli.TEXT,
        ranked=cli.TEXT,
    )
