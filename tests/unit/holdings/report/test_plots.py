"""Figures are written with their data, the same twice, and also where there is next to nothing to draw."""

from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from workflow_scripts import plot_forecasts
from workflow_scripts.holdings.evaluation import tables as evaluation
from workflow_scripts.holdings.evaluation.comparison import ERRORS
from workflow_scripts.holdings.evaluation.distributions import (
    distribution_table,
    distributions_of,
    pit_table,
    reliability_table,
)
from workflow_scripts.holdings.evaluation.metrics import CAPPED_MAE, newey_west_se
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.quantiles import with_quantiles
from workflow_scripts.holdings.report import distribution_plots, plots
from workflow_scripts.holdings.report.training_curves import plot_training
from workflow_scripts.holdings.texts.targets import CHANGES, DOLLAR_CHANGE

FIGURES = ("residuals", "ic_by_quarter", "forecast_truth", "metrics_by_quarter", "metrics_by_size", "coverage", "pit",
           "reliability", "distributions")  # fmt: skip
SETTINGS = evaluation.EvaluationSettings()


def long_table(quarters: int, windows: int, forecasters: tuple[str, ...]) -> pd.DataFrame:
    """`windows` in each of `quarters` quarters; the first forecast and the last active change are missing."""
    rng = np.random.default_rng(0)
    n = quarters * windows
    tables = []
    held, delta = rng.lognormal(3, 1, n), rng.normal(0, 20, n)
    for number, forecaster in enumerate(forecasters):
        predicted = (forecaster != "no_change") * (delta + (number + 1) * rng.normal(0, 10, n))
        table = pd.DataFrame(
            {
                "forecaster": forecaster,
                "window_id": [f"w{i}" for i in range(n)],
                "mgrno": 1,
                "permno": range(n),
                "quarter": [f"{2019 + i // windows // 4}Q{i // windows % 4 + 1}" for i in range(n)],
                "holding_t": held,
                "label_tp1": held + delta,
                "label_delta": delta,
                "label_active": np.where(np.arange(n) == n - 1, np.nan, delta),
                "predicted_delta": np.where(np.arange(n) == 0, np.nan, predicted),
                "parsed": np.arange(n) > 0,
            }
        )
        tables.append(table.assign(**dict.fromkeys(evaluation.SHARES, 0.5), samples=1, faults=""))
    return pd.concat(tables, ignore_index=True)


def bands(table: pd.DataFrame) -> pd.DataFrame:
    """The forecasts of one forecaster with a band of half the position around them."""
    table = table.assign(predicted_delta=table["predicted_delta"].fillna(0.0))
    spread = table["holding_t"].to_numpy()[:, None] * np.linspace(-0.5, 0.5, 7)
    return with_quantiles(table, table["predicted_delta"].to_numpy()[:, None] + spread)


def draw(folder, joined: pd.DataFrame, sure: bool = False) -> list[str]:
    """Evaluate, then draw all figures of the firm type into `folder`; returns the names of the figures' files.

    Forecasts that are `sure` have no quantiles.
    """
    told = {name: table if sure else bands(table) for name, table in joined.groupby("forecaster", sort=False)}
    given = distributions_of(joined.drop_duplicates("window_id"), told, DOLLAR_CHANGE)
    tables = {
        "forecasts": evaluation.with_units(joined),
        "metrics": evaluation.metrics_table(joined, SETTINGS),
        "metrics_by_quarter": evaluation.quarterly_table(joined, SETTINGS),
        "metrics_by_size": evaluation.size_table(joined, SETTINGS),
        "coverage": evaluation.coverage_table(joined),
        "distributions": distribution_table(given, 0.9),
        "reliability": reliability_table(given, 0.9),
        "pit": pit_table(given),
    }
    (folder / "tables").mkdir(parents=True)
    for name, table in tables.items():
        table.to_csv(folder / "tables" / f"{name}.csv", index=False)
    args = Namespace(
        evaluation=folder / "tables", firm_type="mutual_funds", settings=plot_forecasts.Settings(0.9), out=folder
    )
    plot_forecasts.main(args)
    return sorted(path.name for path in folder.iterdir() if path.is_file())


ALL_FILES = sorted([f"{name}.{kind}" for name in FIGURES for kind in ("png", "pdf")]
                   + [f"{name}.csv" for name in FIGURES[:3]])  # fmt: skip


@pytest.fixture(scope="module")
def joined():
    return long_table(6, 5, ("no_change", "ridge", "boosted_trees", "base", "sft", "grpo"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, joined):
    folder = tmp_path_factory.mktemp("plots") / "drawn"
    assert draw(folder, joined) == ALL_FILES
    return folder


def skill_table(**columns) -> pd.DataFrame:
    names = [(t, f) for t in ("banks", "other") for f in ("last_change", "sft")]
    rows = [(*name, target, metric) for name in names for target in CHANGES for metric in ERRORS]
    table = pd.DataFrame(rows, columns=["firm_type", "forecaster", "target", "metric"])
    return table.assign(**{"n_windows": 9, "skill": 0.1, **columns})


def test_everyone_has_a_look_of_his_own():
    names = {*BASELINES, "base", "sft", "grpo", "oracle"}
    assert set(plots.FORECASTERS) == names
    looks = plots.FORECASTERS.values()
    assert len({(look.colour, look.line) for look in looks}) == len(names)
    assert len({look.marker for look in looks}) == len({look.label for look in looks}) == len(names)
    assert {"no_change", *plots.RIVALS} == set(BASELINES)
    own = [f"mine_{number}" for number in range(len(plots.OWN_LOOKS))]
    every = plots.looks([*names, *own])
    assert len({(look.colour, look.line) for look in every.values()}) == len(every)
    assert len({look.marker for look in every.values()}) == len(every)
    # In every figure the same, whatever else it shows.
    assert plots.looks(["ridge", *own])["mine_1"] == every["mine_1"]


def test_forecasters_of_ones_own_are_in_every_figure(tmp_path):
    """Two names that the workflow does not know: an adapter and a file of forecasts are drawn as the stages are."""
    frame = long_table(6, 5, ("no_change", "ridge", "base", "mine", "theirs"))
    assert draw(tmp_path / "own", frame) == ALL_FILES
    metrics = pd.read_csv(tmp_path / "own/tables/metrics.csv")
    assert plots.shown_forecasters(metrics) == ["ridge", "base", "mine", "theirs"]
    for name in FIGURES[:3]:
        assert {"mine", "theirs"} <= set(pd.read_csv(tmp_path / "own" / f"{name}.csv")["forecaster"])
    skills = skill_table(interval_low=0.0, interval_high=0.2)
    skills["forecaster"] = skills["forecaster"].replace({"last_change": "mine", "sft": "oracle"})
    plots.plot_skill(skills, tmp_path / "skill")
    assert (tmp_path / "skill.png").stat().st_size > 0


def test_the_best_rival_and_the_models_are_shown():
    errors = {"no_change": 1.0, "ridge": 3.0, "last_change": 2.0, "oracle": 0.5, "sft": 9.0, "base": 9.0}
    metrics = pd.DataFrame({"forecaster": errors.keys(), CAPPED_MAE: errors.values(), "target": "active_change"})
    metrics["treatment"] = evaluation.HEADLINE
    none = dict.fromkeys([CAPPED_MAE], 0.0)
    others = metrics.assign(**none, target="change"), metrics.assign(**none, treatment="answered_by_all")
    assert plots.shown_forecasters(pd.concat([*others, metrics])) == ["last_change", "base", "sft"]


def test_the_same_data_give_the_same_bytes(drawn, joined, tmp_path):
    shown = ["ridge", "base", "sft", "grpo"]
    metrics = pd.read_csv(drawn / "tables/metrics.csv")
    title = "mutual funds: forecast and truth, 30 test windows"
    plots.plot_forecast_truth(joined, metrics, shown, title, tmp_path / "forecast_truth")
    for kind in ("png", "pdf", "csv"):
        name = f"forecast_truth.{kind}"
        assert (tmp_path / name).read_bytes() == (drawn / name).read_bytes(), name
    assert b"CreationDate" not in (drawn / "forecast_truth.pdf").read_bytes()


def test_residuals_count_every_window_of_every_forecaster(drawn, joined):
    table = pd.read_csv(drawn / "residuals.csv")
    counts = table.groupby(["panel", "forecaster"])["n_windows"].sum()
    assert set(counts["signed_log"].index) == set(joined["forecaster"])
    assert (counts["signed_log"] == 30).all()
    assert (counts["linear"] <= 30).all()
    assert (table["bin_low"] < table["bin_high"]).all()
    error = (joined["predicted_delta"].fillna(0.0) - joined["label_delta"])[joined["forecaster"] == "sft"]
    first = table[(table["panel"] == "linear") & (table["forecaster"] == "sft")].iloc[10]
    assert first["n_windows"] == ((error >= first["bin_low"]) & (error < first["bin_high"])).sum()


def test_the_scatter_has_unparsed_as_no_change(drawn, joined):
    table = pd.read_csv(drawn / "forecast_truth.csv").set_index(["forecaster", "window_id"])
    assert list(table.index.levels[0]) == ["base", "grpo", "ridge", "sft"]
    assert table.loc[("sft", "w0"), "forecast_musd"] == 0.0
    assert table.loc[("sft", "w3"), "truth_musd"] == pytest.approx(joined["label_delta"][3])


def test_band_of_the_mean_ic_is_that_of_the_formula(drawn):
    table = pd.read_csv(drawn / "ic_by_quarter.csv")
    assert list(table) == ["forecaster", "target", "quarter", "IC", "mean", "band_low", "band_high"]
    assert len(table) == 6 * 2 * 6
    quarterly = pd.read_csv(drawn / "tables/metrics_by_quarter.csv")
    expected = quarterly[(quarterly["forecaster"] == "grpo") & (quarterly["target"] == "active_change")]["IC"]
    group = table[(table["forecaster"] == "grpo") & (table["target"] == "active_change")]
    np.testing.assert_allclose(group["IC"], expected)
    np.testing.assert_allclose(group["mean"], expected.mean())
    half = scipy.stats.t.ppf(0.95, 5) * newey_west_se(expected.to_numpy())
    np.testing.assert_allclose(group["band_low"], expected.mean() - half)
    np.testing.assert_allclose(group["band_high"], expected.mean() + half)
    assert table.loc[table["forecaster"] == "no_change", ["IC", "mean", "band_low"]].isna().all(axis=None)


def test_band_by_hand_with_an_undefined_quarter():
    """Off the mean by -0.2, 0.2, 0; one lag of weight 1/2: 0.08 - 0.04 = 0.04; error sqrt(0.04 / 6), t 4.302653."""
    table = pd.DataFrame({"quarter": ["2019Q4", "2019Q1", "2019Q2", "2020Q2"], "IC": [0.5, 0.1, np.nan, 0.3]})
    bands = plots.ic_bands(table.assign(forecaster="sft", target="change").sort_values("IC"), 0.95)
    assert bands["quarter"].tolist() == ["2019Q1", "2019Q2", "2019Q4", "2020Q2"]
    assert bands["IC"].isna().tolist() == [False, True, False, False]
    assert bands["mean"].tolist() == pytest.approx([0.3] * 4)
    assert bands["band_low"].tolist() == pytest.approx([0.3 - 4.302653 * (0.04 / 6) ** 0.5] * 4, abs=1e-6)
    assert bands["band_high"].tolist() == pytest.approx([0.3 + 4.302653 * (0.04 / 6) ** 0.5] * 4, abs=1e-6)


def test_one_window_without_a_forecast_or_an_active_change(tmp_path):
    """No IC is defined, the residuals have no spread, and the tables no row of the active change."""
    assert draw(tmp_path / "out", long_table(1, 1, ("no_change", "sft"))) == ALL_FILES
    assert pd.read_csv(tmp_path / "out/ic_by_quarter.csv")["IC"].isna().all()


def test_forecasts_without_quantiles_leave_the_figures_of_distributions_empty(tmp_path, joined):
    assert draw(tmp_path / "out", joined, sure=True) == ALL_FILES
    assert len(pd.read_csv(tmp_path / "out/tables/pit.csv")) == 0


def test_no_change_stands_beside_the_forecasters_whose_quantiles_are_drawn():
    table = pd.DataFrame({"forecaster": ["no_change", "ridge", "sft", "mine"]})
    shown = ["ridge", "base", "sft", "mine"]
    assert distribution_plots.with_distribution(shown, table) == ["no_change", "ridge", "sft", "mine"]
    assert distribution_plots.with_distribution(shown, table.iloc[1:]) == ["ridge", "sft", "mine"]


def test_densities_shares_and_intervals_are_drawn_as_the_tables_have_them(tmp_path, drawn, monkeypatch):
    """The heights of the PIT, the points of the reliability, and the whiskers of the coverage, cut at 0 and 1."""
    found, close = {}, plots.plt.close

    def note_and_close(sheet):
        found[len(found)] = [
            ([p.get_data().values for p in axes.patches], [line.get_xydata() for line in axes.lines],
             [c.get_segments()[0] for c in axes.collections])
            for axes in sheet.axes
        ]  # fmt: skip
        close(sheet)

    monkeypatch.setattr(plots.plt, "close", note_and_close)
    tables = {name: pd.read_csv(drawn / f"tables/{name}.csv") for name in ("pit", "reliability", "distributions")}
    distribution_plots.plot_pit(tables["pit"], ["sft"], "x", tmp_path / "pit")
    distribution_plots.plot_reliability(tables["reliability"], ["sft"], "x", tmp_path / "reliability")
    tables["distributions"].loc[0, ["coverage_80_low", "coverage_80_high"]] = -0.5, 1.5
    distribution_plots.plot_distributions(tables["distributions"], "x", tmp_path / "distributions")
    pit, reliability, distributions = found.values()
    density = tables["pit"].set_index("forecaster")["pit_density"]
    assert [panel[0][0].tolist() for panel in pit] == [density[name].tolist() for name in ("no_change", "sft")]
    observed = tables["reliability"].set_index("forecaster").loc["sft", "observed_share"]
    assert reliability[0][1][2][:, 1].tolist() == observed.tolist()
    assert distributions[0][2][0][:, 1].tolist() == [0, 1]
    assert len(distributions[0][2]) == 6


def test_endless_whiskers_and_a_wild_baseline_do_not_squash_the_skill(tmp_path, monkeypatch):
    limits, close = [], plots.plt.close

    def note_and_close(figure):
        limits.extend(axes.get_ylim() for axes in figure.axes)
        close(figure)

    monkeypatch.setattr(plots.plt, "close", note_and_close)
    table = skill_table(interval_low=0.05, interval_high=0.15)
    headline = table.index[(table["target"] == "active_change") & (table["metric"] == CAPPED_MAE)][0]
    table.loc[headline, ["skill", "interval_low", "interval_high"]] = -3.0, -1e14, 1e14
    plots.plot_skill(table, tmp_path / "skill")
    assert all(-0.2 < low < 0.05 and 0.1 < high < 0.3 for low, high in limits)
    assert len(limits) == 2
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "skill.csv"), table)


def test_skill_without_a_number(tmp_path):
    table = skill_table(skill=np.nan, interval_low=np.nan, interval_high=np.nan)
    plots.plot_skill(table[table["target"] == "change"], tmp_path / "skill")
    assert {path.name for path in tmp_path.iterdir()} == {"skill.png", "skill.pdf", "skill.csv"}


def test_training_is_drawn_to_its_stem(tmp_path):
    curve = pd.DataFrame({"step": [1, 2], "reward": [0.0, 1.0], "reward_contract": [0.0, 0.5], "kl": [0.0, 0.1]})
    plot_training(curve, "banks, grpo", tmp_path / "v1.2")
    assert {path.name for path in tmp_path.iterdir()} == {"v1.2.png", "v1.2.pdf"}
