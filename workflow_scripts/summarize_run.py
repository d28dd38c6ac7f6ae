"""Collect the tables of all firm types, draw the skill figure, write the report, print the headline.

The report is one HTML file without outside references; it shows the headline metrics of the change,
the paired comparisons, the rewards of the completions and the residual and IC figures.
"""

import base64
import html
from pathlib import Path

import pandas as pd

from workflow_scripts import cli
from workflow_scripts.holdings.evaluation import TREATMENTS
from workflow_scripts.holdings.files import read_json, write_csv, write_text
from workflow_scripts.holdings.plots import plot_skill

HEADLINE_COLUMNS = ["MAE", "skill", "RMSE", "R2", "IC", "RankIC", "coverage", "contract_valid", "share_no_change"]
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{run}: holdings adjustment</title>
<style>body{{font:15px/1.45 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;font-size:13px;margin:1rem 0}}td,th{{padding:.2rem .6rem;text-align:right;
border-bottom:1px solid #ddd}}img{{max-width:49%}}</style>
<h1>{run}</h1>
<p>Forecasts of the next quarter's change of holding ($ million) on the test quarters. Unparsed completions
count as no change. skill = 1 - MAE / MAE(no-change); IC and RankIC are means of the quarters'
correlations. {oracle}</p>
{body}
</html>
"""
ORACLE_NOTE = (
    "The panel is simulated: the oracle knows its law, so that the oracle's error is what nobody can forecast."
)


def headline(metrics: pd.DataFrame) -> pd.DataFrame:
    """The change, unparsed as no change: one row per firm type and forecaster."""
    kept = metrics[(metrics["target"] == "change") & (metrics["treatment"] == TREATMENTS[0])]
    return kept[["firm_type", "forecaster", "n", *HEADLINE_COLUMNS]].reset_index(drop=True)


def _section(title: str, table: pd.DataFrame) -> str:
    return f"<h2>{html.escape(title)}</h2>\n{table.to_html(index=False, float_format='{:.3f}'.format, na_rep='')}"


def _image(path: str) -> str:
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f'<img alt="{html.escape(path)}" src="data:image/png;base64,{data}">'


def main(args) -> str:
    """Write tables, figure and report below `--out`; returns the headline table as text."""
    out = Path(args.out)
    metrics, comparisons, rewards = (
        pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
        for paths in (args.metrics, args.comparisons, args.rewards)
    )
    samples = pd.DataFrame(
        {k: v for k, v in read_json(path).items() if not isinstance(v, list)} for path in args.samples
    )
    table = headline(metrics)
    for name, frame in {"metrics": metrics, "comparisons": comparisons, "rewards": rewards, "samples": samples}.items():
        write_csv(out / f"{name}.csv", frame)
    plot_skill(table, out / "skill.png")
    body = "\n".join(
        [
            _section("Forecasters", table),
            _image(str(out / "skill.png")),
            _section("Paired comparisons of MAE, bootstrap clustered by quarter", comparisons),
            _section("Rewards of the test completions", rewards),
            _section("Windows", samples),
            "<h2>Residuals and IC by quarter</h2>",
            *(_image(path) for path in args.figures),
        ]
    )
    note = ORACLE_NOTE if "oracle" in set(metrics["forecaster"]) else ""
    write_text(out / "report.html", PAGE.format(run=html.escape(args.run), oracle=note, body=body))
    return table.to_string(index=False, float_format="{:.3f}".format, na_rep="-")


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        run=cli.TEXT,
        metrics=cli.FILES,
        comparisons=cli.FILES,
        rewards=cli.FILES,
        samples=cli.FILES,
        figures=cli.FILES,
        out=cli.TEXT,
    )
