"""Scores of distributions: those of the library and of hand, flat for the calibrated, and telling for the others."""

from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import scoringrules

from tests.unit.holdings.evaluation.test_tables import rows
from workflow_scripts import evaluate_distributions
from workflow_scripts.holdings.evaluation.distributions import (
    CRPS,
    CRPS_SKILL,
    capped,
    distribution_table,
    distributions_of,
    has_distribution,
    pit_masses,
    pit_table,
    reliability_table,
)
from workflow_scripts.holdings.evaluation.tables import join_predictions, with_units
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.forecasts.quantiles import with_quantiles
from workflow_scripts.holdings.rewards.crps import EDGES, WEIGHTS, crps, pinball
from workflow_scripts.holdings.texts.answers import LEVELS
from workflow_scripts.holdings.texts.quantile_rule import row_quantiles
from workflow_scripts.holdings.texts.targets import ACTIVE_CHANGE, DOLLAR_CHANGE
from workflow_scripts.plumbing.files import write_csv

NORMAL = scipy.stats.norm.ppf(LEVELS)


def test_pinball_and_crps_by_hand():
    true, quantiles = np.array([2.0]), np.array([[0.0, 0, 1, 2, 3, 6, 6]])
    losses = pinball(true, quantiles)[0]
    assert losses.tolist() == pytest.approx([0.05 * 2, 0.1 * 2, 0.25 * 1, 0, 0.25 * 1, 0.1 * 4, 0.05 * 4])
    assert pytest.approx(np.array([0.05, 0.1, 0.2, 0.25, 0.2, 0.1, 0.05]) / 0.95) == WEIGHTS
    by_hand = 2 * (0.05 * 0.1 + 0.1 * 0.2 + 0.2 * 0.25 + 0 + 0.2 * 0.25 + 0.1 * 0.4 + 0.05 * 0.2) / 0.95
    assert crps(true, quantiles)[0] == pytest.approx(by_hand)


def test_of_a_sure_forecast_it_is_the_absolute_error():
    """So that CRPS and errors are on one scale, and no-change without a band has the headline's error."""
    true, forecast = np.array([0.3, -1.0, 4.0]), np.array([0.1, 0.0, 0.0])
    assert crps(true, np.tile(forecast[:, None], 7)) == pytest.approx([0.2, 1.0, 4.0])
    assert crps(capped(true), np.zeros((3, 7))) == pytest.approx([0.3, 1.0, 1.0])


def test_it_is_the_librarys_crps_up_to_the_sum_over_seven_levels():
    """Of a Gaussian in closed form, and of an ensemble by its quantiles; plain twice the mean would be 19 % off."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=4000)
    exact = scoringrules.crps_normal(true, 0.0, 1.0).mean()
    quantiles = np.tile(NORMAL, (4000, 1))
    assert crps(true, quantiles).mean() == pytest.approx(exact, rel=0.03)
    assert 2 * pinball(true, quantiles).mean() < 0.85 * exact
    draws = rng.gamma(2.0, size=(4000, 200))
    truth = rng.gamma(2.0, size=4000)
    ensemble = scoringrules.crps_ensemble(truth, draws).mean()
    assert crps(truth, row_quantiles(draws)).mean() == pytest.approx(ensemble, rel=0.03)


def test_the_cap_does_not_pay_for_another_distribution():
    """Heavy tails: the true quantiles earn the least CRPS under the cap on the outcome, beyond it too."""
    rng = np.random.default_rng(1)
    true = np.maximum(rng.standard_t(2, 200_000) * 0.6, -1.0)
    honest = np.maximum(scipy.stats.t.ppf(LEVELS, 2) * 0.6, -1.0)

    def mean(factor, shift=0.0):
        told = np.maximum(honest * factor + shift, -1.0)
        return crps(capped(true), capped(np.tile(told, (len(true), 1)))).mean()

    best = mean(1.0)
    assert all(mean(factor) > best for factor in (0.0, 0.5, 0.8, 1.25, 2.0))
    assert all(mean(1.0, shift) > best for shift in (-0.1, 0.1))


def test_pit_of_a_truth_between_quantiles_and_at_them():
    quantiles = np.array([[-3.0, -2, -1, 0, 1, 2, 3]])
    for truth, stretch in ((-5.0, 0), (0.5, 4), (9.0, 7)):
        assert pit_masses(np.array([truth]), quantiles)[0].tolist() == (np.arange(8) == stretch).tolist()
    # At one quantile: half of the stretch on either side, so in proportion to their widths.
    assert pit_masses(np.array([1.0]), quantiles)[0] == pytest.approx([0, 0, 0, 0, 0.625, 0.375, 0, 0])
    # No trade, of which the forecast is sure at 25 to 75 %: from .175 to .825.
    spike = np.array([[-3.0, -2, 0, 0, 0, 2, 3]])
    expected = np.array([0, 0, 0.075, 0.25, 0.25, 0.075, 0, 0]) / 0.65
    assert pit_masses(np.array([0.0]), spike)[0] == pytest.approx(expected)
    # A full exit, below which nothing is.
    bound = np.array([[-1.0, -1, 0, 0, 0, 2, 3]])
    assert pit_masses(np.array([-1.0]), bound)[0] == pytest.approx(np.array([0.05, 0.05, 0.075, *[0] * 5]) / 0.175)


def made_up(n: int, seed: int = 0, spike: float = 0.0):
    """Windows and tables of predictions: truth Gaussian around a mean that `calibrated` knows, a share of no trades."""
    rng = np.random.default_rng(seed)
    held = np.exp(rng.normal(0, 2, n))
    centre = 0.1 * rng.normal(size=n)
    change = np.maximum(centre + 0.15 * rng.normal(size=n), -1.0)
    change[rng.random(n) < spike] = 0.0
    test = rows(8076 + rng.integers(12, size=n), held, change * held)
    for row, manager in zip(test, rng.integers(40, size=n), strict=True):
        row["mgrno"] = int(manager)
    ids = [row["window_id"] for row in test]

    def told(mean, sd):
        quantiles = np.maximum(mean[:, None] + sd * NORMAL, -1.0) * held[:, None]
        return with_quantiles(prediction_table(ids, held, mean * held), quantiles)

    tables = {
        "no_change": told(np.zeros(n), np.hypot(0.1, 0.15)),
        "calibrated": told(centre, 0.15),
        "overconfident": told(centre, 0.05),
        "timid": told(centre, 0.45),
        "point": prediction_table(ids, held, centre * held),
    }
    joined = join_predictions(test, tables)
    return joined, tables


def scored(joined, tables, change=DOLLAR_CHANGE):
    return distributions_of(joined.drop_duplicates("window_id"), tables, change)


@pytest.fixture(scope="module")
def given():
    return scored(*made_up(8000))


def test_a_calibrated_forecaster_is_flat_and_holds_eighty_percent(given):
    pit = pit_table(given).set_index("forecaster").loc["calibrated"]
    assert pit["pit_count"].sum() == pytest.approx(8000)
    assert pit["pit_density"].to_numpy() == pytest.approx(np.ones(8), abs=0.12)
    # Chi-squared of the counts: as large by chance in more than one of a hundred samples.
    expected = 8000 * np.diff(EDGES)
    assert scipy.stats.chi2.sf(((pit["pit_count"] - expected) ** 2 / expected).sum(), 7) > 0.01
    table = distribution_table(given, 0.95).set_index("forecaster")
    assert table.loc["calibrated", "coverage_80"] == pytest.approx(0.8, abs=0.02)
    assert table.loc["calibrated", "coverage_80_low"] < 0.8 < table.loc["calibrated", "coverage_80_high"]
    reliability = reliability_table(given, 0.95).set_index("forecaster").loc["calibrated"]
    assert reliability["observed_share"].to_numpy() == pytest.approx(LEVELS, abs=0.02)
    assert (reliability["observed_low"] < reliability["level"]).all()
    assert (reliability["observed_high"] > reliability["level"]).all()


def test_a_planted_overconfident_forecaster_is_seen(given):
    """A third of the true spread: high at both ends, a band that holds a third, and a CRPS that is worse."""
    table = distribution_table(given, 0.95).set_index("forecaster")
    assert table.loc["overconfident", "coverage_80"] == pytest.approx(0.33, abs=0.03)
    assert table.loc["overconfident", "coverage_80_high"] < 0.5
    assert table.loc["timid", "coverage_80_low"] > 0.95
    density = pit_table(given).set_index(["forecaster", "level_low"])["pit_density"]
    assert min(density["overconfident", 0.0], density["overconfident", 0.95]) > 4
    assert max(density["timid", 0.0], density["timid", 0.95]) < 0.1
    width = table["width_80"]
    assert width["overconfident"] < width["calibrated"] < width["timid"]
    assert table[CRPS].idxmin() == "calibrated"


def test_a_position_that_grew_tenfold_counts_once():
    """By hand, in all tables: changes of .3 and 10 positions, forecast by a sure 0 and by a band far beyond the cap."""
    test = rows([8076, 8077], [10.0, 10.0], [3.0, 100.0])
    ids, held = [row["window_id"] for row in test], np.array([10.0, 10.0])
    sure = with_quantiles(prediction_table(ids, held, 0 * held), np.zeros((2, 7)))
    wide = with_quantiles(prediction_table(ids, held, 0 * held), np.tile([-10.0, -10, 0, 0, 0, 400, 500], (2, 1)))
    given = scored(join_predictions(test, {"no_change": sure, "wide": wide}), {"no_change": sure, "wide": wide})
    table = distribution_table(given, 0.95).set_index("forecaster")
    assert table.loc["no_change", CRPS] == pytest.approx((0.3 + 1) / 2)
    assert table["width_80"].tolist() == pytest.approx([0, 2])
    assert table["coverage_80"].tolist() == [0.0, 1.0]
    losses = reliability_table(given, 0.95).set_index(["forecaster", "level"])["pinball"]
    assert losses["no_change", 0.5] == pytest.approx((0.3 + 1) / 4)
    assert losses["wide", 0.95] == pytest.approx(0.05 * (0.7 + 0) / 2)
    assert losses["wide", 0.05] == pytest.approx(0.05 * (1.3 + 2) / 2)


def test_a_spike_of_no_trades_does_not_look_like_a_fault():
    """Four in ten keep their shares, and the forecast says so: reliability stays on the diagonal, the band holds more
    than 80 % only because its ends are counted in."""
    rng = np.random.default_rng(5)
    moved = np.where(rng.random((2, 20_000)) < 0.4, 0.0, rng.normal(0, 0.2, (2, 20_000)))
    quantiles = np.tile(row_quantiles(moved[:1]), (20_000, 1))
    observed = np.cumsum(pit_masses(moved[1], quantiles).mean(axis=0))[:-1]
    assert observed == pytest.approx(LEVELS, abs=0.03)


def test_difference_from_no_change_with_its_inference(given):
    table = distribution_table(given, 0.95).set_index("forecaster")
    assert list(table.index) == ["no_change", "calibrated", "overconfident", "timid"], "the point forecast has no band"
    row = table.loc["calibrated"]
    assert row["difference"] == pytest.approx(row[CRPS] - table.loc["no_change", CRPS])
    assert row[CRPS_SKILL] == pytest.approx(1 - row[CRPS] / table.loc["no_change", CRPS])
    assert row["interval_high"] < 0
    assert row["p_value"] < 1e-4
    assert (row["n_quarters"], row["n_managers"], row["degrees_of_freedom"]) == (12, 40, 11)
    # A mean of independent windows: the two-way error is near that of the textbook.
    difference = crps(capped(given.true), capped(given.quantiles["calibrated"])) - crps(
        capped(given.true), capped(given.quantiles["no_change"])
    )
    assert row["standard_error"] == pytest.approx(difference.std() / np.sqrt(8000), rel=0.6)
    same = table.loc["no_change"]
    assert (same["difference"], same["standard_error"], same[CRPS_SKILL]) == (0.0, 0.0, 0.0)


def test_silence_is_a_sure_no_change():
    """As in the headline; a window whose forecast is there and whose quantiles are not makes no distribution."""
    joined, tables = made_up(300)
    silent = tables["calibrated"].copy()
    silent.loc[silent.index[:100], ["predicted_delta", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]] = np.nan
    given = scored(joined, {"silent": silent})
    place = pd.Index(joined.drop_duplicates("window_id")["window_id"]).get_indexer(silent["window_id"][:100])
    assert (given.quantiles["silent"][place] == 0).all()
    losses = crps(capped(given.true), capped(given.quantiles["silent"]))
    assert losses[place] == pytest.approx(np.abs(capped(given.true[place])))
    broken = tables["calibrated"].copy()
    broken.loc[0, "q25"] = np.nan
    assert [has_distribution(x) for x in (tables["calibrated"], silent, broken, tables["point"])] == [1, 1, 0, 0]
    assert not has_distribution(tables["calibrated"].drop(columns="q75"))


def test_windows_are_joined_by_id_and_those_without_label_or_position_set_aside():
    test = rows([8076, 8077, 8078, 8079], [10.0, 0.0, 10.0, 4.0], [1.0, 2.0, 3.0, -4.0], [1.0, 2.0, None, -4.0])
    ids, held = [row["window_id"] for row in test], np.array([10.0, 0.0, 10.0, 4.0])
    table = with_quantiles(prediction_table(ids, held, held), np.tile(np.arange(-3.0, 4.0), (4, 1)) * held[:, None])
    table.loc[3, ["q05", "q10"]] = -99.0
    given = scored(join_predictions(test, {"sft": table.iloc[::-1]}), {"sft": table.iloc[::-1]}, ACTIVE_CHANGE)
    assert given.set_aside == 2
    order = np.argsort(given.true)
    assert given.true[order].tolist() == [-1.0, 0.1]
    assert given.quantiles["sft"][order[1]].tolist() == [-1, -1, -1, 0, 1, 2, 3], "no position is negative"
    assert given.quantiles["sft"][order[0]][:2].tolist() == [-1, -1]


def test_no_window_and_no_forecaster_make_empty_tables():
    joined, tables = made_up(5)
    without = joined.assign(label_active=np.nan)
    given = scored(without, tables, ACTIVE_CHANGE)
    table = distribution_table(given, 0.95)
    assert table["n_windows"].tolist() == [0] * 4
    assert table[[CRPS, "coverage_80", "p_value"]].isna().all(axis=None)
    assert len(reliability_table(given, 0.95)) == 28
    assert pit_table(given)["pit_density"].isna().all()
    nobody = scored(joined, {"point": tables["point"]})
    for found, full in ((distribution_table(nobody, 0.95), table), (pit_table(nobody), pit_table(given)),
                        (reliability_table(nobody, 0.95), reliability_table(given, 0.95))):  # fmt: skip
        assert len(found) == 0
        assert list(found) == list(full)


def test_the_rules_module_scores_the_change_that_was_asked_for(tmp_path):
    joined, tables = made_up(400)
    joined["label_active"] = -joined["label_delta"]
    write_csv(tmp_path / "forecasts.csv", with_units(joined))
    for name, table in tables.items():
        write_csv(tmp_path / f"predictions/{name}.csv", table)
    args = Namespace(
        forecasts=tmp_path / "forecasts.csv",
        predictions=[tmp_path / f"predictions/{name}.csv" for name in tables],
        firm_type="banks",
        settings=evaluate_distributions.Settings("holding_tp1", 0.9),
        out=tmp_path / "out",
    )
    said = evaluate_distributions.main(args)
    assert said == (
        "evaluate_distributions banks: no_change, calibrated, overconfident, timid; without quantiles: point"
    )
    table = pd.read_csv(tmp_path / "out/distributions.csv")
    assert set(table["target"]) == {"change"}
    pd.testing.assert_frame_equal(
        table.drop(columns="firm_type"), distribution_table(scored(joined, tables), 0.9), check_exact=False
    )
    args.settings = evaluate_distributions.Settings("active_delta", 0.9)
    evaluate_distributions.main(args)
    other = pd.read_csv(tmp_path / "out/distributions.csv")
    assert set(other["target"]) == {"active_change"}
    assert other.set_index("forecaster").loc["calibrated", CRPS] > table.set_index("forecaster").loc["calibrated", CRPS]
