"""From a slice to a scored forecast by the entry modules themselves, with completions written by hand."""

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import make_panel, make_run, sample_of, windows_of
from workflow_scripts import (
    build_forecast_prompts,
    forecast,
    parse_predictions,
    predict_baselines,
    sample_forecast_windows,
    score_forecasts,
    write_forecasts,
)
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.ledger import check_kept, read_ledger
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters, stock_quarters
from workflow_scripts.holdings.report.dictionary import COLUMNS
from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.prompts import PromptSettings
from workflow_scripts.holdings.windows.managers import manager_quarters
from workflow_scripts.holdings.windows.newest import ForecastSettings
from workflow_scripts.plumbing.cli import read_settings
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_json, read_jsonl, write_csv, write_json, write_jsonl, write_table

MANAGERS, QUARTERS = 12, 8
HELD = {m: [10.0 + m + ((3 * m + 5 * t) % 7) * (1 + m / 10) for t in range(QUARTERS)] for m in range(1, MANAGERS + 1)}


def panel_until(quarters: int) -> pa.Table:
    return make_panel([row for m in HELD for row in make_run(m, m % 3, HELD[m][:quarters])])


@dataclass
class Run:
    """The files of a run and its slice, which grows."""

    root: Path

    @property
    def banks(self) -> Path:
        return self.root / "banks"

    def slice_until(self, quarters: int) -> None:
        """The slice, and the tables that the rules make of it."""
        panel = panel_until(quarters)
        pq.write_table(panel, self.root / "banks.parquet")
        stocks = stock_quarters(lambda columns: [typed_table(panel)])
        write_table(self.banks / "windows.parquet", windows_of(panel))
        write_table(self.banks / "stock_quarters.parquet", stocks)
        managers = manager_quarters([typed_table(panel)], StockQuarters(stocks))
        write_table(self.banks / "manager_quarters.parquet", managers)
        sample = sample_of(panel)
        known = sample.filter(pa.array(~np.isnan(sample["holding_t1"].to_numpy())))
        write_table(self.banks / "training.parquet", known)

    def forecast(self, change: float = 1.0) -> str:
        """All rules of `snakemake forecast`; the model says the same change everywhere."""
        folder = self.banks / "forecast"
        sample, prompts, report = folder / "sample.parquet", folder / "prompts.jsonl", folder / "sample.json"
        names = ("windows", "stock_quarters", "manager_quarters")
        sample_forecast_windows.main(
            Namespace(
                panel=str(self.root / "banks.parquet"),
                tables=[str(self.banks / f"{name}.parquet") for name in names],
                firm_type="banks",
                settings=sample_forecast_windows.Settings(1, 4, True, ForecastSettings()),
                out=sample,
                report=report,
            )
        )
        asked = read_settings(PromptSettings, {"history_quarters": 4, "think": False})
        build_forecast_prompts.main(
            Namespace(sample=sample, tickers=[], firm_type="banks", settings=asked, out=prompts)
        )
        answer = json.dumps({"holding_delta": change})
        completions = [
            {"window_id": row["window_id"], "completion": f"<answer>{answer}</answer>", "finish_reason": "stop"}
            for row in read_jsonl(prompts)
        ]
        write_jsonl(folder / "completions.jsonl", completions)
        write_json(folder / "base.json", {"model": "m", "adapter": None})
        parse_predictions.main(
            Namespace(
                completions=folder / "completions.jsonl",
                dataset=prompts,
                settings=Contract(think=False),
                stage="base",
                firm_type="banks",
                out=folder / "predictions/base.csv",
                faults=folder / "faults/base.csv",
            )
        )
        training = self.banks / "training.parquet"
        predictions = [folder / f"predictions/{name}.csv" for name in BASELINES]
        # The oracle's law is in the settings of a simulated run, and its forecasts are not asked for.
        oracle = predict_baselines.Law(0.1, 0.5)
        predict_baselines.main(
            Namespace(
                train=[training, training],
                later=training,
                test=sample,
                settings=predict_baselines.Settings("holding_delta", oracle),
                firm_type="banks",
                out=predictions,
            )
        )
        past = {"firm_type": "banks", "target": "active_change", "treatment": "unparsed_as_no_change", "n_windows": 3}
        numbers = dict.fromkeys(
            ("capped_relative_MAE", "capped_relative_skill", "relative_RankIC", "parsed_share"), 0.5
        )
        write_csv(folder / "metrics.csv", pd.DataFrame([{**past, "forecaster": "base", **numbers}]))
        out = [folder / name for name in ("forecasts.csv", "accuracy.csv", "entry.json", "data_dictionary.csv")]
        write_forecasts.main(
            Namespace(
                sample=sample,
                report=report,
                predictions=[*predictions, folder / "predictions/base.csv"],
                conditions=[folder / "base.json"],
                metrics=folder / "metrics.csv",
                tickers=[],
                out=out,
            )
        )
        return forecast.main(
            Namespace(ledger=self.root / "ledger.csv", forecasts=[out[0]], entries=[out[2]], project=ROOT)
        )

    def score(self) -> str:
        return score_forecasts.main(
            Namespace(
                ledger=self.root / "ledger.csv",
                panels=[self.root / "banks.parquet"],
                stocks=[self.banks / "stock_quarters.parquet"],
                settings=EvaluationSettings(),
                out=self.root / "forecast_scores.csv",
            )
        )

    def scores(self) -> pd.DataFrame:
        return pd.read_csv(self.root / "forecast_scores.csv")


@pytest.fixture
def run(tmp_path) -> Run:
    found = Run(tmp_path)
    found.slice_until(QUARTERS - 1)
    return found


def test_a_forecast_is_scored_as_it_stood_when_its_quarter_has_come(run):
    """The model's error by hand; the second forecast of the quarter, as good as its maker likes, is not the record."""
    assert run.forecast().startswith(f"forecast: new in {run.root / 'ledger.csv'}: banks 2016Q4; 1 lines")
    assert "none; 1 lines" in run.forecast()
    assert "0 of 1 lines scored, 1 wait for their quarter" in run.score()
    assert list(run.scores().columns)[:3] == ["line", "firm_type", "quarter"]
    assert "banks 2016Q4; 2 lines" in run.forecast(change=2.0)
    table = pd.read_csv(run.banks / "forecast/forecasts.csv")
    assert set(table["forecaster"]) == {*BASELINES, "base"}, "no oracle"
    run.slice_until(QUARTERS)
    assert "2 of 2 lines scored, 0 wait" in run.score()
    scores = run.scores().set_index(["line", "forecaster"])
    last, before = (np.array([HELD[m][QUARTERS + at] for m in HELD]) for at in (-1, -2))
    for line, change in ((1, 1.0), (2, 2.0)):
        relative = np.minimum(np.abs((change - (last - before)) / before), 1)
        assert scores.loc[(line, "base"), "capped_relative_MAE"] == pytest.approx(relative.mean())
        assert scores.loc[(line, "base"), "MAE"] == pytest.approx(np.abs(change - (last - before)).mean())
        assert scores.loc[(line, "base"), "MAE_no_change"] == pytest.approx(np.abs(last - before).mean())
    assert scores.groupby(level="line")["is_first"].all().to_dict() == {1: True, 2: False}
    assert not scores["made_before_filings"].any(), "it was made today, of 2016"
    # The quarter that has come is the next one to forecast from.
    assert "banks 2017Q1; 3 lines" in run.forecast()
    assert "2 of 3 lines scored, 1 wait" in run.score()


def test_a_firm_type_that_the_run_has_no_more_waits(run):
    run.forecast()
    run.slice_until(QUARTERS)
    (run.root / "other").mkdir()
    for name in ("banks.parquet", "banks/stock_quarters.parquet"):
        (run.root / name.replace("banks", "other")).write_bytes((run.root / name).read_bytes())
    args = Namespace(
        ledger=run.root / "ledger.csv",
        panels=[run.root / "other.parquet"],
        stocks=[run.root / "other/stock_quarters.parquet"],
        settings=EvaluationSettings(),
        out=run.root / "forecast_scores.csv",
    )
    assert "0 of 1 lines scored, 1 wait" in score_forecasts.main(args)


def test_both_commands_refuse_an_edited_ledger(run):
    run.forecast()
    path = run.root / "ledger.csv"
    path.write_text(path.read_text().replace("banks,2016Q3", "banks,2016Q2"))
    edited = path.read_bytes()
    with pytest.raises(InputError, match=r"ledger\.csv: line 2 was edited"):
        run.forecast(change=3.0)
    with pytest.raises(InputError, match=r"ledger\.csv: line 2 was edited"):
        run.score()
    assert path.read_bytes() == edited
    assert not (run.root / "forecast_scores.csv").exists()


def test_nothing_to_score_says_what_to_do(run):
    with pytest.raises(InputError, match="there is no forecast to score yet; run snakemake forecast first"):
        run.score()


def command(module: str, **options) -> subprocess.Popen:
    """An entry module as its rule calls it, without waiting for it."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    call = [sys.executable, "-m", f"workflow_scripts.{module}", *words]
    return subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_firm_types_written_at_once_get_a_line_each(run):
    """Two processes, by their command lines: without the lock both would write line 2."""
    run.forecast()
    made, other = run.banks / "forecast", run.root / "other/forecast"
    other.mkdir(parents=True)
    calls = []
    for firm_type in ("mutual_funds", "pension_funds"):
        (other / f"{firm_type}.csv").write_text((made / "forecasts.csv").read_text() + firm_type)
        write_json(other / f"{firm_type}.json", read_json(made / "entry.json") | {"firm_type": firm_type})
        calls.append({"forecasts": other / f"{firm_type}.csv", "entries": other / f"{firm_type}.json"})
    jobs = [command("forecast", ledger=run.root / "ledger.csv", project=ROOT, **paths) for paths in calls]
    for job in jobs:
        output, _ = job.communicate(timeout=120)
        assert job.returncode == 0, output
    lines = read_ledger(run.root)
    check_kept(run.root, lines)
    assert sorted(line["firm_type"] for line in lines) == ["banks", "mutual_funds", "pension_funds"]
    stocks = run.banks / "stock_quarters.parquet"
    job = command("score_forecasts", ledger=run.root / "ledger.csv", panels=run.root / "banks.parquet", stocks=stocks,
                  settings="{}", out=run.root / "forecast_scores.csv")  # fmt: skip
    output, _ = job.communicate(timeout=120)
    assert "0 of 3 lines scored, 3 wait for their quarter" in output


def test_every_column_of_its_files_is_described(run):
    run.forecast()
    described = pd.read_csv(run.banks / "forecast/data_dictionary.csv", keep_default_na=False)
    run.score()
    files = {"forecasts.csv": run.banks / "forecast", "accuracy.csv": run.banks / "forecast"}
    files |= {"ledger.csv": run.root, "forecast_scores.csv": run.root}
    for name, folder in files.items():
        columns = list(pd.read_csv(folder / name).columns)
        assert list(described.loc[described["table"] == name, "column"]) == columns
    assert (described["meaning"] != "").all()
    meanings = described.set_index(["table", "column"])["meaning"]
    assert "quantile of the forecast" in meanings["forecasts.csv", "q05"], "elsewhere it is one of rewards"
    assert "rewards" in COLUMNS["q05"][1]


def test_a_line_notes_slice_model_and_version(run):
    run.forecast()
    (line,) = read_ledger(run.root)
    assert line["rows"] == str(MANAGERS * (len(BASELINES) + 1))
    assert line["windows"] == str(MANAGERS)
    assert line["model_digests"].startswith("base=")
    assert line["version"].startswith("0.")
