"""A grid becomes runs with names, each on what an earlier one has made; what could not be compared is refused."""

from pathlib import Path

import pytest
import yaml

from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.settings.config_files import read_content
from workflow_scripts.settings.make_grid import Grid, curve_of, grid_runs, read_grid

TWO_AXES = {
    "axes": {
        "model": {"small": {"model.path": "a/small"}, "large": {"model.path": "a/large", "model.revision": "x"}},
        "windows": {
            10: {"sample.sft.per_type_limit": 10, "sample.grpo.per_type_limit": 10},
            30: {"sample.sft.per_type_limit": 30, "sample.grpo.per_type_limit": 30},
        },
    },
    "curve": "windows",
}


def grid(folder: Path, content) -> Grid:
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return read_grid(path)


def test_every_combination_is_a_run_on_the_nearest_earlier_one(tmp_path):
    """The last axis changes fastest. (large, 30) has the model of (large, 10) and the windows of (small, 30): the
    latest of both, which shares the first axis."""
    found = grid(tmp_path, TWO_AXES)
    runs = grid_runs(found, {"run": "mine", "model": {"model_type": "llama"}})
    assert [run["run"] for run in runs] == [
        "mine-modelsmall-windows10", "mine-modelsmall-windows30", "mine-modellarge-windows10",
        "mine-modellarge-windows30",
    ]  # fmt: skip
    assert [run.get("base_run") for run in runs] == [
        None, "mine-modelsmall-windows10", "mine-modelsmall-windows10", "mine-modellarge-windows10"
    ]  # fmt: skip
    assert runs[3]["model"] == {"path": "a/large", "revision": "x"}
    assert runs[3]["sample"] == {"sft": {"per_type_limit": 30}, "grpo": {"per_type_limit": 30}}
    curve = curve_of(found, runs)
    assert list(curve.places.values()) == [10, 30, 10, 30]
    assert list(curve.lines.values()) == 2 * ["model small"] + 2 * ["model large"]


def test_a_setting_and_its_values_are_an_axis(tmp_path):
    runs = grid_runs(grid(tmp_path, {"axes": {"grpo.learning_rate": [1e-6, 3e-6]}}), {"run": "mine"})
    assert runs == [
        {"run": "mine-learning_rate1e-06", "grpo": {"learning_rate": 1e-6}},
        {"run": "mine-learning_rate3e-06", "grpo": {"learning_rate": 3e-6}, "base_run": "mine-learning_rate1e-06"},
    ]
    assert curve_of(Grid({"a": {}}), runs) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"axes": {"seed": [1, 2]}}, "axes.seed sets seed, which decides on the test windows.*trains several seeds"),
        ({"axes": {"sample.test.per_type_limit": [1, 2]}}, "axes.per_type_limit sets sample.test.per_type_limit"),
        ({"axes": {"windows.history_quarters": [3, 4]}}, "decides on the test windows"),
        ({"axes": {"grpo.beta": [0.1]}, "curve": "gamma"}, "gamma is no axis; there are beta"),
        (
            {"axes": {"prompts.identity": ["permno", "hidden"]}, "curve": "identity"},
            "needs numbers above 0, and permno",
        ),
        ({"axes": {"grpo.beta": [0, 1]}, "curve": "beta"}, "needs numbers above 0, and 0 is none"),
        ({"axes": {"grpo.beta": [0.1, 0.1]}}, "has no value, or two that read alike"),
        ({"axes": {"grpo.beta": []}}, "has no value"),
        ({"axes": {"grpo.learning_rate": [1], "sft.learning_rate": [1]}}, "two axes are called learning_rate"),
        ({"axes": {"grpo.beta": 0.1}}, "neither a list of values"),
        ({"axes": {}}, "there are no axes"),
        ({"axes": {"grpo.beta": [0.1]}, "curves": "beta"}, "curves is no key of a grid"),
    ],
)
def test_what_a_grid_cannot_mean_is_refused_before_anything_trains(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        grid(tmp_path, content)


def test_a_run_that_would_be_refused_is_told_before_the_first_one_starts(tmp_path):
    found = grid(tmp_path, {"axes": {"grpo.num_generations": [8, 7]}})
    with pytest.raises(InputError, match=r"mine-num_generations7: grpo: .* not divisible by num_generations = 7"):
        grid_runs(found, {"run": "mine"})
    misspelt = grid(tmp_path, {"axes": {"grpo.betta": [0.1, 0.2]}})
    with pytest.raises(InputError, match=r"mine-betta0\.1: grpo\.betta is no setting; did you mean grpo\.beta"):
        grid_runs(misspelt, {"run": "mine"})


@pytest.mark.parametrize("path", sorted((ROOT / "config/grids").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_grids_of_the_project_fit_their_configurations(path):
    """As the command in each file says."""
    config = "demo" if "demo" in path.stem else "config"
    found = read_grid(path)
    runs = grid_runs(found, read_content([ROOT / f"config/{config}.yaml"]))
    assert len(runs) == len({run["run"] for run in runs}) > 2
    assert f"CONFIG=config/{config}.yaml" in path.read_text()
    assert f"GRID=config/grids/{path.name}" in path.read_text()
    if "scaling" in path.stem:
        curve = curve_of(found, runs)
        assert len(set(curve.lines.values())) * len(set(curve.places.values())) == len(runs)
