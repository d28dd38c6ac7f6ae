"""CUSIPs as filers write them: what is mended, what stays, and what decides."""

import doctest

import pyarrow as pa
import pytest

from workflow_scripts.holdings.sec import cusips
from workflow_scripts.holdings.sec.cusips import (
    DIGIT_ADDED,
    NO_CUSIP,
    WHOLE,
    WRONG_DIGIT,
    ZEROS_ADDED,
    mend,
    mend_column,
)


def test_examples():
    assert doctest.testmod(cusips) == (0, doctest.testmod(cusips).attempted)


def test_check_digits_of_real_cusips():
    """Apple, Berkshire A and B, Alphabet C, 3M (letters at odd and even places), AT&T."""
    real = ["037833100", "084670108", "084670702", "02079K107", "88579Y101", "00206R102"]
    assert cusips.check_digits([one[:8] for one in real]).tolist() == [int(one[8]) for one in real]
    assert cusips.are_whole(real).all()
    assert not cusips.are_whole(["037833101", "000000000", "03783310", "", "03783310é"]).any()


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("037833100", set(), ("037833100", WHOLE)),
        ("037833905", set(), ("037833905", WRONG_DIGIT)),  # the number of an option
        ("2824100", set(), ("002824100", ZEROS_ADDED)),  # Abbott
        ("84670702", {"084670702"}, ("084670702", ZEROS_ADDED)),
        ("84670702", set(), ("84670702", NO_CUSIP)),  # nobody wrote it whole, and it is no common stock
        ("46428722", {"464287226"}, ("464287226", DIGIT_ADDED)),
        ("59491810", set(), ("594918104", DIGIT_ADDED)),
        ("B94G471", set(), ("B94G471", NO_CUSIP)),  # a SEDOL that fits a check digit by chance
        ("000000000", set(), ("000000000", NO_CUSIP)),
        ("", set(), ("", NO_CUSIP)),
    ],
)
def test_a_text_becomes_the_cusip_that_was_meant_or_stays(text, known, expected):
    (cusip,), (state,) = mend([text], known)
    assert (cusip, state) == expected


def test_what_others_wrote_whole_decides_between_zeros_and_a_check_digit():
    """17175100 is Alleghany without its zero; as a body it would get the check digit 1."""
    both = {"017175100", "171751001"}
    assert mend(["17175100"], {"017175100"})[0] == ["017175100"]
    assert mend(["17175100"], {"171751001"})[0] == ["171751001"]
    assert mend(["17175100"], both)[0] == ["017175100"], "the check digit fits, which it does by chance one time in ten"


def test_a_column_is_cleaned_mended_and_counted():
    texts = pa.chunked_array([["02079k107 ", "037833-10-0", None], ["46428722", "464287226", "CASH"]])
    column, counts = mend_column(texts)
    assert column.to_pylist() == ["02079K107", "037833100", "", "464287226", "464287226", "CASH"]
    assert counts == {WHOLE: 3, ZEROS_ADDED: 0, DIGIT_ADDED: 1, WRONG_DIGIT: 0, NO_CUSIP: 2}
    assert mend_column(pa.array([], pa.string()))[0].to_pylist() == []
