"""What another run has made is taken with its record, and what turns out to be outdated does not stay."""

import json
import os
from pathlib import Path

import pytest

from workflow_scripts.plumbing.base_run import Memory, let_go, take

MADE = ("banks/windows.parquet", "banks/adapters/grpo/weights", "banks/merged/sft", "panel/banks.parquet")


@pytest.fixture
def memory(tmp_path, monkeypatch) -> Memory:
    """A run `old` whose outputs have records; `merged/sft` is one output, a folder."""
    monkeypatch.chdir(tmp_path)
    memory = Memory(
        lambda path: Path("records") / path.replace("/", "_"), lambda path: Path("unfinished") / path.replace("/", "_")
    )
    for name in MADE:
        path = Path("results/old") / name
        text = path / "model" if name == "banks/merged/sft" else path
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"made by old: {name}")
        os.utime(text, ns=(1, 10**18 + len(name)))
        write(memory.record(str(path)), json.dumps({"input": ["results/old/x", "data/results/old/x"], "rule": name}))
    return memory


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_outputs_are_linked_and_their_records_tell_of_the_new_run(memory):
    assert take("new", "old", memory) == len(MADE)
    for name in MADE:
        own, other = Path("results/new") / name, Path("results/old") / name
        file = "model" if own.is_dir() else ""
        assert (own / file).samefile(other / file), "no room is needed"
        record = json.loads(memory.record(str(own)).read_text())
        assert record == {"input": ["results/new/x", "data/results/old/x"], "rule": name}
        assert "results/old/x" in memory.record(str(other)).read_text(), "the other run's own is as it was"
    assert take("new", "old", memory) == 0


def test_what_is_not_finished_or_nobody_knows_or_is_the_runs_own_stays(memory):
    """A file without a record could be anything; a run's page and configuration are about that run."""
    write(memory.unfinished("results/old/banks/windows.parquet"), "")
    write(Path("results/old/banks/by_hand.csv"), "")
    for name in ("config.yaml", "summary/report.html", "banks/forecast/forecasts.csv"):
        write(Path("results/old") / name, "")
        write(memory.record(f"results/old/{name}"), "{}")
    write(Path("results/old/logs/a.log"), "")
    take("new", "old", memory)
    taken = {str(path.relative_to("results/new")) for path in Path("results/new").rglob("*") if path.is_file()}
    assert taken == {"banks/adapters/grpo/weights", "banks/merged/sft/model", "panel/banks.parquet"}


def test_what_the_run_has_itself_is_kept(memory):
    write(Path("results/new/banks/windows.parquet"), "mine")
    write(memory.record("results/new/banks/windows.parquet"), "my record")
    assert take("new", "old", memory) == len(MADE) - 1
    assert Path("results/new/banks/windows.parquet").read_text() == "mine"
    assert memory.record("results/new/banks/windows.parquet").read_text() == "my record"


def test_a_run_whose_name_another_one_begins_with_is_not_mixed_up(memory):
    write(memory.record("results/old/banks/windows.parquet"), '{"input": ["results/old-2/x", "results/old/y"]}')
    take("new", "old", memory)
    record = json.loads(memory.record("results/new/banks/windows.parquet").read_text())
    assert record["input"] == ["results/old-2/x", "results/new/y"]


def test_outdated_outputs_of_the_other_run_are_deleted_and_no_others(memory):
    """The links go, the files of the other run stay; what this run has made itself is Snakemake's to delete."""
    take("new", "old", memory)
    made = Path("results/new/banks/windows.parquet")
    made.unlink()
    made.write_text("made by new")
    let_go("new", "old", [*(f"results/new/{name}" for name in MADE[:3]), "results/new/never/made", "elsewhere/x"])
    assert not Path("results/new/banks/adapters/grpo/weights").exists()
    assert not Path("results/new/banks/merged/sft").exists()
    assert made.read_text() == "made by new"
    assert Path("results/new/panel/banks.parquet").is_file(), "it is valid"
    assert (Path("results/old") / MADE[1]).read_text() == f"made by old: {MADE[1]}"
    assert Path("results/old/banks/merged/sft/model").is_file()


def test_without_links_a_copy_is_taken_and_let_go_alike(memory, monkeypatch):
    """As between two file systems."""

    def refused(source, target):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refused)
    take("new", "old", memory)
    assert not Path("results/new/banks/windows.parquet").samefile("results/old/banks/windows.parquet")
    let_go("new", "old", [f"results/new/{name}" for name in MADE])
    assert not [path for path in Path("results/new").rglob("*") if path.is_file()]


def test_of_the_store_only_what_is_finished_comes_along(memory):
    """Completions are copied: the next job appends to them, and would write into both runs."""
    store = Path("results/old/store/banks")
    for name in ("sft/a/identity.json", "sft/a/result/manifest.json", "sft/a/result/weights", "sft/a/checkpoints/c",
                 "sft/b/identity.json", "sft/b/checkpoints/c",
                 "completions/c/identity.json", "completions/c/completions.jsonl"):  # fmt: skip
        write(store / name, name)
    take("new", "old", memory)
    own = Path("results/new/store/banks")
    assert {str(path.relative_to(own)) for path in own.rglob("*") if path.is_file()} == {
        "sft/a/identity.json", "sft/a/result/manifest.json", "sft/a/result/weights",
        "completions/c/identity.json", "completions/c/completions.jsonl",
    }  # fmt: skip
    with (own / "completions/c/completions.jsonl").open("a") as file:
        file.write("more")
    assert (store / "completions/c/completions.jsonl").read_text() == "completions/c/completions.jsonl"
    assert take("new", "old", memory) == 0
