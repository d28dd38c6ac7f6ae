"""Write the simulated slice of one firm type (its law: holdings/simulate.py)."""

from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import write_tables


def main(args) -> str:
    """Write `--out`."""
    rows = write_tables(args.out, simulate_panel(args.firm_type, args.drift, args.settings, args.seed))
    return f"simulate_panel {args.firm_type}: {rows:,} rows"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        drift={"type": float},
        settings=cli.settings_option(SimulationSettings),
        seed=cli.INTEGER,
        out=cli.TEXT,
    )
