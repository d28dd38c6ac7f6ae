"""Write what all forecasters say of the next quarter, how good they were before, and what the ledger is to say of it.

All are of one firm type's windows; nothing of them has been published yet. What the columns mean stands beside them.
"""

from argparse import Namespace
from pathlib import Path

from workflow_scripts.holdings.evaluation.ledger_scores import COLUMNS as SCORES
from workflow_scripts.holdings.evaluation.ledger_scores import past_accuracy
from workflow_scripts.holdings.forecasts import ledger
from workflow_scripts.holdings.forecasts.next_quarter import forecast_table
from workflow_scripts.holdings.report.dictionary import FORECAST_COLUMNS, data_dictionary
from workflow_scripts.holdings.texts.tickers import named_tickers
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import json_digest, read_csv, read_json, read_table, write_csv, write_json


def main(args: Namespace) -> str:
    """Write forecasts, past accuracy, the ledger's entry and the columns' meaning to the four files of `--out`."""
    forecasts, accuracy, entry, dictionary = args.out
    report = read_json(args.report)
    tickers = named_tickers(args.tickers)
    predictions = {Path(path).stem: read_csv(path) for path in args.predictions}
    table = forecast_table(read_table(args.sample), predictions, tickers)
    write_csv(forecasts, table)
    past = past_accuracy(read_csv(args.metrics))
    write_csv(accuracy, past)
    tables = {"forecasts.csv": table.columns, "accuracy.csv": past.columns}
    tables |= {ledger.LEDGER: ledger.COLUMNS, "forecast_scores.csv": SCORES}
    write_csv(dictionary, data_dictionary(tables, FORECAST_COLUMNS))
    conditions = {Path(path).stem: read_json(path) for path in args.conditions}
    models = {name: json_digest([one["model"], one["adapter"]]) for name, one in conditions.items()}
    names = {name: report[name] for name in ("firm_type", "quarter", "quarter_forecast", "data_digest")}
    write_json(entry, {**names, "windows": report["forecast"], "rows": len(table), "model_digests": models})
    return f"write_forecasts {report['firm_type']}: {report['forecast']:,} windows, {len(predictions)} forecasters"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        sample=cli.TEXT,
        report=cli.TEXT,
        predictions=cli.FILES,
        conditions={**cli.OPTIONAL_FILES, "help": "of the forecasters that complete prompts"},
        metrics=cli.TEXT,
        tickers=cli.TICKERS,
        out={"nargs": 4, "metavar": ("FORECASTS", "ACCURACY", "ENTRY", "DICTIONARY")},
    )
