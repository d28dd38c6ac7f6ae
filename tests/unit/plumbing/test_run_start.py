"""What a run says of a target that no rule makes: the nearest one, or the config file that it needs."""

from dataclasses import dataclass

import pytest

from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.run_start import RunFiles, config_files_of, possible_files, target_faults

VALUES = {"firm_type": ["banks", "other"], "stage": ["base", "sft"], "forecaster": ["no_change", "sft"]}
RUN = RunFiles("mine", ROOT, VALUES)


@dataclass
class Rule:
    """As much of Snakemake's as is asked."""

    name: str
    output: tuple[str, ...] = ()

    def has_wildcards(self) -> bool:
        return any("{" in pattern for pattern in self.output)

    def is_producer(self, path: str) -> bool:
        # Nothing matches the constraint (?!).
        return path in possible_files([one for one in self.output if "(?!)" not in one], VALUES)


RULES = [
    Rule("panel"),
    Rule("build_windows", ("results/mine/{firm_type}/windows.parquet",)),
    Rule("parse_predictions", ("results/mine/{firm_type}/predictions/{stage,base|sft}.csv",)),
    # As where the config names no files of forecasts.
    Rule("import_forecasts", ("results/mine/{firm_type}/predictions/own/{forecaster,(?!)}.csv",)),
    Rule("write_config", ("results/mine/config.yaml",)),
]


def faults(*targets: str, named: tuple[str, ...] = ()) -> list[str]:
    return target_faults(targets, named, RULES, RUN)


def test_what_rules_make_and_what_they_are_called_is_no_fault():
    assert faults("panel", "write_config", "results/mine/other/windows.parquet", named=("build_windows",)) == []


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/production/banks/windows.parquet", "another run than mine; add --configfile config/config.yaml"),
        ("results/demo/banks/windows.parquet", "another run than mine; add --configfile config/demo.yaml"),
        (
            "results/gspo/banks/windows.parquet",
            "another run than mine; add --configfile config/config.yaml config/recipes/gspo.yaml",
        ),
        ("results/mnie/banks/windows.parquet", "has run: mnie, did you mean results/mine/banks/windows.parquet?"),
        ("results/mnie/banks/nothing", "has run: mnie; name its config file with --configfile"),
        ("results/mine/bank/windows.parquet", "bank is not among this run's firm_types, banks, other"),
        ("results/mine/banks/predictions/stf.csv", "did you mean results/mine/banks/predictions/sft.csv?"),
        ("results/mine/banks/windws.parquet", "did you mean results/mine/banks/windows.parquet?"),
        ("./results/mine/banks/windows.parquet", "write it as results/mine/banks/windows.parquet"),
        ("pnael", "pnael is no target, did you mean panel? There are panel, and the files below results/mine/"),
        (
            "build_windows",
            "build_windows makes many files; name one of them, such as results/mine/banks/windows.parquet",
        ),
        ("import_forecasts", "import_forecasts has nothing to make in this run"),
    ],
)
def test_a_fault_names_what_was_meant(target, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    [fault] = faults(target)
    assert fault.startswith(target)
    assert words in fault


def test_a_file_of_another_run_that_is_there_is_a_fault_all_the_same(tmp_path, monkeypatch):
    """Snakemake would say that it is up to date. Its own record is the config file that it needs."""
    monkeypatch.chdir(tmp_path)
    for name in ("config.yaml", "banks/windows.parquet"):
        path = tmp_path / "results/theirs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("run: theirs")
    [fault] = faults("results/theirs/banks/windows.parquet")
    assert fault.endswith("add --configfile results/theirs/config.yaml")


def test_a_misspelt_rule_in_an_option_is_a_fault():
    """Snakemake overlooks one in --omit-from, and runs what was to be left out."""
    [fault] = faults("panel", named=("biuld_windows",))
    assert "did you mean build_windows?" in fault


def test_every_wrong_target_is_told():
    assert len(faults("pnael", "panel", "results/demo/config.yaml")) == 2


def test_a_broken_config_file_names_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/a.yaml").write_text("run: [1\n  x")
    (tmp_path / "config/b.yaml").write_text("- run")
    (tmp_path / "config/c.yml").write_text("run: 7")
    assert config_files_of("7", tmp_path) == "config/c.yml"
    assert config_files_of("8", tmp_path) == ""
