"""panel: sec in Snakemake: a job per zip, and what runs again when a zip or a setting changes."""

import shutil

from tests.project import checkout, tiny_config
from tests.unit.holdings.sec.hand_made import market, write_zip

TARGET = "results/tiny/sec/positions.parquet"


def test_a_new_quarter_costs_one_zip_and_a_setting_none(tmp_path):
    """Zips that were read are not read again; what as_of changes is decided after the reading."""
    project = checkout(tmp_path / "project")
    zips = tmp_path / "zips"
    write_zip(zips / "2023q4_form13f.zip", market(period="30-SEP-2023", filed="13-NOV-2023"))
    write_zip(zips / "01jan2024-29feb2024_form13f.zip", market(period="31-DEC-2023", filed="13-FEB-2024"))
    config = tiny_config(panel="sec", sec={"zips": str(zips)})
    result = project.run(config, TARGET)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 of 8 filings kept" in project.results("logs/build_sec_positions.log").read_text()
    assert project.plan(config, TARGET) == {}
    assert project.plan(tiny_config(panel="sec", sec={"zips": str(zips), "as_of": "2024-01-01"}), TARGET) == {
        "build_sec_positions": 1
    }
    write_zip(zips / "01mar2024-31may2024_form13f.zip", market())
    assert project.plan(config, TARGET) == {"read_sec_zip": 1, "build_sec_positions": 1}
    shutil.copy2(zips / "2023q4_form13f.zip", zips / "01mar2024-31may2024_form13f.zip")
    assert project.plan(config, TARGET) == {"read_sec_zip": 1, "build_sec_positions": 1}
    shutil.rmtree(zips)
    result = project.run(config, TARGET)
    assert result.returncode != 0
    assert "holds no *form13f*.zip of the SEC's; make download-sec fetches them" in result.stdout + result.stderr


def test_filings_become_a_checked_panel_which_a_list_of_types_makes_anew(tmp_path):
    """From zips to the panel's report; a setting or a file of build_sec_panel reads no zip again."""
    project = checkout(tmp_path / "project")
    zips, types = tmp_path / "zips", tmp_path / "types.csv"
    for name, period, filed in (
        ("2023q4_form13f", "30-SEP-2023", "13-NOV-2023"),
        ("01jan2024-29feb2024_form13f", "31-DEC-2023", "13-FEB-2024"),
    ):
        write_zip(zips / f"{name}.zip", market(period=period, filed=filed))
    types.write_text("cik,type\n901,bank\n902,bank\n903,bank\n")
    settings = {"panel": "sec", "firm_types": ["banks"], "sec": {"zips": str(zips), "types": str(types)}}
    config = tiny_config(**settings)
    result = project.run(config, "panel")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "banks" in project.results("summary/panel.txt").read_text()
    assert "sec.types" in project.results("sec/manager_types.csv").read_text()
    assert project.plan(config, "panel") == {}
    anew = {"build_sec_panel": 1, "check_panel": 1, "summarize_panel": 1, "panel": 1}
    settings["sec"]["exit_quarters"] = 3
    assert project.plan(tiny_config(**settings), "panel") == anew
    types.write_text("cik,type\n901,bank\n")
    assert project.plan(config, "panel") == anew
