"""One line, `seeds: [1, 2, 3]`, gives a run per seed and a summary over them."""

from types import SimpleNamespace

import pytest

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.settings import make_seeds, several_runs
from workflow_scripts.settings.checks import missing_inputs
from workflow_scripts.settings.config import resolved
from workflow_scripts.settings.config_files import merged, read_content
from workflow_scripts.settings.make_seeds import seed_overrides
from workflow_scripts.settings.reading import read_config


def test_a_run_per_seed_and_one_that_averages_them(tmp_path):
    """The panel is the user's: its windows are found once, by the run that is made first."""
    content = {"run": "mine", "seeds": [3, 1, 2]}
    runs = seed_overrides(read_config(content))
    assert runs == [
        {"run": "mine-seed1", "seed": 1, "seeds": []},
        {"run": "mine-seed2", "seed": 2, "seeds": [], "base_run": "mine-seed1"},
        {"run": "mine", "base_run": "mine-seed1"},
    ]
    configs = [read_config(merged(content, one)) for one in runs]
    assert [config.seed for config in configs] == [1, 2, 3]
    assert [config.evaluation.seed_runs for config in configs] == [[], [], ["mine-seed1", "mine-seed2"]]


def test_a_simulated_panel_is_another_one_with_each_seed():
    config = read_config({"run": "mine", "seeds": [1, 2, 3], "panel": "simulated", "firm_types": ["banks"],
                          "simulation": {"drift": {"banks": 0.1}}})  # fmt: skip
    assert not any("base_run" in one for one in seed_overrides(config))


def test_what_was_written_out_reads_the_same_again():
    """A job of a cluster reads the resolved configuration."""
    config = read_config({"run": "mine", "seeds": [1, 2]})
    assert read_config(resolved(config)) == config


def test_snakemake_alone_says_how_the_other_seeds_are_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faults = missing_inputs(read_config({"run": "mine", "seeds": [1, 2]}))
    assert "seeds (make seeds makes their runs): results/mine-seed2/config.yaml does not exist" in faults


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"seeds": [1, 1]}, "has a seed more than once"),
        ({"seeds": [1, 2], "seed": 5}, "seed is 5, and the first of seeds 1; leave seed out"),
        ({"seeds": [1, 2], "evaluation": {"seed_runs": ["other"]}}, "follows from seeds"),
        ({"seeds": [-1]}, "seeds"),
    ],
)
def test_seeds_that_contradict_are_refused(content, said):
    with pytest.raises(InputError, match=said):
        read_config({"run": "mine", **content})


def test_one_seed_is_no_list():
    with pytest.raises(InputError, match="name two seeds or more"):
        seed_overrides(read_config({"run": "mine", "seeds": [1]}))


def test_a_config_file_without_a_run_is_refused(tmp_path):
    for text in ("seed: 1", "- 1", "a: [", ""):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(InputError, match=r"config\.yaml"):
            read_content([tmp_path / "config.yaml"])
    with pytest.raises(InputError, match=r"never\.yaml"):
        read_content([tmp_path / "never.yaml"])


def test_the_runs_of_two_config_files_get_both(tmp_path, monkeypatch):
    """As `make seeds CONFIG="config/demo.yaml mine.yaml"` gives them; the second one is laid over the first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("run: base\npanel: slices\nseeds: [1, 2]\n")
    (tmp_path / "mine.yaml").write_text("run: mine\n")
    commands = []
    monkeypatch.setattr(
        several_runs.subprocess, "run", lambda command: commands.append(command) or SimpleNamespace(returncode=0)
    )
    monkeypatch.setattr("sys.argv", ["make_seeds", "--configfile", "base.yaml", "mine.yaml", "--cores", "2"])
    make_seeds.main()
    last = ".snakemake/several_runs"
    assert [command[1:] for command in commands] == [
        ["--cores", "2", "--configfile", "base.yaml", "mine.yaml", f"{last}/{name}.json"]
        for name in ("mine-seed2", "mine")
    ]
