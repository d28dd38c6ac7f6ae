"""A file of one's own forecasts: the same numbers in, the same numbers out, and every fault with its place."""

import argparse
import re

import numpy as np
import pandas as pd
import pytest

from workflow_scripts import import_forecasts
from workflow_scripts.holdings.evaluation.distributions import has_distribution
from workflow_scripts.holdings.forecasts.own_forecasts import own_predictions
from workflow_scripts.holdings.forecasts.predictions import prediction_table
from workflow_scripts.holdings.texts.answers import QUANTILES
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_csv, write_csv, write_jsonl

IDS = ["banks-1-10-2019Q1", "banks-2-10-2019Q1", "banks-1-11-2019Q2"]
HELD = [5.0, 1.0, 2.0]


def written(tmp_path, *lines: str):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_windows_are_joined_by_id_and_others_are_left(tmp_path):
    path = written(
        tmp_path,
        "\ufeffwindow_id,predicted_delta,q90,q10,q97.5",
        f"{IDS[2]}, -0.5,1,-1,2.0",
        "households-9-9-2019Q1,7,8,6,9",
        f"{IDS[0]},1e-3,.5,-2,.5",
        f"{IDS[1]},-3,0,-9,0.25",
    )
    table, others = own_predictions(path, IDS, HELD)
    assert others == 1
    assert table["window_id"].tolist() == IDS
    assert table["predicted_delta"].tolist() == [0.001, -3.0, -0.5]
    assert table["predicted_tp1"].tolist() == [5.001, -2.0, 1.5]
    # Below the bound of a position of 1: kept as it was written, and counted.
    assert table["valid_share"].tolist() == [1.0, 0.0, 1.0]
    assert table[["q10", "q90", "q97.5"]].to_numpy().tolist() == [[-2, 0.5, 0.5], [-9, 0, 0.25], [-1, 1, 2]]


def test_a_copy_of_a_baselines_forecasts_is_that_baseline_to_the_last_bit(tmp_path):
    """Numbers that pandas' fast reading would change in the last digit."""
    rng = np.random.default_rng(0)
    ids = [f"banks-{number}-10-2019Q1" for number in range(2000)]
    held, delta = rng.lognormal(3, 2, 2000), rng.normal(0, 1, 2000) * 10.0 ** rng.integers(-9, 6, 2000)
    write_csv(tmp_path / "ridge.csv", prediction_table(ids, held, delta))
    baseline = pd.read_csv(tmp_path / "ridge.csv", dtype=str)
    baseline.sample(frac=1, random_state=1)[["window_id", "predicted_delta"]].to_csv(tmp_path / "mine.csv", index=False)
    write_jsonl(tmp_path / "test.jsonl", [{"window_id": i, "holding_t": h} for i, h in zip(ids, held, strict=True)])
    names = {"forecasts": "mine.csv", "dataset": "test.jsonl", "out": "out.csv"}
    args = argparse.Namespace(**{name: tmp_path / file for name, file in names.items()})
    args.firm_type, args.forecaster = "banks", "mine"
    said = import_forecasts.main(args)
    assert "2,000 test windows, 0 rows of other windows" in said
    assert said.endswith("no distribution (without q05, q10, q25, q50, q75, q90, q95)")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "ridge.csv").read_bytes()
    assert len(read_csv(tmp_path / "out.csv")) == 2000


def test_a_file_with_all_quantiles_is_a_distribution_whatever_their_spelling(tmp_path):
    header = "window_id,predicted_delta,q5,q10.0,q25,q50,q75,q90,q95"
    path = written(tmp_path, header, *(f"{one},0,-3,-2,-1,0,1,2,3" for one in IDS))
    table, _ = own_predictions(path, IDS, HELD)
    assert has_distribution(table)
    assert table.loc[0, list(QUANTILES)].tolist() == [-3, -2, -1, 0, 1, 2, 3]


ROWS = [f"{one},0.5" for one in IDS]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["window_id,predicted_delta", ROWS[0]], "2 of 3 test windows have no forecast, such as banks-2-10-2019Q1, ba"),
        (
            ["window_id,predicted_delta", *ROWS, ROWS[1], ROWS[1]],
            "column window_id: 1 windows stand there more than once, first banks-2-10-2019Q1 in line 3, 5, 6; leave",
        ),
        (
            ["window_id,predicted_delta,sharpe", *ROWS],
            "column 'sharpe' is unknown. A file of forecasts is a CSV with c",
        ),
        (["window_id,forecast", *ROWS], "there is no column predicted_delta; column 'forecast' is unknown"),
        (["window_id;predicted_delta", *ROWS], "there is no column window_id, predicted_delta; column 'window_id;p"),
        (
            ["window_id,predicted_delta", ROWS[0], f"{IDS[1]},n/a", f"{IDS[2]},"],
            "column predicted_delta: 2 cells are no finite number, such as 'n/a' in line 3, 4; write",
        ),
        (
            ["window_id,predicted_delta", *ROWS[:2], f"{IDS[2]},inf"],
            "column predicted_delta: 1 cells are no finite number, such as 'inf'",
        ),
        (
            ["window_id,predicted_delta", *ROWS[:2], IDS[2]],
            "column predicted_delta: 1 cells are no finite number, such as ''",
        ),
        (
            ["window_id,predicted_delta,q50,q05", *(f"{row},0.1,0.1" for row in ROWS[:2]), f"{ROWS[2]},0.1,0.2"],
            "column q50 lies below q05 in line 4; quantiles rise with their percentage",
        ),
        (
            ["window_id,predicted_delta,q05,q5", *(f"{row},0,0" for row in ROWS)],
            "columns q05 and q5 are the same quantile; leave one of them",
        ),
        (["window_id,predicted_delta,q05", *(f"{row},x" for row in ROWS)], "column q05: 3 cells are no finite number"),
        (["window_id,predicted_delta", *ROWS, "a,b,c,d"], "cannot be read as a CSV in UTF-8"),
        ([""], "cannot be read as a CSV in UTF-8"),
    ],
)
def test_a_fault_is_told_with_file_column_line_and_remedy(tmp_path, lines, message):
    path = written(tmp_path, *lines)
    with pytest.raises(InputError, match="^" + re.escape(f"{path}: {message}")):
        own_predictions(path, IDS, HELD)
