"""What reruns after an edit: exactly these jobs, and nothing on a GPU that cannot change its result.

Each test plans a run after one change in a copy of the finished workflow, and compares all jobs per rule.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.reruns import CONFIG, EDITS, GRPO
from tests.project import Copies, Project, copy_of, tiny_config
from workflow_scripts.plumbing.code_digest import ROOT, imported_modules


def edit(project: Project, module: str, old: str, new: str) -> None:
    path = project.root / "workflow_scripts" / module
    text = path.read_text()
    assert old in text, module
    path.write_text(text.replace(old, new) if old else text + new)


Edit = tuple[str, str, str, dict]
# A plan keeps one core busy.
AT_A_TIME = 2


@pytest.fixture(scope="module")
def plan_after(finished, tmp_path_factory) -> Callable[..., dict[str, int]]:
    """Plans a run after edits, in a copy of the finished project, and takes the edits back.

    There is a copy for each plan that is made at a time: a copy for each edit took as long as its plan.
    """
    copies = Copies([copy_of(finished, tmp_path_factory.mktemp("edited")) for _ in range(AT_A_TIME)])

    def plan(*edits: Edit) -> dict[str, int]:
        with copies.lent(*(module for module, *_ in edits)) as project:
            for module, old, new, _ in edits:
                edit(project, module, old, new)
            return project.plan(tiny_config())

    return plan


@pytest.fixture(scope="module")
def plans_after_edits(plan_after) -> Iterator[dict[str, Future]]:
    """The plan after each edit.

    Edits after which nothing is to be run are made together: if nothing is run then, nothing is after each of them.
    """
    quiet = [row for row in EDITS if not row[3]]
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        together = threads.submit(plan_after, *quiet)
        alone = {row[0]: threads.submit(plan_after, row) for row in EDITS if row[3]}
        yield {**dict.fromkeys((row[0] for row in quiet), together), **alone}


@pytest.mark.parametrize("row", EDITS, ids=[row[0] for row in EDITS])
def test_an_edited_module(plans_after_edits, plan_after, row):
    module, *_, jobs = row
    plan = plans_after_edits[module]
    # Where the quiet edits are not quiet together, each is looked at alone: which one is to blame?
    is_told = jobs or plan.exception() or plan.result() == {}
    assert (plan.result() if is_told and not plan.exception() else plan_after(row)) == jobs


def test_edits_that_rerun_nothing_rerun_nothing_together(plans_after_edits):
    assert all(plans_after_edits[module].result() == {} for module, *_, jobs in EDITS if not jobs)


def test_every_library_module_is_in_the_table():
    root = ROOT / "workflow_scripts"
    modules = {str(path.relative_to(root)) for path in root.glob("*/**/*.py") if path.name != "__init__.py"}
    assert modules <= {module for module, *_ in EDITS}


def a_comment(project: Project) -> None:
    edit(project, "training/trainer.py", "\ndef ", "\n# A remark.\ndef ")


def a_docstring(project: Project) -> None:
    edit(project, "holdings/panel/pairs.py", '"""True where', '"""Right where')


def touched_files(project: Project) -> None:
    for path in (
        *project.root.rglob("*.py"),
        *project.root.glob("config/*"),
        project.results("banks/datasets/sft.jsonl"),
    ):
        os.utime(path)


def a_caption(project: Project) -> None:
    (project.root / "rules/report/skill.rst").write_text("Another caption.\n")


def the_profile(project: Project) -> None:
    path = project.root / "profiles/default/config.yaml"
    assert "keep-going: true" in path.read_text()
    path.write_text(path.read_text().replace("keep-going: true", "keep-going: false"))


def threads(project: Project) -> None:
    path = project.root / "rules/training.smk"
    assert "threads: 1" in path.read_text()
    path.write_text(path.read_text().replace("threads: 1", "threads: 2"))


def a_new_version_in_the_lock(project: Project) -> None:
    path = project.root / "requirements.lock"
    path.write_text(path.read_text().replace("torch==", "torch==9."))


def a_readme(project: Project) -> None:
    (project.root / "README.md").write_text("Another text.\n")


@pytest.mark.parametrize(
    "change",
    [a_comment, a_docstring, touched_files, a_caption, the_profile, threads, a_new_version_in_the_lock, a_readme],
    ids=lambda change: change.__name__,
)
def test_what_changes_no_result_reruns_nothing(edited, change: Callable[[Project], None]):
    change(edited)
    assert edited.plan(tiny_config()) == {}


def test_one_slice_changes(edited):
    """A user's panel of which one firm type is replaced: that type's jobs and the summaries."""
    folder = edited.root / "my_panel"
    folder.mkdir()
    config = tiny_config(panel="my_panel")
    for firm_type in config["firm_types"]:
        shutil.copy(edited.results(f"panel/{firm_type}.parquet"), folder)
    targets = [f"results/tiny/{firm_type}/windows.parquet" for firm_type in config["firm_types"]]
    assert edited.run(config, *targets).returncode == 0
    assert edited.plan(config, *targets) == {}
    slice_path = folder / "banks.parquet"
    table = pq.read_table(slice_path)
    price = pa.array(table["prc"].to_numpy() * 2)
    pq.write_table(table.set_column(table.column_names.index("prc"), "prc", price), slice_path)
    assert edited.plan(config, *targets) == {"check_panel": 1, "build_windows": 1}


def test_another_stage_is_a_row_and_a_section(edited):
    """Its training, merging, completions, curves, card and comparisons follow; of the other stages only GRPO, which
    starts from it, is trained again."""
    edit(edited, "holdings/forecasts/stages.py", '        Stage("grpo",',
         '        Stage("sft_long", "sft", "sft", "sft", "long", "black", ":", "D"),\n'
         '        Stage("grpo",')  # fmt: skip
    edit(edited, "settings/config.py", "    grpo: Annotated[GrpoSection,",
         '    sft_long: Annotated[LoraSettings, Doc("A second SFT.")] = field(default_factory=LoraSettings)\n'
         "    grpo: Annotated[GrpoSection,")  # fmt: skip
    edit(edited, "settings/config.py", 'Literal["sft", "continue",', 'Literal["sft", "sft_long", "continue",')
    config = tiny_config(sft_long={"max_steps": 2, "save_steps": 1}, grpo={"warm_start": "sft_long"})
    two_more = {"train_sft": 2, "merge_adapter": 2, "write_model_card": 4, "summarize_training": 4,
                "generate_completions": 4, "parse_predictions": 4, "score_rewards": 4}  # fmt: skip
    assert edited.plan(config) == {**GRPO, **two_more, **CONFIG}


def test_nothing_on_a_gpu_depends_on_what_cannot_change_its_result():
    """The modules whose edit queues a training or a generation again; all of them make or describe the result."""
    shared = {
        "plumbing",
        "plumbing.cli",
        "plumbing.code_digest",
        "plumbing.errors",
        "plumbing.files",
        "plumbing.remembered_digests",
        "training",
        "training.base_model",
        "training.checkpoints",
        "training.hardware",
        "training.options",
        "training.store",
        "training.trainer",
        "training.training_settings",
        "training.validation",
        "training.watchdog",
    }
    rewards = {"holdings", "holdings.rewards", "holdings.rewards.rewards", "holdings.rewards.shared", "holdings.texts",
               "holdings.texts.answers", "holdings.texts.completions", "holdings.texts.targets"}  # fmt: skip
    expected = {
        "train_sft": shared,
        "merge_adapter": shared,
        "generate_completions": {*shared, "training.generation", "training.own_adapters"},
        "train_grpo": {*shared, *rewards, "training.prompt_lengths"},
    }
    for rule, modules in expected.items():
        found = {name.removeprefix("workflow_scripts.") for name in imported_modules(f"workflow_scripts.{rule}")}
        assert found - {"workflow_scripts", rule} <= modules, rule
