"""The next quarter is forecast by the real ms-swift, the panel gets that quarter, and what was forecast is scored.

The panel is a user's folder: a simulated slice cut before its last quarter, then the whole of it.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.project import Project, checkout, copy_of, tiny_config
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.ledger import check_kept, read_ledger
from workflow_scripts.plumbing.files import read_jsonl

pytestmark = pytest.mark.slow
RUN = "results/own"


def config(model: Path, **changes) -> dict:
    settings = {
        "run": "own",
        "firm_types": ["banks"],
        "panel": "slices",
        "model": {"path": str(model)},
        "evaluation": {"stages": ["base"]},
        "forecast": {"max_windows": 12},
    }
    return tiny_config(**(settings | changes))


def cut(table: pa.Table) -> pa.Table:
    """The slice as it was a quarter earlier: without the last quarter's rows, which are the labels of those before."""
    days = table["date"].to_numpy()
    earlier = table.filter(pa.array(days < days.max()))
    days = earlier["date"].to_numpy()
    labels = np.where(days == days.max(), np.nan, earlier["holding_t1"].to_numpy())
    return earlier.set_column(earlier.column_names.index("holding_t1"), "holding_t1", pa.array(labels))


@pytest.fixture(scope="module")
def forecast(finished, tmp_path_factory) -> tuple[Project, dict]:
    """A run that has forecast the last quarter of a slice that does not have it."""
    project = checkout(tmp_path_factory.mktemp("forecast"))
    whole = pq.read_table(finished.results("panel/banks.parquet"))
    (project.root / "slices").mkdir()
    pq.write_table(cut(whole), project.root / "slices/banks.parquet")
    pq.write_table(whole, project.root / "whole.parquet")
    settings = config(finished.results("demo_model"))
    ran(project, settings, "forecast")
    return project, settings


def ran(project: Project, settings: dict, target: str) -> str:
    result = project.run(settings, target)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture
def copied(forecast, tmp_path) -> tuple[Project, dict]:
    project, settings = forecast
    return copy_of(project, tmp_path), settings


def add_the_quarter(project: Project) -> None:
    (project.root / "whole.parquet").replace(project.root / "slices/banks.parquet")


def lines_of(project: Project) -> list[dict]:
    lines = read_ledger(project.root / RUN)
    check_kept(project.root / RUN, lines)
    return lines


def test_the_newest_quarter_is_forecast_by_all_and_is_no_test_window(forecast):
    project, _ = forecast
    folder = project.root / RUN / "banks"
    table = pd.read_csv(folder / "forecast/forecasts.csv")
    assert set(table["forecaster"]) == {*BASELINES, "base"}, "no oracle"
    assert set(table["quarter"]) == {"2021Q3"}
    assert set(table["quarter_forecast"]) == {"2021Q4"}
    assert table["window_id"].nunique() == 12
    assert len(table) == 12 * (len(BASELINES) + 1)
    tested = read_jsonl(folder / "datasets/test.jsonl")
    assert not set(table["window_id"]) & {row["window_id"] for row in tested}
    level = table["holding_t_musd"] + table["predicted_delta_musd"]
    pd.testing.assert_series_equal(level, table["predicted_tp1_musd"], check_names=False)
    accuracy = pd.read_csv(folder / "forecast/accuracy.csv").set_index("forecaster")
    metrics = pd.read_csv(folder / "evaluation/metrics.csv")
    headline = metrics[(metrics["target"] == "active_change") & (metrics["treatment"] == "unparsed_as_no_change")]
    pd.testing.assert_series_equal(
        accuracy["capped_relative_MAE"], headline.set_index("forecaster")["capped_relative_MAE"]
    )


def test_the_same_forecast_again_adds_no_line(copied):
    project, settings = copied
    (before,) = lines_of(project)
    assert "new in results/own/ledger.csv: none; 1 lines" in ran(project, settings, "forecast")
    # Snakemake deletes outputs before it makes them again; the record is none.
    (project.root / RUN / "banks/forecast/forecasts.csv").unlink()
    ran(project, settings, "forecast")
    assert lines_of(project) == [before]
    assert "0 of 1 lines scored, 1 wait for their quarter" in ran(project, settings, "score_forecasts")


def test_what_was_forecast_is_scored_when_the_quarter_has_come(copied):
    """By hand from the kept file and the slice; a forecast of the quarter after it is a second line."""
    project, settings = copied
    (line,) = lines_of(project)
    add_the_quarter(project)
    assert "1 of 1 lines scored, 0 wait" in ran(project, settings, "score_forecasts")
    scores = pd.read_csv(project.root / RUN / "forecast_scores.csv").set_index("forecaster")
    kept = pd.read_csv(project.root / RUN / f"forecasts/banks.2021Q4.{line['forecast_digest']}.csv")
    panel = pq.read_table(project.root / "slices/banks.parquet").to_pandas()
    days = pd.to_datetime(panel["date"])
    now, then = panel[days == "2021-10-01"], panel[days == "2021-07-01"]
    price = now.groupby("permno")["prc"].first() / then.groupby("permno")["prc"].first()
    truth = then[["mgrno", "permno", "holding_t1"]].assign(price=then["permno"].map(price))
    for name in ("base", "last_change", "no_change"):
        own = kept[kept["forecaster"] == name].merge(truth, on=["mgrno", "permno"], how="left")
        held, after = own["holding_t_musd"], own["holding_t1"]
        traded = np.where(after == 0, 0.0, after / own["price"]) - held
        error = (own["predicted_delta_musd"].fillna(0) - traded).abs() / held
        error = error.clip(upper=1)[traded.notna()]
        assert scores.loc[name, "capped_relative_MAE"] == pytest.approx(error.mean(), abs=1e-9)
        assert scores.loc[name, "n_windows"] == len(error) > 0
    assert scores["is_first"].all()
    assert not scores["made_before_filings"].any(), "that quarter's filings have long been public"
    ran(project, settings, "forecast")
    first, second = lines_of(project)
    assert first == line
    assert second["quarter_forecast"] == "2022Q1"
    assert second["data_digest"] != first["data_digest"]
    assert second["model_digests"] == first["model_digests"]
    assert "1 of 2 lines scored, 1 wait" in ran(project, settings, "score_forecasts")


def test_an_edited_ledger_is_refused_by_both_commands(copied):
    project, settings = copied
    path = project.root / RUN / "ledger.csv"
    path.write_text(path.read_text().replace("2021Q3,2021Q4", "2021Q2,2021Q4"))
    edited = path.read_bytes()
    for target in ("forecast", "score_forecasts"):
        result = project.run(settings, target)
        assert result.returncode != 0
        assert "ledger.csv: line 2 was edited, its digest is not that of its text" in result.stdout + result.stderr
    assert path.read_bytes() == edited
    assert not (project.root / RUN / "forecast_scores.csv").exists()


def test_another_number_of_windows_runs_the_forecast_alone(forecast):
    project, settings = forecast
    assert project.plan(settings, "forecast") == {"forecast": 1}, "the record is checked each time"
    assert project.plan(settings | {"forecast": {"max_windows": 5}}, "forecast") == {
        "sample_forecast_windows": 1,
        "build_forecast_prompts": 1,
        "generate_forecasts": 1,
        "parse_forecasts": 1,
        "predict_forecast_baselines": 1,
        "write_forecasts": 1,
        "forecast": 1,
    }
