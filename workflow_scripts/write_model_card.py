"""Write the model card of an adapter from its manifest and the form of its prompts."""

from argparse import Namespace

from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_json, write_text
from workflow_scripts.training.model_card import model_card


def main(args: Namespace) -> str:
    """Write `--out`."""
    write_text(args.out, model_card(read_json(args.manifest), args.settings))
    return f"write_model_card: {args.out}"


if __name__ == "__main__":
    cli.run(main, __doc__, manifest=cli.TEXT, settings=cli.settings_option(PromptSettings), out=cli.TEXT)
