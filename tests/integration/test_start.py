"""A run never succeeds on something else than what it says.

Its inputs are there and compared by content, settings and code are those of its start, and outputs without a record
are made again.
"""

import json
import os
import re
import shutil
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snakemake.persistence.file import FilePersistence

from tests.project import SNAKEMAKE, Project, copy_of, tiny_config
from tests.waiting import wait_for
from workflow_scripts.training.hardware import has_gpu


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"panel": "nowhere"}, "nowhere has no slice for banks, mutual_funds"),
        ({"panel": "imported", "import": {"source": "nowhere.csv"}}, "import.source: nowhere.csv does not exist"),
        ({"prompts": {"ticker_mapping": "nope.csv"}}, "prompts.ticker_mapping: nope.csv does not exist"),
        ({"evaluation": {"seed_runs": ["never"]}}, "seed_runs: results/never/config.yaml does not exist"),
    ],
)
def test_missing_inputs_over_finished_results_are_an_error(finished, changes, words):
    """Snakemake would say that all is done: it accepts outputs whose job lacks its inputs. A plan is still shown."""
    config = tiny_config(**changes)
    before = finished.results("config.yaml").read_bytes()
    result = finished.told(*finished.arguments(config))
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert finished.results("config.yaml").read_bytes() == before
    plan = finished.told(*finished.arguments(config, "-n"))
    assert plan.returncode == 0, plan.stderr
    assert words in plan.stderr


def test_a_firm_type_without_its_slice_is_an_error(edited):
    folder = edited.root / "my_panel"
    folder.mkdir()
    shutil.copy(edited.results("panel/banks.parquet"), folder)
    result = edited.told(*edited.arguments(tiny_config(panel="my_panel")))
    assert result.returncode == 1
    assert "my_panel has no slice for mutual_funds; there are: banks" in result.stderr


@pytest.mark.slow
def test_code_that_is_edited_during_a_run_is_not_used(edited):
    """The run ends with the code of its start, and the next plan says what the edit changes."""
    config = tiny_config(simulation={"noise_sd": 0.3})
    target = "results/tiny/banks/windows.parquet"
    command = [SNAKEMAKE, target, "--cores", "1", "--configfile", str(edited.write(config))]
    starts = edited.root / ".snakemake/starts"
    known = set(starts.glob("*/config.json"))
    with subprocess.Popen(command, cwd=edited.root, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: set(starts.glob("*/config.json")) - known)
        module = edited.root / "workflow_scripts/build_windows.py"
        module.write_text(module.read_text() + "\nraise SystemExit('code of after the start')\n")
        errors = process.communicate()[1]
    assert process.returncode == 0, errors
    assert "build_windows" in errors
    assert edited.plan(config, target) == {"build_windows": 1}


def job(project: Project, config: str, rule: str, target: str) -> subprocess.CompletedProcess:
    """A job as a cluster starts it: Snakemake in a mode of its own, with the config file that it was handed."""
    command = ["--mode", "remote", "--target-jobs", target, "--allowed-rules", rule, "--force", "--nolock"]
    return project.snakemake(*command, "--ignore-incomplete", "--cores", "1", "--configfile", config)


@pytest.mark.slow
def test_a_job_uses_settings_and_code_of_the_start(edited):
    """What is edited while jobs of a cluster wait reaches none of them; edited rules are refused."""
    config = tiny_config(windows={"history_quarters": 3})
    path = edited.write(config)
    target = "results/tiny/banks/windows.parquet"
    known = set((edited.root / ".snakemake/starts").glob("*/config.json"))
    assert edited.run(config, target).returncode == 0
    [start] = set((edited.root / ".snakemake/starts").glob("*/config.json")) - known
    made = edited.root.joinpath(target).read_bytes()

    path.write_text(json.dumps(tiny_config(windows={"history_quarters": 4})))
    module = edited.root / "workflow_scripts/build_windows.py"
    module.write_text(module.read_text() + "\nraise SystemExit('code of after the start')\n")
    settings = edited.root / "workflow_scripts/settings/uses.py"
    settings.write_text(settings.read_text() + "\nraise SystemExit('settings of after the start')\n")
    edited.root.joinpath(target).unlink()
    result = job(edited, str(start), "build_windows", "build_windows:firm_type=banks")
    assert result.returncode == 0, result.stdout + result.stderr
    assert edited.root.joinpath(target).read_bytes() == made

    rules = edited.root / "rules/windows.smk"
    rules.write_text(rules.read_text() + "\n# edited\n")
    result = job(edited, str(start), "build_windows", "build_windows:firm_type=banks")
    assert result.returncode == 1
    assert "rules/windows.smk changed since this run was started" in result.stderr


@pytest.mark.slow
def test_outputs_without_a_record_are_made_again(edited):
    """Ctrl-C on a cluster can leave outputs of which Snakemake has no record: later settings would pass them by."""
    memory = FilePersistence(nolock=True, path=edited.root / ".snakemake")
    record = memory._record_path(memory._metadata_path, "results/tiny/banks/windows.parquet")
    os.unlink(record)
    assert edited.plan(tiny_config())["build_windows"] == 1
    assert edited.run(tiny_config(), "results/tiny/banks/windows.parquet").returncode == 0
    assert edited.plan(tiny_config(), "results/tiny/banks/windows.parquet") == {}


def own_inputs(project: Project) -> tuple[dict, list[str]]:
    """A finished panel, a ticker file and a model of the user's own, and the targets that need them."""
    folder = project.root / "my_panel"
    folder.mkdir()
    shutil.copy(project.results("panel/banks.parquet"), folder)
    shutil.copytree(project.results("demo_model"), project.root / "my_model")
    stocks = pq.read_table(folder / "banks.parquet", columns=["permno"])["permno"].unique().to_pylist()
    rows = [f"{permno},T{permno},Company {permno}" for permno in stocks]
    (project.root / "tickers.csv").write_text("\n".join(["permno,ticker,company", *rows]) + "\n")
    config = tiny_config(
        firm_types=["banks"],
        panel="my_panel",
        prompts={"identity": "ticker", "ticker_mapping": "tickers.csv"},
        model={"path": "my_model"},
    )
    return config, ["results/tiny/banks/completions/base.jsonl", "results/tiny/banks/audit/test.csv"]


@pytest.fixture(scope="module")
def with_own_inputs(finished, tmp_path_factory) -> tuple[Project, dict, list[str]]:
    project = copy_of(finished, tmp_path_factory.mktemp("own"))
    config, targets = own_inputs(project)
    result = project.run(config, *targets)
    assert result.returncode == 0, result.stdout + result.stderr
    assert project.plan(config, *targets) == {}
    return project, config, targets


def in_place(path, content: bytes) -> None:
    """Another content under an old time, as `cp -p` and `rsync -t` leave it."""
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns - 10**12))


@pytest.mark.slow
def test_inputs_are_compared_by_content_whatever_their_times_say(with_own_inputs):
    project, config, targets = with_own_inputs
    panel, tickers = project.root / "my_panel/banks.parquet", project.root / "tickers.csv"
    weights = project.root / "my_model/model.safetensors"
    for path in (panel, tickers, weights):
        path.touch()
    (project.root / "my_model/README.md").write_text("A page beside the weights.\n")
    (project.root / "my_model/.cache/huggingface").mkdir(parents=True)
    (project.root / "my_model/.cache/huggingface/download.lock").touch()
    assert project.plan(config, *targets) == {}, "a touch, a page and a cache change nothing"

    before = {path: path.read_bytes() for path in (panel, tickers, weights)}
    in_place(tickers, before[tickers].replace(b"Company", b"Holding"))
    assert project.plan(config, *targets)["build_prompts"] == 3
    in_place(tickers, before[tickers])
    assert project.plan(config, *targets) == {}

    in_place(weights, before[weights][:-1] + bytes([before[weights][-1] ^ 1]))
    assert project.plan(config, *targets) == {"generate_completions": 1}
    in_place(weights, before[weights])
    assert project.plan(config, *targets) == {}

    table = pq.read_table(panel)
    price = pa.array(table["prc"].to_numpy() * 2)
    buffer = pa.BufferOutputStream()
    pq.write_table(table.set_column(table.column_names.index("prc"), "prc", price), buffer)
    in_place(panel, buffer.getvalue().to_pybytes())
    plan = project.plan(config, *targets)
    assert plan["check_panel"] == plan["build_windows"] == plan["build_quarters"] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"model": {"path": "my_model", "torch_dtype": "bfloat16", "device": "auto"}},
            "torch_dtype: bfloat16 needs a GPU",
        ),
        ({"model": {"path": "empty_model"}}, "empty_model holds no model.safetensors"),
        ({"model": {"path": "endless_model", "torch_dtype": "float32"}}, "its chat template takes more than"),
    ],
)
def test_what_trainings_cannot_use_is_told_before_the_first_job(with_own_inputs, changes, words):
    project, config, _ = with_own_inputs
    (project.root / "empty_model").mkdir(exist_ok=True)
    endless = project.root / "endless_model"
    shutil.copytree(project.root / "my_model", endless, dirs_exist_ok=True)
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
    (endless / "chat_template.jinja").write_text(loop)
    if "GPU" in words and has_gpu():
        pytest.skip("this machine has a GPU")
    target = "results/other/banks/completions/base.jsonl"
    result = project.told(*project.arguments({**config, "run": "other", **changes}, target))
    assert result.returncode == 1
    assert words in result.stderr
    assert not (project.root / "results/other/banks").exists(), "no job was begun"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["panle"], "panle is no target, did you mean panel? There are adapters, all"),
        (["xyzzy"], "xyzzy is no target. There are adapters, all"),
        (["results/other/banks/windows.parquet"], "has run: other, did you mean results/tiny/banks/windows.parquet?"),
        (["-n", "results/production/banks/windows.parquet"], "add --configfile config/config.yaml"),
        (
            ["results/tiny/banks/windows.parquet", "results/dapo/config.yaml"],
            "add --configfile config/config.yaml config/recipes/dapo.yaml",
        ),
        (["-n", "results/tiny/other/windows.parquet"], "other is not among this run's firm_types, banks, mutual_funds"),
        (["-n", "results/tiny/banks/completions/dpo.jsonl"], "did you mean results/tiny/banks/completions/grpo.jsonl?"),
        (["-n", "train_grpo"], "train_grpo makes many files; name one of them, such as results/tiny/banks/adapters/"),
        (["-n", "--omit-from", "trian_grpo"], "trian_grpo is no target, did you mean train_grpo?"),
        (["-n", "--until", "trian_grpo"], "trian_grpo is no target, did you mean train_grpo?"),
        (["-n", "--config", "sede=3"], "config: sede is no setting; did you mean seed?"),
        (["-n", "--config", 'model={"path": "config"}'], "config: model.path: config holds no model.safetensors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_started_ends_with_one_line_that_says_what_was_meant(finished, arguments, words):
    """No rule, no line of a file and no traceback; the same with -n, and among other targets."""
    result = finished.told(*finished.arguments(tiny_config(), *arguments))
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert not re.search(r"Traceback|Exception|in rule|\bline \d", result.stdout + result.stderr)


def test_a_plan_with_a_seed_run_that_is_not_there_yet_is_shown_with_a_warning(finished):
    """Without results of its own, too, where Snakemake would end with a rule and its missing input."""
    config = tiny_config(run="new", evaluation={"seed_runs": ["never"]})
    plan = finished.told(*finished.arguments(config, "-n"))
    assert plan.returncode == 0, plan.stderr
    assert "WARNING: evaluation.seed_runs: results/never/config.yaml does not exist" in plan.stderr


def test_a_cluster_without_slurm_is_told_before_the_first_job(finished):
    if shutil.which("sbatch"):
        pytest.skip("this machine has SLURM")
    config = str(finished.write(tiny_config(seed=2)))
    result = finished.told("all", "--profile", "slurm", "--configfile", config)
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith("error: there is no SLURM here")


def shown(project: Project, *arguments: str, **environment: str) -> tuple[int, list[str]]:
    """Status and lines of a run as people start it, without VERBOSE."""
    plain = {name: value for name, value in project.environment.items() if name != "VERBOSE"} | environment
    path = str(project.write(tiny_config()))
    command = [SNAKEMAKE, *arguments, "--cores", "2", "--configfile", path]
    result = subprocess.run(command, cwd=project.root, env=plain, capture_output=True, text=True)
    assert result.stdout == "", "what jobs print is in their logs"
    return result.returncode, result.stderr.splitlines()


def test_a_run_shows_a_line_per_job_and_the_log_has_snakemakes_own(edited):
    """Of about a thousand lines for the demo there is one per job; with VERBOSE=1 they are all there."""
    arguments = ["results/tiny/banks/audit/sft.csv", "--forcerun", "build_windows", "--until", "sample_windows"]
    status, lines = shown(edited, *arguments)
    assert status == 0, lines
    done = [line for line in lines if line.startswith("[")]
    assert [line.split(":")[0] for line in done] == ["[1/2] build_windows banks", "[2/2] sample_windows banks sft"]
    assert lines[-1].startswith("the whole run            [####################] 2/2  ")
    assert len(lines) < len(done) + 6
    log = max((edited.root / ".snakemake/log").iterdir())
    assert "rule build_windows:" in log.read_text()
    result = edited.run(tiny_config(), *arguments)
    assert "rule build_windows:" in result.stderr
    assert "build_windows banks: " in result.stdout


def test_a_failure_is_as_visible_as_with_all_lines(edited):
    """The job that failed, its log, and last its own message, as `tell_failures` has it."""
    edited.results("panel/banks.parquet").write_text("not parquet")
    status, lines = shown(edited, "results/tiny/banks/windows.parquet", "--forcerun", "check_panel")
    assert status == 1
    assert "check_panel banks FAILED, see results/tiny/logs/check_panel/banks.log" in lines
    begin = lines.index("check_panel banks failed (results/tiny/logs/check_panel/banks.log):")
    assert lines[begin + 1].startswith("error: results/tiny/panel/banks.parquet: not a readable parquet file")
    assert not any("Traceback" in line for line in lines)


def test_what_is_not_to_be_run_is_told_as_before(finished):
    status, lines = shown(finished)
    assert status == 0
    assert any("Nothing to be done" in line for line in lines)
