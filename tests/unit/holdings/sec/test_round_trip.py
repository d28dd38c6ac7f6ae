"""Zips that the generator writes, through all stages to windows, compared with the simulated panel that went in."""

import json
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from tests.sec_zips import SPLIT_STOCK, write_sec_zips
from tests.unit.holdings.sec.hand_made import build
from workflow_scripts import build_sec_panel, build_windows, check_panel
from workflow_scripts.holdings.panel.checks import CheckSettings
from workflow_scripts.holdings.panel.quarters import label_ids
from workflow_scripts.holdings.panel.simulation import SimulationSettings
from workflow_scripts.holdings.sec.panel_settings import SecPanelSettings
from workflow_scripts.holdings.windows.windows import WindowSettings

SIZE = {"managers": 20, "stocks": 12, "stocks_per_manager": 8, "first_year": 2020, "last_year": 2024}
WHOLE = {"gap_probability": 0, "missing_probability": 0}
LAW = SimulationSettings(**SIZE, **WHOLE, exit_below=15, exit_probability=0.3)
DRIFT = {"banks": 0.1, "mutual_funds": -0.04}
# Values rounded to $1,000 make prices; positions are of some million dollars.
ROUNDING = 2e-3


@pytest.fixture(scope="module")
def trip(tmp_path_factory):
    """Folder of the panel, what went in (Truth), the filings that counted, and each slice as a frame."""
    folder = tmp_path_factory.mktemp("trip")
    truth = write_sec_zips(folder, LAW, DRIFT, seed=3)
    read = build(sorted((folder / "form13f").glob("*.zip")), folder / "sec")
    settings = SecPanelSettings(values=str(folder / "values.csv"), needed=["me"])
    files = {name: str(folder / f"sec/{name}.parquet") for name in ("positions", "managers")}
    out = {"slices": str(folder / "panel"), "out": str(folder / "sec")}
    build_sec_panel.main(Namespace(**files, **out, settings=build_sec_panel.Settings(settings, 3)))
    slices = {name: pd.read_parquet(folder / f"panel/{name}.parquet") for name in DRIFT}
    cusips = pd.read_csv(folder / "sec/stocks.csv", dtype={"cusip": str}).set_index("permno")["cusip"]
    for frame in slices.values():
        frame["cusip"] = frame["permno"].map(cusips)
        frame["quarter"] = pd.PeriodIndex(pd.to_datetime(frame["date"]), freq="Q").astype(str)
    return folder, truth, read.filings, slices


def test_every_trap_is_there(trip):
    """What the zips are made hard with occurs, so that the comparison below says something."""
    folder, truth, filings, _ = trip
    assert {"RESTATEMENT", "NEW HOLDINGS"} <= set(filings["amendment"].dropna())
    assert {"superseded", "notice"} <= set(filings["state"])
    later = pd.to_datetime(filings["filed"]) >= "2023-01-03"
    kept = filings["state"] == "kept"
    assert set(filings.loc[kept & later, "unit"]) == {"dollars", "thousands"}
    assert (filings[["option_rows", "principal_rows"]].sum() > 20).all()
    text = (folder / "sec/filings.txt").read_text()
    for state in ("leading zeros added", "check digit added", "not a CUSIP"):
        assert state in text
    assert len(truth.not_filed) > 10


def test_every_position_comes_back_and_no_other(trip):
    _, truth, _, slices = trip
    keys = ["type", "mgrno", "cusip", "quarter"]
    out = pd.concat(slices.values())
    went_in = truth.held.drop(columns="mgrno").rename(columns={"cik": "mgrno"})
    both = went_in.merge(out[out["holding_t"] > 0], on=keys, how="outer", suffixes=("_in", ""), indicator=True)
    assert both["_merge"].eq("both").all(), both["_merge"].value_counts()
    assert len(both) > 3000
    for name in ("holding_t", "prc", "me", "be", "profit", "Gat", "beta"):
        np.testing.assert_allclose(both[name], both[f"{name}_in"], rtol=ROUNDING, err_msg=name)
    np.testing.assert_allclose(both["outaum"], both["outaum_in"], rtol=ROUNDING, atol=2e-3)
    split = both[both["cusip"] == both.loc[both["permno_in"] == SPLIT_STOCK, "cusip"].iloc[0]]
    prices = split.groupby("quarter")["prc"].first()
    assert ((prices / prices.shift(1)).round(1) == 0.5).sum() == 1


def test_sold_positions_are_zero_and_gaps_are_none(trip):
    """Each position that was sold has a zero row, up to 11 quarters after the last filing that has it; there is none in
    a quarter without a filing, none beside a position, and none before one."""
    _, truth, _, slices = trip
    out = pd.concat(slices.values())
    zero = set(out.loc[out["holding_t"] == 0, ["mgrno", "cusip", "quarter"]].itertuples(index=False, name=None))
    held, sold = (
        set(rows[["cik", "cusip", "quarter"]].itertuples(index=False, name=None)) for rows in (truth.held, truth.sold)
    )
    filed = {(manager, quarter) for manager, _, quarter in held}

    def is_recent(manager, stock, quarter):
        before = [one for m, s, one in held if (m, s) == (manager, stock) and one < quarter]
        return before and int(np.diff(label_ids([max(before), quarter]))[0]) <= 11

    expected = {one for one in sold if (one[0], one[2]) in filed and is_recent(*one)}
    assert expected <= zero
    assert len(expected) > 200
    assert not zero & held
    assert {(manager, quarter) for manager, _, quarter in zero} <= filed
    assert all(is_recent(*one) for one in zero)


@pytest.mark.parametrize("firm_type", DRIFT)
def test_windows_are_those_of_what_went_in(trip, firm_type):
    """check_panel accepts the slice, without a warning of units; each window of four filed positions is there."""
    folder, truth, _, slices = trip
    path, report = str(folder / f"panel/{firm_type}.parquet"), str(folder / f"{firm_type}.json")
    about = {"panel": path, "firm_type": firm_type}
    check_panel.main(Namespace(**about, settings=CheckSettings(), out=report, text=str(folder / "x.txt")))
    warnings = json.loads((folder / f"{firm_type}.json").read_text())["warnings"]
    assert not {"unit_suspicion", "unit_jump", "holding_above_aum", "label_missing"} & set(warnings)
    out = folder / f"{firm_type}.windows.parquet"
    build_windows.main(Namespace(**about, report=report, settings=WindowSettings(), out=str(out)))
    windows = pd.read_parquet(out)
    cusips = slices[firm_type].drop_duplicates("permno").set_index("permno")["cusip"]
    windows = windows.set_index([windows["mgrno"], windows["permno"].map(cusips), "quarter"])
    assert windows.index.is_unique
    went_in = truth.held[truth.held["type"] == firm_type]
    quarter = label_ids(went_in["quarter"])
    holding = pd.Series(went_in["holding_t"].to_numpy(), [went_in["cik"], went_in["cusip"], quarter])
    keys = [key for key in holding.index if all((*key[:2], key[2] - lag) in holding.index for lag in (1, 2, 3))]
    found = windows.loc[keys]
    assert len(found) == len(keys) > 500
    assert not found["zero_holding"].any()
    following = np.array([holding.get((*key[:2], key[2] + 1), np.nan) for key in keys])
    change = following / holding.loc[keys].to_numpy() - 1
    moved = np.abs(change) > 2 * ROUNDING
    np.testing.assert_array_equal(found["delta_sign"].to_numpy(float)[moved], np.sign(change[moved]))
    assert moved.sum() > 300
