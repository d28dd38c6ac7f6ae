"""Collect the tables of all firm types, correct the comparisons, draw the skill figure, write the report.

The report is one HTML file without outside references: warnings, what the comparisons show after Holm's correction, the
headline metrics of the change and of the active change, coverage, comparisons, seeds, rewards, leakage audit,
windows and figures. Prints the headline of the change that was trained.
"""

import base64
import html
from pathlib import Path

import pandas as pd
import yaml

from workflow_scripts.holdings.evaluation.tables import CHANGES
from workflow_scripts.holdings.report.dictionary import data_dictionary
from workflow_scripts.holdings.report.plots import plot_skill
from workflow_scripts.holdings.report.summary import (
    FILING_LAG,
    check_seed_runs,
    correct_comparisons,
    headline,
    over_seeds,
    run_warnings,
    verdict_table,
)
from workflow_scripts.holdings.rewards.preflight import TOTAL
from workflow_scripts.holdings.texts.targets import ACTIVE
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import read_csv, read_json, write_csv, write_text

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{run}: holdings adjustment</title>
<style>body{{font:15px/1.45 sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;font-size:13px;margin:1rem 0;display:block;overflow-x:auto}}
td,th{{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd}}img{{max-width:49%}}</style>
<h1>{run}</h1>
<p>Forecasts of the next quarter on the test quarters, $ million; every forecaster on identical windows. Models and
fitted baselines were trained on {target}. Unparsed completions count as no change. skill = 1 - MAE / MAE(no-change);
RankIC is the mean of the quarters' rank correlations. data_dictionary.csv, beside this page, describes every column of
every table. {oracle}</p>
{body}
</html>
"""
ORACLE_NOTE = (
    "The panel is simulated: the oracle knows the law of the dollar change, so that its error of the change is what "
    "nobody can forecast; simulated prices do not move the positions, so that neither the active change nor a stock "
    "that looks split means anything here."
)
TRAINED_ON = {
    "holding_delta": "the dollar change (holding_delta)",
    "holding_tp1": "the next position (holding_tp1)",
    "active_delta": "the active change (active_delta)",
}
TITLES = {
    "change": "Change: holding(t+1) - holding(t). It contains the stock's return",
    "active_change": "Active change: what was traded, at the price of t",
}
COMPARISON_COLUMNS = [
    "firm_type", "target", "metric", "baseline", "candidate", "n_quarters", "n_managers", "difference", "interval_low",
    "interval_high", "clustered_by", "p_holm", "verdict", "few_quarters", "few_managers",
]  # fmt: skip


def policies(preflight: pd.DataFrame) -> pd.DataFrame:
    """Mean total reward by policy and firm type, and the share of groups that would have no spread."""
    total = preflight[preflight["reward"] == TOTAL]
    return total.pivot(index="policy", columns="firm_type", values=["mean", "small_spread"]).reset_index()


def _list(title: str, items: list[str]) -> list[str]:
    lines = "".join(f"<li>{html.escape(item)}</li>" for item in items)
    return [f"<h2>{html.escape(title)}</h2>\n<ul>{lines}</ul>"] if items else []


def _section(title: str, table: pd.DataFrame, folded: bool = False) -> str:
    text = table.to_html(index=False, float_format="{:.3f}".format, na_rep="")
    if folded:
        text = f"<details><summary>{len(table)} rows</summary>{text}</details>"
    return f"<h2>{html.escape(title)}</h2>\n{text}"


def _image(path: str | Path) -> str:
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f'<img alt="{html.escape(Path(path).stem)}" src="data:image/png;base64,{data}">'


def _read(paths: list[str]) -> pd.DataFrame:
    return pd.concat([read_csv(path) for path in paths], ignore_index=True)


def read_seeds(metrics: pd.DataFrame, folders: list[str]) -> pd.DataFrame:
    """`over_seeds` of this run and of the others, whose folders follow that of this run."""
    configs = {
        Path(folder).name: yaml.safe_load(Path(folder, "config.yaml").read_text(encoding="utf-8")) for folder in folders
    }
    if configs:
        check_seed_runs(configs)
    return over_seeds([metrics, *(read_csv(Path(folder, "summary/metrics.csv")) for folder in folders[1:])])


def main(args) -> str:
    """Write tables, figure and report below `--out`; returns the headline table as text."""
    out = Path(args.out)
    metrics = _read(args.metrics)
    samples = [{k: v for k, v in read_json(path).items() if not isinstance(v, list)} for path in args.samples]
    tables = {
        "metrics": metrics,
        "comparisons": correct_comparisons(_read(args.comparisons), args.confidence),
        "metrics_by_period": _read(args.periods),
        "metrics_over_seeds": read_seeds(metrics, args.seed_runs),
        "rewards": _read(args.rewards),
        "preflight": _read(args.preflight),
        "audit": _read(args.audit),
        "samples": pd.DataFrame(samples),
    }
    for name, table in tables.items():
        write_csv(out / f"{name}.csv", table)
    skill = _read(args.skill)
    plot_skill(skill, out / "skill")
    described = {f"summary/{name}.csv": table.columns for name, table in [*tables.items(), ("skill", skill)]}
    for path in (*args.metrics[:1], *args.periods[:1], *args.comparisons[:1], *args.skill[:1], *args.tables):
        described[f"evaluation/{Path(path).name}"] = read_csv(path, rows=0).columns
    dictionary = data_dictionary(described)
    write_csv(out / "data_dictionary.csv", dictionary)

    comparisons, seeds, periods = (tables[name] for name in ("comparisons", "metrics_over_seeds", "metrics_by_period"))
    # What was trained comes first.
    judged = "active_change" if args.target == ACTIVE else "change"
    others = [name for name in CHANGES if name != judged]
    warnings = run_warnings([read_json(path) for path in args.training], metrics)
    coverage = _read(args.coverage).pivot(index=["firm_type", "forecaster"], columns="step", values="share")
    body = "\n".join(
        [
            *_list("Look at this first", warnings),
            _section(
                "What SFT and GRPO are against the others, by MAE and after Holm's correction "
                "(*: fewer than 10 quarters or managers)",
                verdict_table(comparisons),
            ),
            *(_section(TITLES[name], headline(metrics, name)) for name in (judged, *others)),
            _image(out / "skill.png"),
            *([_section("Before and after the knowledge cut-off", periods, folded=True)] if len(periods) else []),
            _section("Coverage: share of samples", coverage.reset_index()),
            _section(
                "Paired comparisons: bootstraps clustered by quarter and by manager, the wider one",
                comparisons[COMPARISON_COLUMNS],
                folded=True,
            ),
            *([_section("Mean and standard deviation over seeds", seeds, folded=True)] if args.seed_runs else []),
            _section("Rewards of the test completions", tables["rewards"], folded=True),
            _section("What the rewards pay to canned policies, on average", policies(tables["preflight"])),
            _section("Leakage audit", tables["audit"], folded=True),
            f"<p>{html.escape(FILING_LAG)}</p>",
            _section("Windows", tables["samples"]),
            "<h2>Figures</h2>",
            *(_image(path) for path in args.figures),
        ]
    )
    note = ORACLE_NOTE if "oracle" in set(metrics["forecaster"]) else ""
    page = PAGE.format(run=html.escape(args.run), target=TRAINED_ON[args.target], oracle=note, body=body)
    write_text(out / "report.html", page)
    shown = [
        "firm_type",
        "forecaster",
        "n_windows",
        "MAE",
        "skill",
        "RankIC",
        "accuracy",
        "parsed_share",
        "valid_share",
    ]
    text = headline(metrics, judged)[shown].to_string(index=False, float_format="{:.3f}".format, na_rep="-")
    return "\n".join([*(f"WARNING: {warning}" for warning in warnings), f"{judged}, $ million:", text])


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        run=cli.TEXT,
        target=cli.TEXT,
        metrics=cli.FILES,
        periods=cli.FILES,
        comparisons=cli.FILES,
        skill=cli.FILES,
        coverage=cli.FILES,
        rewards=cli.FILES,
        preflight=cli.FILES,
        audit=cli.FILES,
        training=cli.FILES,
        samples=cli.FILES,
        figures=cli.FILES,
        tables={"nargs": "+", "help": "further tables of one firm type that the dictionary describes"},
        seed_runs={"nargs": "*", "default": [], "help": "folder of this run, then of those that differ in the seed"},
        confidence={"type": float},
        out=cli.TEXT,
    )
