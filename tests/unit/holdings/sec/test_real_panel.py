"""The panel of real zips agrees with one that somebody else made of the same filings; where the files are there."""

import pytest

from tests.benchmarks.sec_agreement import MISSING, SAME, SHARED, compared, made, theirs


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real filings of ../shared/data")
def test_positions_and_prices_of_real_filings_agree(tmp_path):
    """Of 39,000 positions of large stocks almost all are found, and equal within 1 %; so are the prices."""
    both = compared(made(tmp_path), theirs())
    assert len(both) > 39_000
    assert (both["what"] == MISSING).mean() < 0.0005
    assert (both["what"] == SAME).mean() > 0.996
    price = (both["prc"] / both["prc_other"] - 1).abs().dropna()
    assert len(price) > 35_000
    assert (price < 0.001).mean() > 0.998
