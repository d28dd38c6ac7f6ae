"""Score what was forecast before, as it was kept, against the positions that the panel has now.

The ledger's chain and all kept files are checked first. A line whose quarter the panel does not have yet waits.
"""

from argparse import Namespace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from workflow_scripts.holdings.evaluation.ledger_scores import COLUMNS, NAMES, line_scores, with_truth
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.forecasts.ledger import KEPT, check_kept, kept_name, marks, read_ledger
from workflow_scripts.holdings.forecasts.next_quarter import kept_forecasts
from workflow_scripts.holdings.panel.quarters import label_ids
from workflow_scripts.holdings.panel.slices import read_pairs
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_csv, read_table, write_csv
from workflow_scripts.training.store import alone_in

POSITIONS = ("mgrno", "permno", "date", "holding_t", "holding_t1")


def main(args: Namespace) -> str:
    """Write a row per scored line and forecaster to `--out`."""
    folder = Path(args.ledger).parent
    lines = read_ledger(folder)
    if not lines:
        raise InputError(f"{args.ledger}: there is no forecast to score yet; run snakemake forecast first")
    with alone_in(folder / KEPT, "score_forecasts"):
        # Nobody is just about to keep a file whose line is there.
        check_kept(folder, lines)
    stocks = {Path(path).parent.name: read_table(path) for path in args.stocks}
    newest = {name: int(table["quarter"].to_numpy().max()) for name, table in stocks.items()}
    panels = {Path(path).stem: path for path in args.panels}
    tables = []
    for line, marked in zip(lines, marks(lines), strict=True):
        firm_type = line["firm_type"]
        if label_ids([line["quarter_forecast"]])[0] > newest.get(firm_type, -1):
            continue
        kept = kept_forecasts(read_csv(folder / KEPT / kept_name(line)))
        pairs = pa.table({name: kept[name].to_numpy() for name in ("mgrno", "permno")})
        positions = read_pairs(panels[firm_type], POSITIONS, pairs)
        joined = with_truth(kept, positions, StockQuarters(stocks[firm_type]))
        tables.append(line_scores(joined, args.settings, {**{name: line[name] for name in NAMES}, **marked}))
    write_csv(args.out, pd.concat(tables) if tables else pd.DataFrame(columns=COLUMNS))
    waiting = len(lines) - len(tables)
    return f"score_forecasts: {len(tables)} of {len(lines)} lines scored, {waiting} wait for their quarter: {args.out}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        ledger=cli.TEXT,
        panels={**cli.FILES, "help": "slices, each named as its firm type"},
        stocks={**cli.FILES, "help": "their stock_quarters.parquet, each in the folder of its firm type"},
        settings=cli.settings_option(EvaluationSettings),
        out=cli.TEXT,
    )
