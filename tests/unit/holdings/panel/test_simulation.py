"""The simulated panel obeys the contract and its documented law; its random streams are separate."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.holdings.panel import simulation as simulate
from workflow_scripts.holdings.panel.checks import check_panel
from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.holdings.panel.simulation import SimulationSettings, oracle_delta, simulate_panel

SETTINGS = SimulationSettings(managers=30, stocks=40, stocks_per_manager=15)


def slice_of(firm_type: str) -> pa.Table:
    return pa.concat_tables(simulate_panel(firm_type, -0.04, SETTINGS, 7))


@pytest.fixture(scope="module")
def panel():
    return slice_of("banks")


def test_passes_its_own_contract_with_every_roughness(panel, tmp_path):
    pq.write_table(panel, tmp_path / "banks.parquet")
    report = check_panel(tmp_path / "banks.parquet", "banks")
    assert (report["first_quarter"], report["last_quarter"]) == ("2010Q1", "2021Q4")
    assert report["totals"]["zero_holding"] > 0
    assert report["gaps_between_rows_of_a_pair"] > 0
    assert min(report["totals"][f"{name}_missing"] for name in ("me", "be", "profit", "Gat", "beta")) > 0
    holding = panel["holding_t"].to_numpy()
    assert holding.max() > 10 * np.median(holding[holding > 0]), "positions are heavy-tailed"


def followed(panel: pa.Table) -> pd.DataFrame:
    """Rows above $5 million with a row one quarter before and after, with the gross return and the active change."""
    frame = panel.to_pandas()
    frame["t"] = quarter_ids(frame["date"].to_numpy())
    frame["before"] = frame.groupby(["mgrno", "permno"])["holding_t"].shift()
    frame["t_before"] = frame.groupby(["mgrno", "permno"])["t"].shift()
    price = frame.drop_duplicates(["permno", "t"]).set_index(["permno", "t"])["prc"]
    after = pd.MultiIndex.from_arrays([frame["permno"], frame["t"] + 1])
    frame["gross_return"] = price.reindex(after).to_numpy() / frame["prc"]
    frame["active"] = frame["holding_t1"] / frame["gross_return"] - frame["holding_t"]
    return frame[(frame["t"] == frame["t_before"] + 1) & frame["active"].notna() & (frame["holding_t"] > 5)]


def test_active_changes_follow_the_law(panel):
    rows = followed(panel)
    residual = rows["active"] - oracle_delta(rows["holding_t"], rows["before"], -0.04, 0.8)
    assert len(rows) > 5000
    assert residual.mean() == pytest.approx(0.0, abs=0.005)
    assert residual.std() == pytest.approx(SETTINGS.noise_sd, rel=0.03)
    expected = SETTINGS.noise_sd * np.sqrt(2 / np.pi)
    assert residual.abs().mean() == pytest.approx(expected, rel=0.03), "the oracle's error is the noise's"


def test_prices_move_the_positions_and_are_no_forecast(panel):
    """Log returns have the stated spread, a mean of zero, and nothing to do with what was traded before them."""
    rows = followed(panel)
    log_return = np.log(rows["gross_return"])
    assert log_return.std() == pytest.approx(SETTINGS.return_sd, rel=0.1)
    assert abs(log_return.mean()) < SETTINGS.return_sd / 10
    assert abs(np.corrcoef(log_return, rows["holding_t"] - rows["before"])[0, 1]) < 0.05
    moved = rows["holding_t1"] - rows["holding_t"] - rows["active"]
    assert moved.std() > SETTINGS.noise_sd / 4, "a change is not an active change"


def test_same_seed_same_panel_and_no_shared_stream(panel):
    assert slice_of("banks").to_pandas().equals(panel.to_pandas())
    other = slice_of("other")
    assert not np.array_equal(other["holding_t"].to_numpy()[:50], panel["holding_t"].to_numpy()[:50])
    price = {(r["permno"], r["date"]): r["prc"] for r in panel.slice(0, 500).to_pylist()}
    shared = [(price[k], r["prc"]) for r in other.slice(0, 500).to_pylist() if (k := (r["permno"], r["date"])) in price]
    assert shared
    assert all(a == b for a, b in shared), "a stock has one price, whoever holds it"


def test_a_large_panel_comes_in_blocks_of_managers(monkeypatch, tmp_path):
    monkeypatch.setattr(simulate, "BLOCK_MANAGERS", 12)
    blocks = list(simulate_panel("banks", -0.04, SETTINGS, 7))
    ranges = [(block["mgrno"][0].as_py(), block["mgrno"][-1].as_py()) for block in blocks]
    assert ranges == [(1, 12), (13, 24), (25, 30)]
    sizes = [block["holding_t"].to_numpy()[:50].tolist() for block in blocks]
    assert sizes[0] != sizes[1] != sizes[2], "every block has a stream of its own"
    pq.write_table(pa.concat_tables(blocks), tmp_path / "banks.parquet")
    assert check_panel(tmp_path / "banks.parquet", "banks")["sorted"]
