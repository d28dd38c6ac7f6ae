"""A column of another quarter is told, on the simulated panel and on a real one; the right panel passes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.holdings.panel import timing
from workflow_scripts.holdings.panel.checks import CheckSettings, check_panel
from workflow_scripts.holdings.panel.contract import PanelError
from workflow_scripts.holdings.panel.quarters import quarter_ids
from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.plumbing.code_digest import ROOT

REAL = ROOT.parent / "shared/data/panel_quarter_13f.parquet"
OWNERS = {"aum": "mgrno", "outaum": "mgrno", "prc": "permno", "me": "permno"}
REAL_TYPES = ("insurance_companies", "investment_advisors", "mutual_funds", "other")


def shifted(panel: pd.DataFrame, columns: tuple[str, ...], quarters: int) -> pd.DataFrame:
    """The panel with columns of so many quarters later; what is not known then stays."""
    panel = panel.assign(quarter=quarter_ids(panel["date"].to_numpy()))
    for name in columns:
        keys = [OWNERS[name], "quarter"]
        other = panel.groupby(keys, as_index=False)[name].first().rename(columns={name: "other"})
        other["quarter"] -= quarters
        panel[name] = panel[keys].merge(other, how="left", on=keys)["other"].fillna(panel[name]).to_numpy()
    return panel.drop(columns="quarter")


def checked(folder: Path, panel: pd.DataFrame, **settings) -> dict:
    firm_type = panel["type"].iloc[0]
    path = folder / f"{firm_type}.parquet"
    pq.write_table(pa.Table.from_pandas(panel, preserve_index=False), path)
    return check_panel(path, firm_type, CheckSettings(max_share_above=1, **settings))


@pytest.fixture(scope="module", params=[{}, {"managers": 8, "stocks": 20, "stocks_per_manager": 6, "return_sd": 0.1}])
def simulated(request) -> pd.DataFrame:
    return pa.concat_tables(simulate_panel("banks", 0.1, SimulationSettings(**request.param), 3)).to_pandas()


@pytest.fixture(scope="module", params=REAL_TYPES)
def real(request) -> pd.DataFrame:
    path = REAL / f"{request.param}.parquet"
    if not path.is_file():
        pytest.skip(f"the real panel is not there: {path}")
    return pd.read_parquet(path)


def test_the_right_panel_passes(tmp_path, simulated):
    report = checked(tmp_path, simulated)
    assert report["warnings"].keys() <= {"label_missing"}
    assert report["timing"]["sums_that_are_aum"]["0"] == 1
    assert report["timing"]["correlation_of_me_and_prc"]["0"] > 0.99


def test_the_right_real_panel_passes(tmp_path, real):
    """What the three statistics are on filings: as they are with the right quarters, and nearly none with others."""
    report = checked(tmp_path, real)
    assert "timing" not in report["warnings"]
    by_prc, by_aum, by_me = report["timing"].values()
    assert by_prc["0"] > 0.13
    assert max(by_prc["-1"], by_prc["+1"]) < 0.001
    assert by_aum["0"] > 0.99
    assert max(by_aum["-1"], by_aum["+1"]) < 0.4
    assert by_me["0"] > 0.8
    assert max(by_me["-1"], by_me["+1"]) < 0.1


@pytest.mark.parametrize(
    ("columns", "told"),
    [(("aum",), "column 'aum' is that of the quarter after"),
     (("aum", "outaum"), "column 'aum' is that of the quarter after"),
     (("prc",), "columns 'me' and 'prc' are of different quarters, me of the earlier one"),
     (("me",), "columns 'me' and 'prc' are of different quarters, me of the later one")],
)  # fmt: skip
def test_a_simulated_column_of_the_next_quarter_ends_the_run(tmp_path, simulated, columns, told):
    """Nobody keeps his shares in the simulated panel, so that me and prc only tell that they differ."""
    with pytest.raises(PanelError, match=rf"{told}.*by shift: .*Move the column to the rows of its own quarter"):
        checked(tmp_path, shifted(simulated, columns, 1))
    report = checked(tmp_path, shifted(simulated, columns, 1), timing="warn")
    assert report["warnings"]["timing"]["examples"][0].startswith(told)


@pytest.mark.parametrize(
    "columns", [("aum",), ("prc",), ("me",), ("prc", "me"), ("aum", "outaum", "prc", "me")], ids=str
)
def test_a_real_column_of_the_next_quarter_ends_the_run(tmp_path, real, columns):
    with pytest.raises(PanelError) as error:
        checked(tmp_path, shifted(real, columns, 1))
    for name in {"aum", "prc", "me"}:
        told = f"column '{name}' is that of the quarter after its row" in str(error.value)
        assert told == (name in columns)


def test_a_stale_column_is_a_warning_unless_it_is_the_price(tmp_path, real):
    """The return up to t is known at t: with the price of t-1 it would look like a trade after t."""
    for columns in (("aum",), ("me",)):
        report = checked(tmp_path, shifted(real, columns, -1))
        (line,) = report["warnings"]["timing"]["examples"]
        assert line.startswith(f"column '{columns[0]}' is that of the quarter before its row")
    with pytest.raises(PanelError, match="column 'prc' is that of the quarter before its row"):
        checked(tmp_path, shifted(real, ("prc",), -1))


def test_a_large_slice_is_judged_by_some_of_its_pairs(tmp_path, simulated, monkeypatch):
    monkeypatch.setattr(timing, "SAMPLED_ROWS", len(simulated) // 4)
    report = checked(tmp_path, simulated)
    counted = report["timing"]["untraded_positions_by_prc"]["of"]
    assert 0.1 < counted / len(simulated) < 0.4
    if counted > timing.MIN_CHANGES:
        with pytest.raises(PanelError, match="columns 'me' and 'prc' are of different quarters"):
            checked(tmp_path, shifted(simulated, ("prc",), 1))


def test_few_rows_and_constant_prices_tell_nothing(tmp_path, simulated):
    settings = SimulationSettings(managers=3, last_year=2011)
    few = pa.concat_tables(simulate_panel("banks", 0.1, settings, 3)).to_pandas()
    assert "timing" not in checked(tmp_path, shifted(few, ("aum", "prc"), 1))["warnings"]
    assert "timing" not in checked(tmp_path, simulated.assign(prc=20.0, me=1000.0))["warnings"]
    unrelated = np.random.default_rng(0).permutation(simulated["me"])
    assert "timing" not in checked(tmp_path, simulated.assign(me=unrelated, aum=np.nan))["warnings"]
