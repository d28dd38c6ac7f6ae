"""Every command of every page: planned, or looked at without being run, or listed with the reason why not.

A command that none of these knows fails, so that no page shows one that nobody has tried.
"""

import re
import subprocess
import sys
import textwrap

import pytest

from tests.pages import Command, blocks, commands, pages, text_of
from tests.project import Project, checkout
from workflow_scripts.plumbing.code_digest import ROOT

pytestmark = pytest.mark.slow

# One page shows what another one does: each text is tried once. What has changed in the past is no offer.
COMMANDS = {one.text: one for page in pages() if page != "CHANGELOG.md" for one in commands(page)}
# Words that stand for the reader's own: what they are here.
FILLED_IN = {"…": "config/demo.yaml", "...": "config/demo.yaml", "FILE": "config/demo.yaml"}
# What cannot be run in a test, by the beginning of the command, and why.
NOT_TESTABLE = {
    "python3 -m venv .venv": "makes the environment that the tests run in",
    "pip install": "fetches gigabytes; make install does the same and runs before the tests",
    "source .venv/bin/activate": "changes the reader's shell",
    "hf download": "15 GB from a network that tests do not have",
    "export HF_TOKEN": "changes the reader's shell; the tests run with the variable set",
    "squeue": "a cluster's own program",
    "sbatch --test-only": "a cluster's own program",
    "tail -f": "does not end",
    "cp -a": "half a command: an option to mind",
    "rsync -a": "half a command: an option to mind",
    "python -m pytest": "the tests themselves",
    "python -m docs.site.pictures": "needs a finished demo; test_pages.py holds the drawing and the example true",
    "snakemake --rerun-triggers mtime": "half a command: an option to mind",
    "snakemake --report": "half a command; tests/integration/test_report_page.py opens the page itself",
    "snakemake --profile slurm --unlock": "only after a hard kill; tests/slurm/test_slurm.py gives it there",
    "snakemake --lint": "tests/unit/test_style.py runs it",
    "python -m tests.benchmarks.sec_agreement": "needs the panel of real filings, which is not part of the project",
    "python -m tests.slurm.cluster up": "starts a SLURM, as tests/slurm/test_slurm.py does",
}
# Named in passing; another page has the whole command, which is tried.
IN_PASSING = ("snakemake replay_rewards",)
# Lines that are files or parts of a path, and no commands.
NO_COMMANDS = ("data/processed/", "...")


def is_listed(command: Command) -> bool:
    line = " ".join(command.words)
    return line in IN_PASSING or any(line.startswith(beginning) for beginning in NOT_TESTABLE)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A checkout with the configurations that pages show by name, and no data: plans need none.

    A YAML block that begins with a comment of a path is that file; the README's example is config/mine.yaml.
    """
    project = checkout(tmp_path_factory.mktemp("pages"))
    shown = {
        "config/mine.yaml": next(content for language, content in blocks(text_of("README.md")) if language == "yaml")
    }
    for page in pages():
        for _, content in blocks(text_of(page)):
            if name := re.match(r"# (\S+\.yaml)\n", content):
                shown[name[1]] = content
    for name, content in shown.items():
        (project.root / name).write_text(textwrap.dedent(content))
    (project.root / "a.jsonl").write_text("")
    return project


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_of_a_page_can_be_given(project, text):
    """Snakemake plans it, make shows what it would do, a module shows its options; all else must be listed."""
    command = COMMANDS[text]
    if command.text.startswith(NO_COMMANDS) or is_listed(command):
        return
    program, *words = [FILLED_IN.get(word, word) for word in command.words]
    if program == "snakemake":
        look = [] if {"--list", "-n"} & set(words) else ["-n"]
        cores = [] if {"--cores", "--profile"} & set(words) else ["--cores", "1"]
        result = project.told(*words, *look, *cores)
    elif program == "make":
        # Looked at alone: the environment counts as made.
        look = ["make", "-n", "-C", str(ROOT), "--old-file=.venv/.installed", *words]
        result = subprocess.run(look, capture_output=True, text=True)
    elif program == "python" and words[0] == "-m":
        result = subprocess.run(
            [sys.executable, "-m", words[1], "--help"], cwd=project.root, capture_output=True, text=True
        )
    else:
        pytest.fail(f"{command.page}: nobody knows whether this works: {command.text}")
    output = result.stdout + result.stderr
    assert result.returncode == 0, f"{command.text}\n{output[-2000:]}"


def test_what_is_listed_as_not_testable_stands_on_a_page():
    """A reason for a command that no page shows any more is to be deleted."""
    lines = [" ".join(command.words) for command in COMMANDS.values()]
    for beginning in NOT_TESTABLE:
        assert any(line.startswith(beginning) for line in lines), beginning


def test_the_site_is_built_without_a_warning(project):
    """`make docs`, in an environment of its own; a link that leads nowhere would end it."""
    result = subprocess.run(
        ["make", f"PYTHON={sys.executable}", "docs"], cwd=project.root, capture_output=True, text=True
    )
    if "No matching distribution found" in result.stderr:
        pytest.skip("no package index can be reached")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (project.root / "site/index.html").is_file()
    assert (project.root / "site/docs/methods.html").is_file()
