"""A panel from positions and filings that a test writes by hand."""

import json
from argparse import Namespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts import build_sec_panel, check_panel
from workflow_scripts.holdings.panel.checks import CheckSettings
from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.holdings.panel.quarters import label_ids
from workflow_scripts.holdings.sec.panel_settings import SecPanelSettings

AAPL, MSFT, AMZN = "037833100", "594918104", "023135106"


def write_positions(path, rows):
    """`rows` are (mgrno, cusip, quarter, shares, value) and if need be issuer."""
    frame = pd.DataFrame([(*row, "ISSUER")[:6] for row in rows])
    frame.columns = ["mgrno", "cusip", "quarter", "shares", "value", "issuer"]
    frame["quarter"] = label_ids(frame["quarter"])
    frame = frame.sort_values(["mgrno", "cusip", "quarter"])
    table = {
        "mgrno": pa.array(frame["mgrno"], pa.int64()),
        "cusip": pa.array(frame["cusip"], pa.string()),
        "quarter": pa.array(frame["quarter"], pa.int32()),
        "issuer": pa.array(frame["issuer"], pa.string()),
        "title_of_class": pa.array(["COM"] * len(frame), pa.string()),
        "shares": pa.array(frame["shares"], pa.float64()),
        "value": pa.array(frame["value"], pa.float64()),
    }
    pq.write_table(pa.table(table), path)
    return path


def write_managers(path, rows, names):
    """`rows` are (mgrno, quarter, is_combination, has_holdings) and if need be is_confidential."""
    mgrno, quarter, combination, holdings, confidential = zip(*((*row, False)[:5] for row in rows), strict=True)
    table = {
        "mgrno": pa.array(mgrno, pa.int64()),
        "name": [names.get(one, "SOME CAPITAL LLC") for one in mgrno],
        "quarter": pa.array(label_ids(quarter), pa.int32()),
        "is_combination": list(combination),
        "has_holdings": list(holdings),
        "is_confidential": list(confidential),
    }
    pq.write_table(pa.table(table), path)
    return path


@pytest.fixture
def make_panel(tmp_path):
    """Positions (mgrno, cusip, quarter, shares, value), filings beyond those that they need, names, and settings, to
    the panel as one frame (with `cusip` and `quarter`), once check_panel has accepted every slice that has rows."""

    def make(positions, filings=(), names=None, min_price_filers=1, **settings):
        told = {(mgrno, quarter) for mgrno, quarter, *_ in filings}
        needed = sorted({(row[0], row[2]) for row in positions} - told)
        filings = [*filings, *((mgrno, quarter, False, True) for mgrno, quarter in needed)]
        args = Namespace(
            positions=str(write_positions(tmp_path / "positions.parquet", positions)),
            managers=str(write_managers(tmp_path / "managers.parquet", filings, names or {})),
            settings=build_sec_panel.Settings(SecPanelSettings(**settings), min_price_filers),
            slices=str(tmp_path / "panel"),
            out=str(tmp_path / "sec"),
        )
        build_sec_panel.main(args)
        frames = []
        for firm_type in FIRM_TYPES:
            path = tmp_path / f"panel/{firm_type}.parquet"
            if pq.read_metadata(path).num_rows:
                check = {"panel": str(path), "firm_type": firm_type, "settings": CheckSettings(max_share_above=1)}
                check_panel.main(Namespace(**check, out=str(tmp_path / "check.json"), text=str(tmp_path / "check.txt")))
                assert json.loads((tmp_path / "check.json").read_text())["sorted"]
                frames.append(pd.read_parquet(path))
        panel = pd.concat(frames, ignore_index=True)
        stocks = pd.read_csv(tmp_path / "sec/stocks.csv", dtype={"cusip": str})
        first = stocks.drop_duplicates("permno").set_index("permno")["cusip"]
        panel["cusip"] = panel["permno"].map(first)
        panel["quarter"] = pd.PeriodIndex(pd.to_datetime(panel["date"]), freq="Q").astype(str)
        return panel

    return make


def cell(panel, mgrno, cusip, quarter):
    """The one row of a manager, a stock and a quarter; None where there is none."""
    found = panel[(panel["mgrno"] == mgrno) & (panel["cusip"] == cusip) & (panel["quarter"] == quarter)]
    assert len(found) <= 1
    return found.iloc[0] if len(found) else None


def holding(panel, mgrno, cusip, quarter):
    """Its holding_t, NaN where there is no row."""
    row = cell(panel, mgrno, cusip, quarter)
    return np.nan if row is None else row["holding_t"]
