"""Two-way standard errors: what is left out is left out exactly, and a true null is rejected as often as it says."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.inference import DESIGNS, rejections
from workflow_scripts.holdings.evaluation import inference
from workflow_scripts.holdings.evaluation.inference import CELL, MANAGER, QUARTER
from workflow_scripts.holdings.evaluation.metrics import rank_ic_by_quarter

designs = (st.integers(1, 60), st.integers(1, 5), st.integers(1, 12), st.integers(0, 2**31))


def drawn(n, quarters, managers, seed):
    """Labels of quarter and manager, and three columns of values with ties."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(quarters, size=n), generator.integers(managers, size=n)
    return *labels, *(generator.integers(5, size=(3, n)) / 4)


def clusters_of(quarter, manager):
    """The windows of each cluster, by clustering, in the order of `two_way_clusters`."""
    cells = sorted(set(zip(quarter, manager, strict=True)))
    return {
        QUARTER: [quarter == one for one in np.unique(quarter)],
        MANAGER: [manager == one for one in np.unique(manager)],
        CELL: [(quarter == q) & (manager == m) for q, m in cells],
    }


@settings(deadline=None, max_examples=50)
@given(*designs)
def test_a_ratio_without_a_cluster_is_that_of_the_other_windows(n, quarters, managers, seed):
    quarter, manager, above, below, _ = drawn(n, quarters, managers, seed)
    found = inference.ratio_without(above, below, inference.two_way_clusters(quarter, manager))
    for name, inside in clusters_of(quarter, manager).items():
        rest = [(above[~one].sum(), below[~one].sum()) for one in inside]
        expected = [a / b if b > 0 else np.nan for a, b in rest]
        np.testing.assert_allclose(found[name], expected)


def plain_rank_ic(x, y, kept):
    """Correlation, over the windows kept, of ranks in the whole quarter; NaN where one of them does not vary."""
    x, y = (scipy.stats.rankdata(values)[kept] for values in (x, y))
    return np.corrcoef(x, y)[0, 1] if len(x) > 1 and np.ptp(x) and np.ptp(y) else np.nan


@settings(deadline=None, max_examples=50)
@given(*designs)
def test_a_mean_rank_ic_without_a_cluster_is_that_of_the_other_windows(n, quarters, managers, seed):
    """Quarters without a RankIC are left out with their managers; so are those that have none without the cluster."""
    quarter, manager, true, predicted, _ = drawn(n, quarters, managers, seed)
    clusters = inference.two_way_clusters(quarter, manager)
    by_quarter = rank_ic_by_quarter(true, predicted, quarter)
    without_cell = inference.rank_ic_without(true, predicted, clusters)
    found = inference.mean_without(by_quarter, without_cell, clusters)
    known = np.isin(quarter, np.unique(quarter)[~np.isnan(by_quarter)])
    assert known.any() or all(len(values) == 0 for values in found.values())
    for name, inside in clusters_of(quarter[known], manager[known]).items():
        expected = []
        for one in inside:
            left = np.flatnonzero(known)[~one]
            ics = []
            for q in np.unique(quarter[left]):
                whole = np.flatnonzero(quarter == q)
                ics.append(plain_rank_ic(true[whole], predicted[whole], np.isin(whole, left)))
            ics = [ic for ic in ics if not np.isnan(ic)]
            expected.append(np.mean(ics) if ics else np.nan)
        np.testing.assert_allclose(found[name], expected, atol=1e-12)


def test_the_variance_of_a_mean_by_hand():
    """Clusters of one window each have the usual variance of a mean; three quarters of unequal size, by hand."""
    values = np.array([1.0, 2.0, 4.0, 9.0])
    without = (values.sum() - values) / 3
    assert inference.jackknife_variance(values.mean(), without) == pytest.approx(scipy.stats.sem(values) ** 2)
    quarter, manager = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 1])
    found = inference.ratio_without(values, np.ones(4), inference.two_way_clusters(quarter, manager))
    assert found[QUARTER].tolist() == [6.5, 4.0, pytest.approx(7 / 3)]
    assert found[MANAGER].tolist() == [5.5, 2.5]
    one = inference.estimate(4.0, found)
    by_quarter = 2 / 3 * (2.5**2 + 0 + (4 - 7 / 3) ** 2)
    by_manager = 1 / 2 * (1.5**2 + 1.5**2)
    by_cell = 3 / 4 * sum((4 - rest) ** 2 for rest in without)
    assert by_quarter + by_manager - by_cell < by_quarter, "the sum of both, less what they share, can be the smaller"
    assert one.standard_error == pytest.approx(np.sqrt(by_quarter))
    assert (one.degrees, one.n_quarters, one.n_managers) == (1, 3, 2)
    half = scipy.stats.t.ppf(0.975, 1) * one.standard_error
    assert one.interval(0.95) == pytest.approx((4 - half, 4 + half))
    assert one.p_value() == pytest.approx(2 * scipy.stats.t.sf(4 / one.standard_error, 1))


@pytest.mark.parametrize(("quarter", "manager"), [([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0, 0, 0])], ids=str)
def test_one_quarter_or_one_manager_says_nothing(quarter, manager):
    clusters = inference.two_way_clusters(np.array(quarter), np.array(manager))
    one = inference.estimate(1.0, inference.ratio_without(np.array([0.0, 1.0, 2.0]), np.ones(3), clusters))
    assert np.isnan([one.standard_error, one.p_value(), *one.interval(0.95)]).all()
    assert np.isnan(inference.detectable(np.array([0.1]), np.array([0]), 0.05)).all()


def test_forecasts_that_err_alike_are_not_told_apart():
    clusters = inference.two_way_clusters(np.array([0, 1]), np.array([0, 1]))
    assert inference.estimate(0.0, inference.ratio_without(np.zeros(2), np.ones(2), clusters)).p_value() == 1.0


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_a_true_null_is_rejected_as_often_as_it_says(design):
    """5 % by the two-way test, within what 500 rounds can tell; where quarters and managers have effects both, the
    larger of two one-way tests, which this one replaces, and windows as independent draws reject too often."""
    shares = rejections(design, rounds=500, seed=1)
    assert shares["two-way"] <= 0.085, shares
    assert shares["two-way"] >= (0.015 if design.quarter_sd or design.manager_sd else 0.0), shares
    if design.quarter_sd and design.manager_sd:
        assert shares["larger of one-way"] > shares["two-way"], shares
        assert shares["independent"] > 0.3, shares


def test_a_difference_that_is_detectable_is_found_four_times_in_five():
    generator = np.random.default_rng(3)
    quarter, manager = np.repeat(np.arange(20), 30), np.tile(np.arange(30), 20)
    clusters, found, sizes = inference.two_way_clusters(quarter, manager), 0, []
    true = 0.0
    for _ in range(500):
        values = generator.normal(size=20)[quarter] + generator.normal(size=30)[manager] + generator.normal(size=600)
        one = inference.estimate(values.mean(), inference.ratio_without(values, np.ones(600), clusters))
        sizes.append(inference.detectable(np.array([one.standard_error]), np.array([one.degrees]), 0.05)[0])
        true = true or float(np.hypot(1 / np.sqrt(20), 1 / np.sqrt(30))) * (scipy.stats.t.ppf([0.975, 0.8], 19).sum())
        shifted = inference.estimate(
            values.mean() + true, inference.ratio_without(values + true, np.ones(600), clusters)
        )
        found += shifted.p_value() < 0.05
    assert np.mean(sizes) == pytest.approx(true, rel=0.05)
    assert 0.75 <= found / 500 <= 0.87
