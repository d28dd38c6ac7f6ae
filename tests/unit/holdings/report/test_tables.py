"""Tables of the page: digits, units, best in bold, intervals in one cell, no empty column, the CSV in full."""

import base64
import io

import pandas as pd
import pytest

from workflow_scripts.holdings.report.dictionary import COLUMNS, DATA_COLUMNS, NAMES
from workflow_scripts.holdings.report.numbers import number, numbers, p_value, per_cent
from workflow_scripts.holdings.report.tables import Table, table

MINUS = "\N{MINUS SIGN}"


def texts(made: Table) -> dict[str, list[str]]:
    """The shown values by heading; the best in stars."""
    marked = [[f"*{cell.text}*" if cell.best else cell.text for cell in row] for row in made.rows]
    return {column.name: list(values) for column, values in zip(made.columns, zip(*marked, strict=True), strict=True)}


@pytest.fixture
def scores() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "forecaster": ["oracle", "grpo", "no_change"],
            "n_windows": [1200, 1200, 1200],
            "capped_relative_MAE": [0.0512345, 0.1023, 0.1109],
            "capped_relative_skill": [0.53, 0.0775, 0.0],
            "relative_RankIC": [0.4, 0.1, float("nan")],
            "not_ranked": ["", "", float("nan")],
        }
    )


def test_the_best_is_bold_and_the_oracle_no_rival(scores):
    shown = texts(table("scores", scores, ranked=True))
    assert shown == {
        "forecaster": ["oracle", "GRPO", "no change"],
        "windows": ["1,200"] * 3,
        "relative error": ["5.1", "*10.2*", "11.1"],
        "skill": ["0.530", "*0.077*", "0.000"],
        "relative RankIC": ["0.400", "0.100", ""],
    }, "the empty column is not shown; of a column with one rival none is the best"
    assert "*" not in str(texts(table("scores", scores)))


def test_units_stand_in_the_head_and_the_meaning_with_them(scores):
    columns = {column.name: column for column in table("scores", scores).columns}
    assert (columns["relative error"].unit, columns["relative error"].is_number) == ("% of position", True)
    assert columns["skill"].unit == columns["windows"].unit == ""
    assert columns["skill"].meaning == COLUMNS["capped_relative_skill"][1]


def test_a_table_downloads_with_all_digits_and_the_names_of_the_files(scores):
    csv = base64.b64decode(table("scores", scores).csv).decode()
    read = pd.read_csv(io.StringIO(csv))
    assert list(read) == list(scores)
    assert read["capped_relative_MAE"].tolist() == [0.0512345, 0.1023, 0.1109]


def test_an_interval_is_one_cell_in_the_unit_of_its_table():
    frame = pd.DataFrame(
        {"baseline": ["ridge"], "difference": [-0.031], "interval_low": [-0.0456], "interval_high": [0.01]}
    )
    units = dict.fromkeys(("difference", "interval_low", "interval_high"), "share of holding_t")
    made = table("x", frame, units=units)
    assert texts(made) == {
        "rival": ["ridge"],
        "difference": [f"{MINUS}3.10"],
        "interval": [f"{MINUS}4.56 to 1.00"],
    }
    assert [column.unit for column in made.columns] == ["", "% of position", "% of position"]
    assert texts(table("x", frame))["difference"] == [f"{MINUS}0.0310"], "no unit, no per cent"


def test_a_wide_table_says_in_the_unit_of_what_it_spreads():
    """A step of the funnel can have the name of a column that means something else: parsed."""
    frame = pd.DataFrame({"firm_type": ["banks"], "parsed": [0.25], "contract_valid": [1.0]})
    made = table("x", frame, spread=("share", ["parsed", "contract_valid"]))
    assert texts(made)["contract valid"] == ["100"]
    assert [cell.text for cell in made.rows[0]] == ["banks", "25", "100"]
    assert [column.unit for column in made.columns] == ["", "%", "%"]
    assert made.source == ["firm_type", "share"]


def test_numbers_are_as_precise_as_their_column():
    assert numbers([0.001, 0.02, 0.03]) == ["0.0010", "0.0200", "0.0300"]
    assert numbers([1234567.0, 3.0]) == ["1,234,567", "3"]
    assert numbers([float("nan"), float("inf"), -2.5]) == ["", "\N{INFINITY}", f"{MINUS}2.50"]
    assert numbers([0.1234, 0.5], "share") == ["12.3", "50.0"]
    assert numbers([0.0, 0.0]) == ["0", "0"]
    assert number(-0.0000012, 2) == f"{MINUS}0.000001", "not nothing"
    assert number(1.2e12, 1) == "1.2e12"
    assert (p_value(0.0004), p_value(0.05), p_value(float("nan"))) == ("< 0.001", "0.050", "")
    assert per_cent(-0.061) == f"{MINUS}6.1"


def test_every_name_is_of_a_column_that_is_described():
    assert set(NAMES) <= {*COLUMNS, *DATA_COLUMNS}
