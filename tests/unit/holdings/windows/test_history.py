"""Histories are those of the pairs, in whatever order the rows of the slice are."""

import numpy as np
import pytest

from tests.conftest import make_panel, make_run, windows_of
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.windows.history import attach_history
from workflow_scripts.plumbing.errors import InputError


@pytest.fixture
def panel():
    rows = [row for pair in ((2, 5), (2, 7), (11, 5)) for row in make_run(*pair, [1.0, 2.0, 4.0, 8.0, 16.0, pair[0]])]
    return make_panel(rows, me=lambda i: 1000.0 + i, aum=lambda i: 500.0 + 2 * i)


def test_the_order_of_the_slices_rows_does_not_matter(panel):
    windows = windows_of(panel)
    expected = attach_history(windows, typed_table(panel), "banks", 4)
    assert expected["holding_t_lag3"].to_pylist()[:3] == [1.0, 2.0, 4.0]
    assert expected["me_lag0"].to_pylist()[:3] == [1003.0, 1004.0, 1005.0]
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(panel.num_rows)
        shuffled = attach_history(windows, typed_table(panel.take(order)), "banks", 4)
        assert shuffled.to_pandas().equals(expected.to_pandas())


def test_a_row_that_has_vanished_is_an_error(panel):
    with pytest.raises(InputError, match="no longer in the panel"):
        attach_history(windows_of(panel), typed_table(panel.slice(1)), "banks", 4)
