"""Build and pretrain the demo's tiny base model and tokenizer (training/demo_model.py says how)."""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.texts.conversations import ThinkStyle
from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import whole_folder
from workflow_scripts.training.demo_model import (
    CorpusStyle,
    build_corpus,
    curriculum,
    make_repeatable,
    pretrain,
    save_model,
    train_tokenizer,
)
from workflow_scripts.training.demo_settings import DemoModelSettings

TOKENIZER_EXAMPLES = 800


@dataclass(frozen=True)
class Settings:
    """The model, and the form of its corpus: that of the run's prompts and completions."""

    seed: int
    demo_model: DemoModelSettings
    prompts: PromptSettings
    think: ThinkStyle | None
    decimals: int


def main(args: Namespace) -> str:
    """Write the model to the folder `--out`, whole or not at all."""
    make_repeatable(args.threads)
    settings, seed = args.settings.demo_model, args.settings.seed
    style = CorpusStyle(args.settings.prompts, args.settings.think, args.settings.decimals)
    corpus = build_corpus(style, settings.malformed_share, settings.windows_per_type, seed)
    tokenizer = train_tokenizer(corpus[:TOKENIZER_EXAMPLES], settings.vocabulary)

    def report(line: str) -> None:
        print(f"build_demo_model: {line}", flush=True)

    model = pretrain(curriculum(corpus, settings, seed), tokenizer, settings, seed, report)
    with whole_folder(args.out) as temporary:
        save_model(model, tokenizer, temporary)
    return f"build_demo_model: {sum(p.numel() for p in model.parameters()):,} parameters in {args.out}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        settings=cli.settings_option(Settings),
        threads=cli.INTEGER,
        out=cli.TEXT,
    )
