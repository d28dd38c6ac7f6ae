"""Finished runs side by side: what is compared, what is refused and why, and what the page says of it."""

import os
import re

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.unit.holdings.evaluation.test_run_comparison import DELTA, FORECASTS, table
from workflow_scripts.holdings.evaluation import tables as evaluation
from workflow_scripts.holdings.evaluation.comparison import compare_forecasts, compared_cases, skill_intervals
from workflow_scripts.holdings.evaluation.conditions import ORIGIN_COLUMNS
from workflow_scripts.holdings.evaluation.metrics import holm
from workflow_scripts.holdings.evaluation.settings import EvaluationSettings
from workflow_scripts.holdings.report.dictionary import COLUMNS
from workflow_scripts.holdings.report.runs_page import Compared
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_csv, write_csv, write_json, write_text
from workflow_scripts.settings.compare_runs import Curve, compare, finished_runs
from workflow_scripts.settings.config import resolved
from workflow_scripts.settings.reading import read_config

OLDER, NEWER = {"torch": "2.1"}, {"torch": "2.2"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a user stands: results/ lies below it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish(name: str, frame: pd.DataFrame, versions=OLDER, **changes) -> None:
    """The files of a finished run of banks whose forecasts are given."""
    config = read_config({"run": name, "firm_types": ["banks"], "panel": "panel", **changes})
    write_text(f"results/{name}/config.yaml", yaml.safe_dump(resolved(config)))
    write_csv(f"results/{name}/banks/evaluation/forecasts.csv", evaluation.with_units(frame))
    for path, found in (
        ("summary/metrics.csv", evaluation.metrics_table(frame, EvaluationSettings())),
        ("banks/evaluation/skill.csv", skill_intervals(compared_cases(frame), 0.95)),
        ("summary/origins.csv", origins(frame)),
    ):
        found.insert(0, "firm_type", "banks")
        write_csv(f"results/{name}/{path}", found)
    for stage in ("sft", "grpo"):
        write_json(f"results/{name}/banks/completions/{stage}.json", {"versions": versions})


def origins(frame: pd.DataFrame) -> pd.DataFrame:
    names = list(frame["forecaster"].unique())
    kinds = ["baseline" if name == "no_change" else "stage" for name in names]
    found = pd.DataFrame(dict.fromkeys(ORIGIN_COLUMNS, ""), index=range(len(names)))
    return found.assign(
        forecaster=names, kind=kinds, base_model_identity=["" if k == "baseline" else "m" for k in kinds]
    )


def forecasts(grpo: np.ndarray) -> pd.DataFrame:
    return table(no_change=0 * DELTA, sft=FORECASTS["sft"], grpo=grpo)


def finish_two() -> None:
    finish("a", forecasts(FORECASTS["sft"]), grpo={"learning_rate": 1e-6})
    finish("b", forecasts(FORECASTS["grpo"]), grpo={"learning_rate": 2e-6})


def text_of(page) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text())).replace("\N{MINUS SIGN}", "-")


def test_two_runs_are_compared_as_two_stages_of_one_would_be(folder):
    """The tables have what `compare_forecasts` gives the same forecasts in one run, corrected by Holm."""
    finish_two()
    finish("c", forecasts(0.3 * FORECASTS["grpo"]), grpo={"learning_rate": 3e-6})
    compare(["a", "b", "c"], "a", folder / "out")
    found = read_csv(folder / "out/comparisons.csv")
    one = table(a=FORECASTS["sft"], b=FORECASTS["grpo"], c=0.3 * FORECASTS["grpo"])
    pairs = [("a", "b"), ("a", "c")]
    expected = compare_forecasts(compared_cases(one), pairs, pairs, 0.95)
    kept = ["candidate", "metric", "difference", "interval_low", "interval_high", "p_value"]
    primary = found[found["family"] == "primary"].reset_index(drop=True)
    theirs = expected[expected["family"] == "primary"].reset_index(drop=True)
    pd.testing.assert_frame_equal(primary[kept], theirs[kept], rtol=1e-12)
    np.testing.assert_allclose(primary["p_holm"], holm(theirs["p_value"].to_numpy()), rtol=1e-12)
    runs = read_csv(folder / "out/runs.csv")
    assert list(runs.columns[:3]) == ["firm_type", "run", "grpo.learning_rate"]
    grpo = runs[runs["forecaster"] == "grpo"].set_index("run")
    assert grpo["grpo.learning_rate"].tolist() == [1e-6, 2e-6, 3e-6]
    values = primary[primary["metric"] == "capped_relative_MAE"].set_index("candidate")
    assert grpo.loc["b", "capped_relative_MAE"] == pytest.approx(values.loc["b", "candidate_value"])
    assert grpo.loc["a", "capped_relative_MAE"] == pytest.approx(values.loc["b", "baseline_value"])
    for frame in (found, runs.drop(columns="grpo.learning_rate")):
        assert set(frame) <= set(COLUMNS)


def test_the_page_says_it_in_sentences_and_shows_what_differs(folder):
    finish_two()
    page = compare(["a", "b"], "a", folder / "out")
    text, rows = text_of(page), read_csv(folder / "out/comparisons.csv")
    row = rows[(rows["family"] == "primary") & (rows["metric"] == "capped_relative_MAE")].iloc[0]
    assert row["verdict"] == "better", "the test is of no use otherwise"
    share = 100 * row["difference"] / row["baseline_value"]
    assert f"b has a smaller error than a in the one firm type: banks (error {share:.0f} %" in text
    assert "a: grpo.learning_rate 1e-06" in text
    assert "b: grpo.learning_rate 2e-06" in text
    assert "banks: 240 windows, 12 quarters, 15 managers" in text
    assert "Another seed gives another adapter" in text
    html = page.read_text()
    assert "http" not in html
    assert "<script" not in html
    assert {path.name for path in (folder / "out").iterdir()} == {
        "compare.html", "runs.csv", "comparisons.csv", "differences.png", "differences.pdf",
    }  # fmt: skip


def test_the_same_runs_give_the_same_bytes(folder):
    finish_two()
    first = compare(["a", "b"], "a", folder / "out").read_bytes()
    assert compare(["a", "b"], "a", folder / "again").read_bytes() == first


def test_the_run_to_compare_with_can_be_any(folder):
    finish_two()
    compare(["a", "b"], "b", folder / "out")
    rows = read_csv(folder / "out/comparisons.csv")
    assert set(rows["baseline"]) == {"b"}
    assert set(rows["candidate"]) == {"a"}


@pytest.mark.parametrize(
    ("changes", "frame", "said"),
    [
        (
            {"sample": {"test": {"per_type_limit": 99}}, "sft": {"lora_rank": 4}},
            lambda frame: frame[frame["window_id"] != "w3"],
            "a has 240 windows, b 239; 1 are in a alone, such as w3. They differ in sample.test.per_type_limit "
            "(1000 and 99), which decides on the test windows.",
        ),
        (
            {"panel": "other", "sample": {"sft": {"per_type_limit": 99}}},
            lambda frame: frame.assign(holding_t=frame["holding_t"] * 1.1),
            "They differ in panel (panel and other), which decides on the test windows.",
        ),
        (
            {"grpo": {"learning_rate": 0.1}},
            lambda frame: frame.assign(label_delta=frame["label_delta"] + 1),
            "No setting that decides on the test windows differs, so that the panel, or the code that samples it, has "
            "changed",
        ),
    ],
)
def test_another_test_set_is_refused_with_the_reason(folder, changes, frame, said):
    """What only trains, or what decides nothing, is not blamed."""
    finish("a", forecasts(DELTA))
    finish("b", frame(forecasts(DELTA)), **changes)
    with pytest.raises(InputError) as error:
        compare(["a", "b"], "a", folder / "out")
    assert str(error.value).startswith("banks: a and b were not tested on the same windows.")
    assert said in str(error.value)
    assert "lora_rank" not in str(error.value)
    assert not (folder / "out").exists()


def test_what_is_no_finished_run_is_refused(folder):
    finish("a", forecasts(DELTA))
    with pytest.raises(InputError, match=r"there is no finished run b\. Finished are: a"):
        finished_runs(["a", "b"])
    for names in (["a"], ["a", "a"]):
        with pytest.raises(InputError, match="name two runs or more, each once"):
            finished_runs(names)
    finish("b", forecasts(DELTA))
    with pytest.raises(InputError, match="--against c: name one of a, b"):
        compare(["a", "b"], "c", folder / "out")


def test_what_not_all_runs_have_and_other_versions_are_told(folder):
    """The last stage that both have is judged."""
    finish("a", forecasts(FORECASTS["sft"]))
    finish("b", table(no_change=0 * DELTA, sft=FORECASTS["grpo"]), NEWER, evaluation={"stages": ["sft"]})
    text = text_of(compare(["a", "b"], "a", folder / "out"))
    assert "forecasters that not all of the runs have are left out: GRPO" in text
    assert "b answered with other versions than a (torch 2.2 and 2.1): a difference may be theirs" in text
    assert "the answers of SFT of each run" in text
    finish("b", table(no_change=0 * DELTA))
    with pytest.raises(InputError, match="no stage and no forecaster of your own in common: a has sft, grpo; b has "):
        compare(["a", "b"], "a", folder / "out")


def test_runs_of_one_configuration_and_several_settings_at_once_are_told(folder):
    finish("a", forecasts(FORECASTS["sft"]))
    finish("b", forecasts(FORECASTS["grpo"]))
    finish("c", forecasts(FORECASTS["grpo"]), grpo={"learning_rate": 0.1, "beta": 0.5})
    text = text_of(compare(["a", "b", "c"], "a", folder / "out"))
    assert "b has the settings of a: a difference is one of code or machines." in text
    assert "c differs from a in several settings, and so by all of them together." in text


def test_a_run_that_is_silent_is_told_before_anything_is_said_of_it(folder):
    """Silence counts as no change, whose error can be smaller than that of a model that speaks."""
    finish("a", forecasts(-3 * DELTA))
    silent = forecasts(np.full(len(DELTA), np.nan))
    finish("b", silent.assign(parsed_share=(silent["forecaster"] != "grpo").astype(float)))
    html = compare(["a", "b"], "a", folder / "out").read_text()
    said = "that of a model that speaks. Read was, of b 0 % (banks)."
    assert html.index(said) < html.index("b has a smaller error than a in the one firm type")


def test_results_that_are_older_than_the_settings_are_told(folder):
    """A run that was started with other settings and broken off has a new config.yaml and old tables."""
    finish_two()
    said = "b: config.yaml is newer than summary/metrics.csv. If the run was broken off since"
    for name in ("a", "b"):
        os.utime(f"results/{name}/config.yaml", ns=(10**18, 10**18))
    assert said not in text_of(compare(["a", "b"], "a", folder / "out"))
    os.utime("results/b/config.yaml")
    os.utime("results/b/summary/metrics.csv", ns=(10**18, 10**18))
    text = text_of(compare(["a", "b"], "a", folder / "out"))
    assert said in text
    assert "a: config.yaml is newer" not in text


def test_of_many_runs_those_are_told_that_differ_and_names_lose_what_all_share(folder):
    """The tables name them all; files keep the whole names."""
    shares = {"x-a": 0.0, "x-b": 0.0, "x-c": 0.6, "x-d": 0.01, "x-e": -0.02}
    for name, share in shares.items():
        grpo = (1 - share) * FORECASTS["sft"] + share * DELTA + 1e-3 * np.roll(DELTA, len(name) + ord(name[-1]))
        finish(name, forecasts(grpo), grpo={"learning_rate": 1e-6 * ord(name[-1])})
    text = text_of(compare(list(shares), "x-a", folder / "out"))
    assert "c has a smaller error than a in the one firm type: banks" in text
    assert re.search("Neither a smaller error than a nor a worse one is shown of [bde, and]+\\.", text)
    assert "all names begin with x-, which is left out here" in text
    assert "a beside 4 other runs" in text
    assert set(read_csv(folder / "out/comparisons.csv")["candidate"]) == {"x-b", "x-c", "x-d", "x-e"}


@pytest.mark.parametrize(
    ("runs", "beginning"),
    [
        (["demo-a", "demo-b"], "demo-"),
        (["demo", "demo-b"], ""),
        (["demo-a-1", "demo-a-2"], "demo-a-"),
        (["deal", "demo"], ""),
        (["demo-a", "demo-a-b"], ""),
    ],
)
def test_the_shared_beginning_of_names_ends_with_a_dash_and_leaves_all_of_them_a_name(runs, beginning):
    settings = pd.DataFrame(index=pd.Index(runs, name="run"))
    compared = Compared(runs[0], "grpo", settings, pd.DataFrame({"run": runs}), pd.DataFrame())
    assert compared.beginning == beginning


def test_a_curve_has_the_skill_of_each_run_with_its_interval(folder):
    finish_two()
    curve = Curve("windows", {"a": 100, "b": 300}, {"a": "small", "b": "small"})
    page = compare(["a", "b"], "a", folder / "out", curve)
    rows = read_csv(folder / "out/curve.csv").set_index("run")
    skills = skill_intervals(compared_cases(forecasts(FORECASTS["grpo"])), 0.95)
    row = skills[(skills["forecaster"] == "grpo") & (skills["target"] == "active_change")]
    row = row[row["metric"] == "capped_relative_MAE"].iloc[0]
    assert rows.loc["b", "skill"] == pytest.approx(row["skill"])
    assert rows.loc["b", "interval_low"] == pytest.approx(row["interval_low"])
    assert rows["x"].to_dict() == {"a": 100, "b": 300}
    assert (folder / "out/curve.pdf").is_file()
    assert "Over the grid" in text_of(page)
    compare(["a", "b"], "a", folder / "out")
    assert not list((folder / "out").glob("curve.*")), "a figure of another grid"
