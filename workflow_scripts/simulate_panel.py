"""Write the simulated slice of one firm type (its law: holdings/panel/simulation.py)."""

from argparse import Namespace
from dataclasses import dataclass

from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_tables


@dataclass(frozen=True)
class Settings:
    """The law of the panel, and the constant of the firm type."""

    seed: int
    simulation: SimulationSettings
    drift: float


def main(args: Namespace) -> str:
    """Write `--out`."""
    settings = args.settings
    tables = simulate_panel(args.firm_type, settings.drift, settings.simulation, settings.seed)
    rows = write_tables(args.out, tables)
    return f"simulate_panel {args.firm_type}: {rows:,} rows"


if __name__ == "__main__":
    cli.without_pandas()
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
