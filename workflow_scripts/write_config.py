"""Write the resolved configuration of a run, so that its results can be read without its command."""

from argparse import Namespace

import yaml

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_text


def main(args: Namespace) -> str:
    """Write `--out`."""
    write_text(args.out, yaml.safe_dump(args.settings, sort_keys=False, allow_unicode=True))
    return f"write_config: {args.out}"


if __name__ == "__main__":
    cli.run(main, __doc__, settings=cli.JSON, out=cli.TEXT)
