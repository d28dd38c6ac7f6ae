"""Take the user's own forecasts of one firm type from a CSV: a forecaster like any other from then on.

Fails, and says where, when a test window has no forecast or two, or when a cell is no number
(`holdings/forecasts/own_forecasts.py`). Where the file has quantiles at all levels that the others have, it is
scored as a distribution, too; the log says which are missing.
"""

from argparse import Namespace

from workflow_scripts.holdings.forecasts.own_forecasts import own_predictions
from workflow_scripts.holdings.forecasts.quantiles import missing_quantiles
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_jsonl, write_csv


def main(args: Namespace) -> str:
    """Write the table of predictions to `--out`."""
    rows = read_jsonl(args.dataset, ("window_id", "holding_t"))
    columns = ([row[name] for row in rows] for name in ("window_id", "holding_t"))
    table, others = own_predictions(args.forecasts, *columns)
    write_csv(args.out, table)
    below = int((table["valid_share"] == 0).sum())
    missing = missing_quantiles(table)
    return (
        f"import_forecasts {args.firm_type} {args.forecaster}: {len(table):,} test windows, {others:,} rows of other "
        f"windows, {below:,} forecasts below the bound, "
        + (f"no distribution (without {', '.join(missing)})" if missing else "a distribution")
    )


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        forecasts={**cli.TEXT, "help": "CSV window_id,predicted_delta[,q05,...]"},
        dataset=cli.TEXT,
        firm_type=cli.TEXT,
        forecaster=cli.TEXT,
        out=cli.TEXT,
    )
