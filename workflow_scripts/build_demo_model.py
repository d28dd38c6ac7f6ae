"""Build and pretrain the demo's tiny base model and tokenizer (holdings/demo_model.py says how)."""

import torch

from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import whole_folder
from workflow_scripts.training.demo_model import (
    CorpusStyle,
    DemoModelSettings,
    build_corpus,
    curriculum,
    pretrain,
    save_model,
    train_tokenizer,
)

TOKENIZER_EXAMPLES = 800


def main(args) -> str:
    """Write the model to the folder `--out`, whole or not at all."""
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    settings = args.settings
    style = CorpusStyle(args.prompt_settings, args.think_template, args.decimals)
    corpus = build_corpus(style, settings.malformed_share, settings.windows_per_type, args.seed)
    tokenizer = train_tokenizer(corpus[:TOKENIZER_EXAMPLES], settings.vocabulary)

    def report(line: str) -> None:
        print(f"build_demo_model: {line}", flush=True)

    model = pretrain(curriculum(corpus, settings, args.seed), tokenizer, settings, args.seed, report)
    with whole_folder(args.out) as temporary:
        save_model(model, tokenizer, temporary)
    return f"build_demo_model: {sum(p.numel() for p in model.parameters()):,} parameters in {args.out}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        settings=cli.settings_option(DemoModelSettings),
        prompt_settings=cli.settings_option(PromptSettings),
        think_template=cli.JSON,
        decimals=cli.INTEGER,
        seed=cli.INTEGER,
        threads=cli.INTEGER,
        out=cli.TEXT,
    )
