"""The code digest changes with statements, of the module or of what it imports, and with nothing else."""

import shutil
import subprocess
import sys

import pytest

from workflow_scripts.plumbing.code_digest import ROOT, imported_modules
from workflow_scripts.plumbing.files import read_json, write_json

ENTRY = "workflow_scripts.evaluate_forecasts"


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "workflow_scripts", tmp_path / "workflow_scripts")
    return tmp_path


def digest(project, module=ENTRY) -> str:
    code = f"from workflow_scripts.plumbing.code_digest import digest_of; print(digest_of({module!r}))"
    return subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True).stdout


def edit(project, module: str, old: str, new: str) -> None:
    path = project / "workflow_scripts" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_imports_are_followed():
    modules = imported_modules(ENTRY)
    assert "workflow_scripts.holdings.evaluation.metrics" in modules, (
        "imported by holdings.evaluation, not by the entry"
    )
    assert "workflow_scripts.holdings.rewards.rewards" not in modules


def test_comment_docstring_and_touch_change_nothing(project):
    before = digest(project)
    edit(project, "holdings/evaluation/metrics.py", "def mae(", "# a remark\n\n\ndef mae(")
    edit(project, "holdings/evaluation/metrics.py", '"""Mean absolute error."""', '"""Another text."""')
    (project / "workflow_scripts/holdings/evaluation/metrics.py").touch()
    assert digest(project) == before


def test_annotations_with_the_bounds_and_sentences_of_settings_change_nothing(project):
    """What a config may say is checked before a job is planned; only names and defaults reach the code."""
    before = digest(project)
    edit(project, "holdings/evaluation/settings.py", "k of Recall,", "The k of Recall,")
    edit(project, "holdings/evaluation/settings.py", "Annotated[float, Ge(0)", "Annotated[float, Ge(1)")
    edit(project, "holdings/evaluation/metrics.py", "def mae(true: Array,", "def mae(true,")
    assert digest(project) == before
    edit(project, "holdings/evaluation/settings.py", "] = 0.1", "] = 0.2")
    changed = digest(project)
    assert changed != before
    edit(project, "holdings/evaluation/settings.py", "dead_band:", "flat_band:")
    assert digest(project) != changed


def test_an_edited_statement_changes_its_own_rules_only(project):
    before, others = digest(project), digest(project, "workflow_scripts.build_windows")
    edit(
        project,
        "holdings/evaluation/metrics.py",
        "np.mean(np.abs(predicted - true))",
        "np.median(np.abs(predicted - true))",
    )
    assert digest(project) != before
    assert digest(project, "workflow_scripts.build_windows") == others


def test_what_is_remembered_of_a_module_is_used_for_the_same_bytes_alone(project):
    memory = project / ".snakemake/code_digests.json"
    before = digest(project)
    known = read_json(memory)
    assert digest(project) == before
    # What a process believes that reads it: the memory is used.
    modules = {key: ["0" * 64, *names] for key, (_, *names) in known["modules"].items()}
    write_json(memory, {**known, "modules": modules})
    assert digest(project) != before
    write_json(memory, known)
    edit(project, "holdings/evaluation/metrics.py", "np.mean(np.abs(", "np.median(np.abs(")
    changed = digest(project)
    memory.unlink()
    assert digest(project) == changed != before
    # Another way of working digests out, such as that of the next version, takes nothing from the memory.
    edit(project, "plumbing/code_digest.py", "include_attributes=False", "include_attributes=True")
    other = digest(project)
    memory.unlink()
    assert digest(project) == other != changed


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_damaged_memory_is_none(project, text):
    before = digest(project)
    (project / ".snakemake/code_digests.json").write_text(text)
    assert digest(project) == before


def test_where_nothing_can_be_remembered_digests_are_the_same(project):
    before = digest(project)
    shutil.rmtree(project / ".snakemake")
    (project / ".snakemake").write_text("A file, so that nothing can be written below it.")
    assert digest(project) == before
