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
from workflow_scripts.holdings.preflight import TOTAL

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
# A model that answers like this has collapsed to the baseline, whatever its MAE.
MAX_NO_CHANGE = 0.9
ORACLE_NOTE = (
    "The panel is simulated: the oracle knows its law, so that the oracle's error is what nobody can forecast."
)


def headline(metrics: pd.DataFrame) -> pd.DataFrame:
    """The change, unparsed as no change: one row per firm type and forecaster."""
    kept = metrics[(metrics["target"] == "change") & (metrics["treatment"] == TREATMENTS[0])]
    return kept[["firm_type", "forecaster", "n", *HEADLINE_COLUMNS]].reset_index(drop=True)


def run_warnings(trainings: list[dict], table: pd.DataFrame) -> list[str]:
    """Signs of sick trainings, and models that have learned to repeat the last holding."""
    warnings = [f"{t['firm_type']} {t['stage']}: {sign}" for t in trainings for sign in t["warnings"]]
    collapsed = table[table["forecaster"].isin(["sft", "grpo"]) & (table["share_no_change"] > MAX_NO_CHANGE)]
    return warnings + [
        f"{row.firm_type} {row.forecaster}: {row.share_no_change:.0%} of the forecasts are no change"
        for row in collapsed.itertuples()
    ]


def policies(preflight: pd.DataFrame) -> pd.DataFrame:
    """Mean total reward by policy and firm type, and the share of groups that would have no spread."""
    total = preflight[preflight["reward"] == TOTAL]
    return total.pivot(index="policy", columns="firm_type", values=["mean", "small_spread"]).reset_index()


def _warnings(warnings: list[str]) -> list[str]:
    items = "".join(f"<li>{html.escape(warning)}</li>" for warning in warnings)
    return [f"<h2>Look at this first</h2>\n<ul>{items}</ul>"] if warnings else []


def _section(title: str, table: pd.DataFrame) -> str:
    return f"<h2>{html.escape(title)}</h2>\n{table.to_html(index=False, float_format='{:.3f}'.format, na_rep='')}"


def _image(path: str) -> str:
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f'<img alt="{html.escape(path)}" src="data:image/png;base64,{data}">'


def main(args) -> str:
    """Write tables, figure and report below `--out`; returns the headline table as text."""
    out = Path(args.out)
    metrics, comparisons, rewards, preflight = (
        pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
        for paths in (args.metrics, args.comparisons, args.rewards, args.preflight)
    )
    samples = pd.DataFrame(
        {k: v for k, v in read_json(path).items() if not isinstance(v, list)} for path in args.samples
    )
    table = headline(metrics)
    frames = {"metrics": metrics, "comparisons": comparisons, "rewards": rewards, "samples": samples}
    for name, frame in {**frames, "preflight": preflight}.items():
        write_csv(out / f"{name}.csv", frame)
    warnings = run_warnings([read_json(path) for path in args.training], table)
    plot_skill(table, out / "skill.png")
    body = "\n".join(
        [
            *_warnings(warnings),
            _section("Forecasters", table),
            _image(str(out / "skill.png")),
            _section("Paired comparisons of MAE, bootstrap clustered by quarter", comparisons),
            _section("Rewards of the test completions", rewards),
            _section("What the rewards pay to canned policies, on average", policies(preflight)),
            _section("Windows", samples),
            "<h2>Residuals and IC by quarter</h2>",
            *(_image(path) for path in args.figures),
        ]
    )
    note = ORACLE_NOTE if "oracle" in set(metrics["forecaster"]) else ""
    write_text(out / "report.html", PAGE.format(run=html.escape(args.run), oracle=note, body=body))
    text = table.to_string(index=False, float_format="{:.3f}".format, na_rep="-")
    return "\n".join([*(f"WARNING: {warning}" for warning in warnings), text])


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        run=cli.TEXT,
        metrics=cli.FILES,
        comparisons=cli.FILES,
        rewards=cli.FILES,
        preflight=cli.FILES,
        training=cli.FILES,
        samples=cli.FILES,
        figures=cli.FILES,
        out=cli.TEXT,
    )
