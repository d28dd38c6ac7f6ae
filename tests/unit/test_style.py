"""The house rules: formatters and linters pass, every rule keeps log, benchmark and code digest."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
import yte

from tests.mutants import MUTANTS
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.settings.uses import USES

BIN = Path(sys.executable).parent
RULE_FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
# The targets that a user can name, which are rules without a job.
NAMED_TARGETS = set("all panel datasets adapters evaluation answers probe metrics_trimmed metrics_by_period".split())


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "rules"],
        ["mypy"],
    ],
    ids=" ".join,
)
def test_formatters_and_linters(command):
    result = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_snakemake_lint_finds_nothing_but_known_exceptions():
    """Findings that stay: no conda or container (the lock file is the environment), paths and functions in
    common.smk and inputs.smk (the only places for functions), absolute interpreter path (no activation needed)."""
    result = subprocess.run([BIN / "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True)
    findings = set(re.findall(r"^    \* (.*?)(?: in line \d+)?:$", result.stdout + result.stderr, re.MULTILINE))
    known = {
        "Specify a conda environment or container for each rule.",
        "No conda environment or container specified",
        "Mixed rules and functions in same snakefile.",
    }
    assert findings, "lint itself failed:\n" + result.stdout + result.stderr
    assert findings <= known, result.stdout + result.stderr


def rules() -> dict[str, str]:
    found = {}
    for path in RULE_FILES:
        for match in re.finditer(r"^( *)rule (\w+):\n((?:\1    .*\n|\n)+)", path.read_text(), re.MULTILINE):
            found[match[2]] = match[3]
    return found


@pytest.mark.parametrize("name", sorted(rules()))
def test_rule_conventions(name):
    body = rules()[name]
    if name in NAMED_TARGETS:
        assert set(re.findall(r"^ +(\w+):$", body, re.MULTILINE)) == {"input"}
        assert "localrule: True" in body
        return
    assert f"<results>/logs/{name}" in body
    # A benchmark is an output for Snakemake, so a rule that has none and runs whenever it is asked for keeps none.
    assert (f"<results>/benchmarks/{name}" in body) == bool(re.search(r"^ +output:$", body, re.MULTILINE))
    assert f'code=code_of("workflow_scripts.{name}"' in body
    # The shell of a training outlives the signals that end a job: where it goes first, a cluster kills the trainer.
    wrapped = "saved" if name in ("train_sft", "train_grpo") else "logged"
    opening = rf'shell:\n +{wrapped}\(r"""\n +'
    command = re.search(opening + r"python -m workflow_scripts\.(\w+)((?: \\\n +--.+?)+)\n", body)
    assert command, "one option a line"
    assert command[1] == name
    assert command[2].count("--") <= 8, "options"
    assert (f'settings=settings_of("{name}")' in body) == (name in USES)
    assert (ROOT / "workflow_scripts" / f"{name}.py").is_file()


@pytest.mark.parametrize("name", sorted(set(rules()) - NAMED_TARGETS))
def test_a_rule_gives_its_module_the_options_that_it_has(name):
    """A misspelt one would fail in the job, after hours of others."""
    given = set(re.findall(r"^ +--([\w-]+)", rules()[name], re.MULTILINE))
    tree = ast.parse((ROOT / "workflow_scripts" / f"{name}.py").read_text())
    (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "cli.run"]
    assert given == {one.arg.replace("_", "-") for one in call.keywords}


def test_no_input_is_ancient():
    """Where such an input runs again, Snakemake overlooks changed settings of all that follows."""
    for path in RULE_FILES:
        assert not re.search(r"^[^#]*\bancient\(", path.read_text(), re.MULTILINE), path


def test_every_mutant_has_its_text_and_its_tests():
    """`make mutants` runs them; whoever edits such a text edits its mutant."""
    for mutant in MUTANTS:
        code = (ROOT / "workflow_scripts" / mutant.module).read_text()
        assert code.count(mutant.text) == 1, f"{mutant.fault}: {mutant.text!r} in {mutant.module}"
        assert (ROOT / "tests/unit" / mutant.tests).exists(), mutant.tests


def test_every_entry_module_is_a_rule():
    entries = {path.stem for path in (ROOT / "workflow_scripts").glob("*.py")} - {"__init__"}
    assert entries == set(rules()) - NAMED_TARGETS


def test_files_stay_short():
    for path in RULE_FILES:
        limit = 160 if path.parent.name == "rules" else 120
        assert len(path.read_text().splitlines()) <= limit, path


def cluster_profile() -> dict:
    """The profile as Snakemake reads it."""
    return yte.process_yaml((ROOT / "profiles/slurm/config.yaml").read_text(), require_use_yte=True)


def test_the_cluster_profile_names_existing_rules():
    profile = cluster_profile()
    again = {
        name for path in RULE_FILES for name in re.findall(r"^use rule \w+ as (\w+) with:", path.read_text(), re.M)
    }
    assert {*profile["set-resources"], *profile["set-threads"]} <= set(rules()) | again
    assert not {"default-resources", "set-resources"} & set(
        yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    ), "the default profile would erase the cluster's"


def test_every_value_of_the_cluster_profile_is_explained():
    block = (ROOT / "profiles/slurm/config.yaml").read_text().split("# ----")
    values = [line for line in block[1].splitlines() if re.match(r"  \w+: ", line)]
    plain = {"cpu_job_minutes", "gpu_job_cpus", "train_grpo_minutes", "generate_minutes", "merge_minutes"}
    assert len(values) > 15
    assert {line.split(":")[0].strip() for line in values if " # " not in line} <= plain, "their names say it"


def test_jobs_on_a_cluster_ask_for_what_the_environment_says_and_more_with_each_attempt(monkeypatch):
    for name in ("SLURM_CPU_PARTITION", "SLURM_GPU_PARTITION", "SBATCH_ACCOUNT", "SBATCH_QOS", "SLURM_GPU_MODEL"):
        monkeypatch.delenv(name, raising=False)
    gpu_rules = {"train_sft", "train_grpo", "merge_adapter", "generate_completions", "generate_probes",
                 "generate_forecasts", "rank_answers", "check_answers"}  # fmt: skip
    profile = cluster_profile()
    assert set(profile["set-resources"]) == gpu_rules
    assert profile["default-resources"].keys() == {"slurm_partition", "runtime", "mem_mb"}
    for resources in (profile["default-resources"], *profile["set-resources"].values()):
        for name in ("runtime", "mem_mb"):
            first, second, ninth = (eval(resources[name], {"attempt": attempt, "min": min}) for attempt in (1, 2, 9))
            assert second == 2 * first
            assert ninth <= {"runtime": 2880, "mem_mb": 256_000}[name], "more than a partition or a node has"
    for rule in ("train_sft", "train_grpo"):
        assert profile["set-resources"][rule]["slurm_extra"] == "'--signal=TERM@300'", "time to save a checkpoint"
        assert "gpu" not in profile["set-resources"][rule], "the config says how many"
    for name in ("SLURM_CPU_PARTITION", "SLURM_GPU_PARTITION", "SBATCH_ACCOUNT", "SBATCH_QOS", "SLURM_GPU_MODEL"):
        monkeypatch.setenv(name, name.lower())
    profile = cluster_profile()
    general = profile["default-resources"]
    assert [general[name] for name in ("slurm_partition", "slurm_account", "qos")] == [
        "slurm_cpu_partition", "sbatch_account", "sbatch_qos",
    ]  # fmt: skip
    for rule in gpu_rules:
        assert profile["set-resources"][rule]["slurm_partition"] == "slurm_gpu_partition"
        assert profile["set-resources"][rule]["gpu_model"] == "slurm_gpu_model"


# A package may import itself and those before it; entry modules import all of them, and nobody imports an entry module.
LAYERS = (
    "plumbing",
    "holdings.panel",
    "holdings.sec",
    "holdings.windows",
    "holdings.texts",
    "holdings.rewards",
    "holdings.forecasts",
    "holdings.evaluation",
    "holdings.report",
    "training",
    "settings",
)


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports, those inside functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names


def layer_of(module: str) -> int | None:
    """Place of a module's package in LAYERS; None for an entry module and for one that is not ours."""
    name = module.removeprefix("workflow_scripts.")
    return next((i for i, layer in enumerate(LAYERS) if name == layer or name.startswith(f"{layer}.")), None)


MODULES = sorted((ROOT / "workflow_scripts").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "workflow_scripts")))
def test_arrows_point_one_way(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    own, entries = layer_of(module), {p.stem for p in (ROOT / "workflow_scripts").glob("*.py")}
    for name in imports_of(path):
        if name.startswith("workflow_scripts."):
            assert name.split(".")[1] not in entries, f"{module} imports the entry module {name}"
            if own is not None and (other := layer_of(name)) is not None:
                assert other <= own, f"{module} imports {name}, which comes after it"
    outside = {name.split(".")[0] for name in imports_of(path)}
    if ".holdings" in module or ".plumbing" in module:
        # The command line is plumbing's own.
        forbidden = {"snakemake", "torch", "swift", "transformers", "peft", "trl"}
        forbidden |= {"argparse"} if ".holdings" in module else set()
        assert not outside & forbidden
    assert "snakemake" not in outside, "Snakemake's side is in rules/"
    if own is None:
        assert not outside & {"swift"}, "ms-swift is training's"


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "workflow_scripts")))
def test_functions_take_few_parameters_and_a_main_is_short(path):
    for function in functions(path):
        arguments = function.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        assert len(set(names) - {"self", "cls"}) <= 6, f"{function.name}: group what belongs together in a dataclass"
        if function.name == "main":
            assert function.end_lineno - function.lineno < 60, "move parts into functions with names"
