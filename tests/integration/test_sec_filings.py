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
