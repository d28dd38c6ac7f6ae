"""The number formatter never prints scientific notation, and labels never cross the bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.holdings.texts.numbers import format_numbers, round_labels


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (-0.0000004, "0"),
        (0.0000006, "0.000001"),
        (1e-5, "0.00001"),
        (1e20, "100000000000000000000"),
        (12.50, "12.5"),
        (100.0, "100"),
        (float("nan"), "NA"),
        (float("inf"), "NA"),
        (None, "NA"),
    ],
)
def test_format_by_hand(value, text):
    assert format_numbers(np.array([value], dtype=float)) == [text]


def test_zero_decimals_keeps_trailing_zeros_of_integers():
    assert format_numbers([1200.4], 0) == ["1200"]


def test_decimals_out_of_range_are_refused():
    with pytest.raises(ValueError, match="decimals is 7"):
        format_numbers([1.0], 7)


@given(st.floats(-1e15, 1e15), st.integers(0, 6))
def test_format_is_plain_and_close(value, decimals):
    (text,) = format_numbers([value], decimals)
    assert "e" not in text.lower()
    assert text != "-0"
    assert abs(float(text) - value) <= 0.5 * 10**-decimals + 1e-9 * abs(value)


def test_labels_by_hand():
    labels = round_labels([-3.357637, -3.351, 0.004, -0.004], [-3.357637, -3.357637, -1.0, -1.0], 2)
    assert labels.tolist() == [-3.35, -3.35, 0.0, 0.0]
    assert not np.signbit(labels[3]), "a label of zero must not print as -0.00"


@given(st.floats(0, 1e9), st.floats(-1, 3), st.integers(0, 6))
def test_labels_stay_inside_the_bound(holding, growth, decimals):
    label = round_labels([holding * growth], [-holding], decimals)[0]
    assert label >= -holding
    assert abs(label - holding * growth) <= 10.0**-decimals + 1e-9 * holding
