"""The whole DAG on tiny input with the real ms-swift."""

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file

from tests.project import checkout, job_counts, tiny_config
from workflow_scripts.holdings.evaluation.forecaster_pairs import forecaster_pairs
from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.holdings.panel.simulation import SimulationSettings, simulate_panel
from workflow_scripts.holdings.report.chapters import on_one_scale
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.files import file_digest, read_json, read_jsonl, write_tables
from workflow_scripts.settings.config import resolved
from workflow_scripts.settings.reading import read_config
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.trainer import swift_environment

FIGURES = ("residuals", "ic_by_quarter", "forecast_truth", "metrics_by_quarter", "metrics_by_size", "coverage", "pit",
           "reliability", "distributions")  # fmt: skip


def test_every_artefact_is_there(finished):
    for firm_type in ("banks", "mutual_funds"):
        folder = finished.results(firm_type)
        for name in ("panel_report.json", "panel_report.txt", "windows.parquet", "evaluation/metrics.csv",
                     "evaluation/comparisons.csv",
                     "evaluation/metrics_trimmed.csv", "evaluation/skill.csv",
                     "evaluation/combinations.csv", "audit/test.csv", "audit/baselines.csv",
                     "stock_quarters.parquet", "manager_quarters.parquet", "training_windows/grpo.parquet",
                     *(f"evaluation/{figure}.{kind}" for figure in FIGURES for kind in ("png", "pdf", "csv")),
                     "evaluation/worst_rewards_grpo.csv", "evaluation/zero_rewards_grpo.csv", "evaluation/origins.csv",
                     "evaluation/faults_grpo.csv",
                     "merged/sft/model.safetensors"):  # fmt: skip
            assert (folder / name).stat().st_size > 0, name
    assert read_json(finished.results("banks/samples/sft.json"))["sampled"] == 16
    left = list(finished.results(".").rglob(".*.part"))
    assert left == [], "temporary files are renamed or removed"


def test_every_rule_left_a_log_and_a_benchmark(finished):
    rules = {path.name for path in finished.results("logs").iterdir() if path.is_dir()}
    benchmarks = {path.name for path in finished.results("benchmarks").iterdir() if path.is_dir()}
    assert len(rules) == 31
    assert rules == benchmarks


def test_adapters_are_those_of_the_config(finished):
    for stage, rank, alpha in (("sft", 8, 32), ("grpo", 32, 128)):
        folder = finished.results(f"banks/adapters/{stage}")
        config = read_json(folder / "adapter_config.json")
        assert (config["r"], config["lora_alpha"]) == (rank, alpha)
        assert config["base_model_name_or_path"] == read_json(folder / "manifest.json")["start_model"]
        assert str(finished.root) not in json.dumps(config), "a path of this machine"
        weights = load_file(folder / "adapter_model.safetensors")
        assert {w.shape[0] for name, w in weights.items() if "lora_A" in name} == {rank}
        manifest = read_json(folder / "manifest.json")
        assert manifest["steps"] == 2
        assert manifest["versions"]["ms-swift"] == "4.6.0"
        assert len(read_jsonl(folder / "training_log.jsonl")) == 2


@pytest.mark.slow
def test_an_adapter_loads_with_peft_alone(finished):
    """The rank of the GRPO adapter differs from the SFT's: only the merged model is its base."""
    code = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
base, adapter = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
tokens = torch.arange(5).reshape(1, 5)
before = model(tokens).logits
after = PeftModel.from_pretrained(model, adapter)(tokens).logits
print("CHANGED", float((after - before).abs().max()) > 0)
"""
    for base, stage in (("demo_model", "sft"), ("banks/merged/sft", "grpo")):
        arguments = [sys.executable, "-c", code, finished.results(base), finished.results(f"banks/adapters/{stage}")]
        result = subprocess.run(arguments, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        weights = load_file(finished.results(f"banks/adapters/{stage}/adapter_model.safetensors"))
        # Two steps of GRPO in which all rewards are equal leave B at 0, and the model as it was.
        moved = any(w.any() for name, w in weights.items() if "lora_B" in name)
        assert moved or stage == "grpo"
        assert f"CHANGED {moved}" in result.stdout


def code_of_page() -> str:
    """The Python of results/README.md, for the tiny run."""
    page = (ROOT / "results/README.md").read_text()
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)).replace(
        "results/demo/", "results/tiny/"
    )


def test_the_lines_on_the_page_load_datasets_and_models(finished):
    """What results/README.md shows is run as it stands, by packages that know nothing of the workflow.

    The models that it loads write what the workflow wrote of the same prompt: tokenizer, template and adapter fit.
    """
    code = code_of_page()
    assert all(name in code for name in ("load_dataset", "AutoPeftModelForCausalLM", "pipeline"))
    told = """
import json
sizes = {name: len(split) for name, split in splits.items()}
asked = {row["window_id"]: row["messages"] for row in splits["test"]}
print("TOLD" + json.dumps([sizes, splits["test"][0]["window_id"], answer, merged_answer]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code + told],
        cwd=finished.root,
        env=swift_environment(ModelSettings(str(finished.results("demo_model"))), HF_HOME=str(finished.root / "hf")),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    sizes, window_id, *answers = json.loads(result.stdout.split("TOLD")[1])
    assert sizes == {"sft": 16, "grpo": 16, "test": 16}
    (row,) = [r for r in read_jsonl(finished.results("banks/completions/sft.jsonl")) if r["window_id"] == window_id]
    assert len(row["completion"]) > 10
    assert answers == [row["completion"]] * 2


def test_manifest_and_model_card_tell_where_an_adapter_comes_from(finished):
    for stage, parent in (("sft", None), ("grpo", "banks/adapters/sft/adapter_model.safetensors")):
        folder = finished.results(f"banks/adapters/{stage}")
        manifest = read_json(folder / "manifest.json")
        assert manifest["parent_adapter"] == (file_digest(finished.results(parent)) if parent else None)
        assert manifest["identity"]["data"] == file_digest(finished.results(f"banks/datasets/{stage}.jsonl"))
        assert manifest["hardware"]["cpus"] == os.cpu_count()
        assert set(manifest["files"]) == {
            "adapter_model.safetensors",
            "adapter_config.json",
            "training_log.jsonl",
        }
        head, text = (folder / "README.md").read_text().removeprefix("---\n").split("---\n", 1)
        assert yaml.safe_load(head)["library_name"] == "peft"
        assert yaml.safe_load(head)["base_model"] == manifest["start_model"]
        assert manifest["fingerprint"] in text
        assert str(finished.root) not in text


def test_the_preflight_ranks_the_policies(finished):
    table = pd.read_csv(finished.results("summary/preflight.csv"))
    total = table[table["reward"] == "total"].set_index(["firm_type", "policy"])["mean"]
    for firm_type in ("banks", "mutual_funds"):
        # Prompts and answers have six decimals: what is cut off costs the oracle a little on its own tiny scale.
        assert total[firm_type].drop("oracle").max() < total[firm_type, "oracle"]
        assert total[firm_type, "oracle"] > 0.9
        assert total[firm_type, "empty"] == total[firm_type, "malformed"] == -1.0
        log = finished.results(f"logs/preflight_rewards/{firm_type}.grpo.log").read_text()
        assert "of the pairs in order" in log
        assert "earn no less than no_change, with larger errors: a reward that is scaled by the errors" in log


def test_the_report_compares_stages_on_scales_that_do_not_move(finished):
    """mse_holdings and external_holdings are scaled by the errors that they score: they are in the folded table."""
    rewards = pd.read_csv(finished.results("summary/rewards.csv"))
    assert set(rewards["reward"][rewards["self_scaled"]]) == {"mse_holdings", "external_holdings"}
    shown = on_one_scale(rewards)
    assert set(shown["reward"]) == {"contract_holdings", "scaled_mae_holdings"}
    assert sorted(shown.columns[2:]) == ["base", "grpo", "sft"]
    one = rewards.set_index(["firm_type", "stage", "reward"])["mean"]
    banks = shown.set_index(["firm_type", "reward"]).loc[("banks", "scaled_mae_holdings")]
    assert banks["grpo"] == one["banks", "grpo", "scaled_mae_holdings"]


def test_rewards_that_pay_for_errors_train_nothing(edited):
    config = tiny_config(grpo={"reward_weights": [0.3, -0.7]})
    result = edited.run(config, "results/tiny/banks/adapters/grpo/manifest.json")
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "training would not move towards the truth" in output
    assert "rule train_grpo" not in output


@pytest.mark.slow
def test_a_misspelt_argument_fails_before_any_training(edited):
    config = tiny_config(sft={"extra_args": {"weight_decy": 0.1, "lora_rank": 4}})
    result = edited.run(config, "results/tiny/banks/adapters/sft/manifest.json")
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "weight_decy is no option of ms-swift, did you mean weight_decay?" in output
    assert "lora_rank is set by sft.lora_rank" in output
    assert "rule train_sft" not in output


def test_training_curves(finished):
    sft, grpo = (pd.read_csv(finished.results(f"banks/training/{stage}.csv")) for stage in ("sft", "grpo"))
    assert sft["step"].tolist() == grpo["step"].tolist() == [1, 2]
    assert {"loss", "token_accuracy"} <= set(sft.columns)
    expected = {"reward", "reward_std", "zero_spread_groups", "kl", "completion_tokens", "reward_contract_holdings"}
    assert expected <= set(grpo.columns)
    log = read_jsonl(finished.results("banks/adapters/grpo/training_log.jsonl"))
    assert grpo["reward"].tolist() == pytest.approx([row["reward"] for row in log])
    assert finished.results("banks/training/grpo.png").stat().st_size > 0


@pytest.mark.slow
def test_the_store_is_listed_and_cleaned_of_what_nobody_needs(edited):
    store = edited.results("store/banks/sft")
    published = next(store.iterdir())
    stale = store / "0123456789abcdef"
    shutil.copytree(published, stale)
    listed = edited.run(tiny_config(), "list_store")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    lines = edited.results("logs/list_store.log").read_text().splitlines()
    states = {line.split()[2]: line.split(maxsplit=4)[4] for line in lines[1:]}
    assert states[stale.name] == "finished, another one is published"
    assert states[published.name] == "published"
    assert len(lines) - 1 == 1 + 2 * 5, "two adapters and three stages of completions per firm type"
    assert edited.run(tiny_config(), "clean_store").returncode == 0
    assert not stale.exists()
    assert not (published / "checkpoints").exists()
    assert edited.run(tiny_config(), "list_store").returncode == 0
    text = edited.results("logs/list_store.log").read_text()
    assert stale.name not in text, "asked a second time, the store is listed anew"
    assert edited.plan(tiny_config()) == {}
    edited.results("banks/adapters/sft/manifest.json").unlink()
    again = edited.run(tiny_config(), "results/tiny/banks/adapters/sft/manifest.json")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "was trained before" in edited.results("logs/train_sft/banks.sft.log").read_text()


def test_grpo_starts_at_the_sft_model(finished):
    first = read_jsonl(finished.results("banks/adapters/grpo/training_log.jsonl"))[0]
    assert first["kl"] == pytest.approx(0.0, abs=1e-6), "the KL reference is the start model"
    # A fresh LoRA is neutral, so that KL is 0 from any start: it also has to be the merged SFT model.
    manifest = read_json(finished.results("banks/adapters/grpo/manifest.json"))
    assert manifest["start_model"] == "results/tiny/banks/merged/sft"
    merged, base = (load_file(finished.results(f"{p}/model.safetensors")) for p in ("banks/merged/sft", "demo_model"))
    assert any((merged[name] != base[name]).any() for name in merged)
    rewards = [name for name in first if name.startswith("rewards/") and name.endswith("/mean")]
    assert sorted(rewards) == ["rewards/contract_holdings/mean", "rewards/mse_holdings/mean"]


def test_rows_are_joined_by_window_id(finished):
    ids = [row["window_id"] for row in read_jsonl(finished.results("banks/datasets/test.jsonl"))]
    assert len(set(ids)) == 16
    for stage in ("base", "sft", "grpo"):
        completions = read_jsonl(finished.results(f"banks/completions/{stage}.jsonl"))
        assert [row["window_id"] for row in completions] == ids
        assert all(row["completion_tokens"] > 0 for row in completions)
    conditions = [read_json(finished.results(f"banks/completions/{stage}.json")) for stage in ("base", "sft", "grpo")]
    assert len({c["digest"] for c in conditions}) == 1, "the same prompts, precision and backend"
    assert len({(c["model"], c["adapter"]) for c in conditions}) == 3


@pytest.mark.slow
def test_samples_differ_and_a_killed_job_completes_what_is_missing(finished, tmp_path):
    generation = {"backend": "transformers", "batch_size": 8, "max_tokens": 24, "temperature": 0.9, "samples": 3}
    model = {"path": "results/tiny/demo_model", "torch_dtype": "float32"}
    options = {
        "firm-type": "banks",
        "stage": "base",
        "dataset": "results/tiny/banks/datasets/test.jsonl",
        "adapter": "none",
        "settings": json.dumps({"seed": 1, "model": model, "generation": generation}),
        "store": tmp_path / "store",
        "out": tmp_path / "completions.jsonl",
        "conditions": tmp_path / "completions.json",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "workflow_scripts.generate_completions", *words]
    first = subprocess.run(command, cwd=finished.root, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    rows = read_jsonl(tmp_path / "completions.jsonl")
    assert [row["sample"] for row in rows] == [0, 1, 2] * 16
    assert any(len({row["completion"] for row in rows[i : i + 3]}) > 1 for i in range(0, 48, 3))
    cache = next((tmp_path / "store").glob("*/completions.jsonl"))
    lines = cache.read_text().splitlines(keepends=True)
    cache.write_text("".join(lines[:20]) + lines[20][:30])
    # Two at once, as after a hard kill of Snakemake, whose jobs run on: the second waits, and finds all there.
    both = [subprocess.Popen(command, cwd=finished.root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[0] for process in both)
    assert "0 completed, 48 from the store" in said[0] + said[1], said
    assert "28 completed, 20 from the store" in said[0] + said[1], said
    assert len(cache.read_text().splitlines()) == 48
    kept = [(row["window_id"], row["sample"]) for row in read_jsonl(tmp_path / "completions.jsonl")]
    assert kept == [(row["window_id"], row["sample"]) for row in rows]


def test_baselines_are_scored_as_distributions(finished):
    """The bands of the baselines and of the oracle; the models answered once, greedily, and have none."""
    table = pd.read_csv(finished.results("summary/distributions.csv"))
    names = [*BASELINES, "oracle"]
    assert table["forecaster"].tolist() == 2 * names
    assert set(table["target"]) == {"change"}
    assert (table["n_windows"] == 16).all()
    assert table["capped_relative_CRPS"].between(0, 1).all()
    for firm_type in ("banks", "mutual_funds"):
        folder = finished.results(f"{firm_type}/evaluation")
        pit = pd.read_csv(folder / "pit.csv")
        assert pit.groupby("forecaster")["pit_count"].sum().to_dict() == pytest.approx(dict.fromkeys(names, 16.0))
        assert len(pd.read_csv(folder / "reliability.csv")) == 7 * len(names)
    report = finished.results("summary/report.html").read_text()
    assert "Forecasts that say how sure they are" in report
    log = finished.results("logs/evaluate_distributions/banks.log").read_text()
    assert "without quantiles: base, sft, grpo" in log


@pytest.mark.slow
def test_sampled_completions_are_a_distribution(edited):
    """Another way to draw completions, the same adapters: samples of every stage are scored beside the bands."""
    result = edited.run(tiny_config(generation={"samples": 3, "temperature": 0.9}),
                        "results/tiny/banks/evaluation/pit.png")  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    folder = edited.results("banks")
    table = pd.read_csv(folder / "evaluation/distributions.csv")
    assert table["forecaster"].tolist() == [*BASELINES, "base", "sft", "grpo", "oracle"]
    predictions = pd.read_csv(folder / "predictions/sft.csv")
    quantiles = predictions[["q05", "q10", "q25", "q50", "q75", "q90", "q95"]]
    assert (quantiles["q50"].dropna() == predictions["predicted_delta"].dropna()).all()
    assert (quantiles.dropna().diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_all_forecasters_are_scored_on_the_same_windows(finished):
    metrics = pd.read_csv(finished.results("summary/metrics.csv"))
    headline = metrics[(metrics["target"] == "change") & (metrics["treatment"] == "unparsed_as_no_change")]
    names = (*BASELINES, "base", "sft", "grpo", "oracle")
    assert tuple(headline["forecaster"].unique()) == names
    assert set(headline["n_windows"]) == {16}
    assert (headline[headline["forecaster"] == "no_change"]["skill"] == 0).all()
    comparisons = pd.read_csv(finished.results("summary/comparisons.csv"))
    # Two firm types, two targets; there is no RankIC of no-change.
    # Two firm types, two changes, four metrics; no-change ranks nothing, and three pairs are with it.
    assert len(comparisons) == 2 * 2 * 2 * (2 * len(forecaster_pairs(names)) - 3)
    assert comparisons["p_holm"].notna().sum() == comparisons["p_value"].notna().sum()


def test_every_column_is_in_the_dictionary(finished):
    described = pd.read_csv(finished.results("summary/data_dictionary.csv"))
    assert described[["column", "meaning"]].notna().all(axis=None)
    described = set(zip(described["table"], described["column"], strict=True))
    for folder, skipped in (("banks/evaluation", ()), ("summary", ("panel.", "data_dictionary"))):
        for path in finished.results(folder).glob("*.csv"):
            # Of the rewards the summary's table is described; a panel's columns are those of data/README.md.
            if path.name.startswith((*skipped, "rewards_", "worst_rewards_", "zero_rewards_")):
                continue
            for column in pd.read_csv(path, nrows=0).columns:
                assert (f"{Path(folder).name}/{path.name}", column) in described, (path.name, column)


@pytest.mark.slow
def test_a_planted_leak_stops_the_run_before_training(edited):
    """A feature of the test windows taken from the next quarter, as a careless merge would."""
    path = edited.root / "workflow_scripts/holdings/windows/history.py"
    text = path.read_text()
    there = "{lagged(feature, lag): values[at] for lag, at in rows.items()}"
    leaky = "{lagged(feature, lag): values[np.minimum(at + 1, len(values) - 1)] for lag, at in rows.items()}"
    assert there in text
    path.write_text(text.replace(there, leaky))
    result = edited.run(tiny_config(), "results/tiny/banks/adapters/sft/manifest.json")
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "leak in banks, sft: texts that change with what is dated after t: " in output
    assert "rule train_sft" not in output
    assert not edited.results("banks/audit/sft.csv").exists()


@pytest.mark.slow
def test_another_preflight_queues_a_training_that_publishes_what_the_store_has(edited):
    path = edited.root / "workflow_scripts/holdings/rewards/preflight.py"
    path.write_text(path.read_text().replace("JITTER = 0.1", "JITTER = 0.2"))
    result = edited.run(tiny_config(), "results/tiny/banks/adapters/grpo/manifest.json")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "was trained before" in edited.results("logs/train_grpo/banks.grpo.log").read_text()


@pytest.mark.slow
def test_labels_baselines_and_preflight_follow_the_active_target(tmp_path):
    project = checkout(tmp_path)
    config = tiny_config(prompts={"target": "active_delta"}, firm_types=["banks"])
    targets = ("audit/sft", "audit/grpo", "audit/test", "audit/baselines", "preflight/grpo")
    result = project.run(config, *(f"results/tiny/banks/{name}.csv" for name in targets))
    assert result.returncode == 0, result.stdout + result.stderr
    rows = {split: read_jsonl(project.results(f"banks/datasets/{split}.jsonl")) for split in ("sft", "grpo", "test")}
    assert all('<answer>{"active_delta": ' in row["messages"][2]["content"] for row in rows["sft"])
    assert all(row["label_active"] != row["label_delta"] for row in rows["grpo"])
    assert "active_delta >= -holding_t" in rows["test"][0]["messages"][1]["content"]
    last = pd.read_csv(project.results("banks/predictions/last_change.csv")).set_index("window_id")["predicted_delta"]
    sample = pq.read_table(project.results("banks/samples/test.parquet")).to_pandas().set_index("window_id")
    active = sample["holding_t_lag0"] * sample["prc_lag1"] / sample["prc_lag0"] - sample["holding_t_lag1"]
    expected = active.where(sample["split_ratio_lag1"].isna(), 0.0).clip(lower=-sample["holding_t"])
    pd.testing.assert_series_equal(last, expected, check_names=False)


@pytest.mark.slow
def test_seeds_are_averaged_where_runs_are_named(edited):
    other = edited.root / "results/tiny2"
    shutil.copytree(edited.results("."), other)
    config = tiny_config(evaluation={"seed_runs": ["tiny2"]})
    refused = edited.run(config)
    assert refused.returncode != 0
    assert "the seeds 1, 1 are not all different" in refused.stdout + refused.stderr
    resolved = yaml.safe_load((other / "config.yaml").read_text())
    (other / "config.yaml").write_text(yaml.safe_dump(resolved | {"run": "tiny2", "seed": 2}))
    assert edited.plan(config) == {"summarize_run": 1, "all": 1}
    assert edited.run(config).returncode == 0
    seeds = pd.read_csv(edited.results("summary/metrics_over_seeds.csv"))
    assert set(seeds["n_seeds"]) <= {0, 2}
    assert (seeds["sd"].dropna() == 0).all(), "the same numbers twice"


def test_the_report_needs_nothing_from_outside(finished):
    text = finished.results("summary/report.html").read_text()
    trainings, whole_run = 4, 2
    assert text.count("data:image/png;base64,") == whole_run + trainings + 2 * len(FIGURES)
    assert "http" not in text
    assert "<script" not in text


def test_the_resolved_config_is_kept(finished):
    assert yaml.safe_load(finished.results("config.yaml").read_text()) == resolved(read_config(tiny_config()))


@pytest.mark.slow
def test_a_lost_output_is_republished_without_training(edited):
    for name in ("adapter_model.safetensors", "manifest.json"):
        edited.results(f"banks/adapters/sft/{name}").unlink()
    target = "results/tiny/banks/adapters/sft/adapter_model.safetensors"
    result = edited.run(tiny_config(), target)
    assert result.returncode == 0, result.stdout + result.stderr
    log = edited.results("logs/train_sft/banks.sft.log").read_text()
    assert "was trained before" in log
    assert filecmp.cmp(
        edited.results("banks/adapters/sft/adapter_model.safetensors"),
        next(edited.results("store/banks/sft").glob("*/result/adapter_model.safetensors")),
        shallow=False,
    )


@pytest.mark.slow
def test_data_stages_are_byte_identical_in_another_folder(finished, tmp_path):
    again = checkout(tmp_path / "again")
    audits = [f"results/tiny/{t}/audit/{part}.csv" for t in ("banks", "mutual_funds") for part in ("test", "baselines")]
    result = again.run(tiny_config(), "datasets", *audits)
    assert result.returncode == 0, result.stdout + result.stderr
    for firm_type in ("banks", "mutual_funds"):
        names = ["windows.parquet", "stock_quarters.parquet", "manager_quarters.parquet", "panel_report.json"]
        names += ["audit/test.csv", "audit/baselines.csv", *(f"predictions/{name}.csv" for name in BASELINES)]
        names += [f"training_windows/{split}.parquet" for split in ("sft", "grpo")]
        for split in ("sft", "grpo", "test"):
            names += [f"samples/{split}.parquet", f"prompts/{split}.jsonl", f"datasets/{split}.jsonl"]
        for name in names:
            a, b = (project.results(f"{firm_type}/{name}") for project in (finished, again))
            assert filecmp.cmp(a, b, shallow=False), name


def test_the_windows_of_each_training_split_are_in_its_own_file(finished):
    """All fit into the file here, so that those of the sample are among them."""
    for firm_type in ("banks", "mutual_funds"):
        for split in ("sft", "grpo"):
            windows, sample = (
                set(pq.read_table(finished.results(f"{firm_type}/{folder}/{split}.parquet"))["window_id"].to_pylist())
                for folder in ("training_windows", "samples")
            )
            assert sample < windows, (firm_type, split)


def test_one_firm_type_builds_only_what_it_needs(tmp_path):
    project = checkout(tmp_path)
    plan = project.plan(tiny_config(), "results/tiny/banks/evaluation/metrics.csv")
    assert plan["train_sft"] == plan["train_grpo"] == plan["simulate_panel"] == 1
    assert plan["generate_completions"] == 3
    assert "summarize_run" not in plan


@pytest.mark.slow
def test_own_data_by_settings_alone(tmp_path):
    project = checkout(tmp_path)
    folder = tmp_path / "my_panel"
    folder.mkdir()
    write_tables(
        folder / "pension_funds.parquet", simulate_panel("pension_funds", 0.05, SimulationSettings(6, 9, 4), 3)
    )
    arguments = ["--config", "run=tiny", f"panel={folder}", 'firm_types=["pension_funds"]']
    result = project.snakemake("datasets", "--cores", "2", "--configfile", "config/demo.yaml", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert project.results("pension_funds/datasets/test.jsonl").is_file()
    assert not project.results("panel").exists(), "nothing is simulated, and the panel is not copied"


@pytest.mark.slow
def test_one_big_stata_file_is_imported_once(tmp_path):
    project = checkout(tmp_path)
    panels = [
        pa.concat_tables(simulate_panel(name, 0.05, SimulationSettings(6, 9, 4), 3)) for name in ("banks", "other")
    ]
    raw = pa.concat_tables(panels).to_pandas().drop(columns="holding_t1").rename(columns={"holding_t": "holding"})
    raw = raw.assign(fdate=pd.to_datetime(raw.pop("date"))).sort_values(["fdate", "permno"])
    raw.to_stata(tmp_path / "raw.dta", write_index=False, convert_dates={"fdate": "tq"})
    config = tiny_config(panel="imported", firm_types=["banks"])
    config["import"] = {"source": "raw.dta"}
    result = project.run(config, "datasets", "panel")
    assert result.returncode == 0, result.stdout + result.stderr
    imported = pq.read_table(project.results("panel/banks.parquet")).select(panels[0].column_names)
    assert imported.to_pandas().equals(panels[0].to_pandas()), "the labels too"
    assert "banks: " in project.results("summary/panel.txt").read_text()
    os.utime(tmp_path / "raw.dta")
    assert project.plan(config, "datasets", "panel") == {}
    config["firm_types"] = ["banks", "other"]
    added = project.plan(config, "results/tiny/other/windows.parquet")
    assert added == {"check_panel": 1, "build_windows": 1}, "all slices are there"
    raw[:-1].to_stata(tmp_path / "raw.dta", write_index=False, convert_dates={"fdate": "tq"})
    assert project.plan(config, "panel")["import_panel"] == 1


def test_a_source_that_is_not_there_yet(tmp_path):
    project = checkout(tmp_path)
    config = tiny_config(panel="imported")
    config["import"] = {"source": "raw.dta"}
    assert project.plan(config, "panel")["import_panel"] == 1, "a plan can be shown"
    result = project.told(*project.arguments(config, "panel"))
    assert result.returncode != 0
    assert "import.source: raw.dta does not exist" in result.stdout + result.stderr


def test_a_bad_slice_stops_with_a_message_and_leaves_nothing(tmp_path):
    project = checkout(tmp_path)
    folder = tmp_path / "my_panel"
    folder.mkdir()
    (folder / "banks.parquet").write_text("not parquet")
    arguments = ["--config", "run=tiny", f"panel={folder}", 'firm_types=["banks"]']
    result = project.snakemake("datasets", "--cores", "1", "--configfile", "config/demo.yaml", *arguments)
    assert result.returncode != 0
    output = result.stdout + result.stderr
    _, _, last = output.rpartition("check_panel banks failed (results/tiny/logs/check_panel/banks.log):\n")
    assert last.startswith(f"error: {folder}/banks.parquet: not a readable parquet file"), "once more, at the end"
    assert len(last.splitlines()) < 12
    assert "Traceback" not in project.results("logs/check_panel/banks.log").read_text()
    assert not project.results("banks/panel_report.json").exists()
    assert (folder / "banks.parquet").read_text() == "not parquet"


def test_the_literal_cluster_command_plans_the_production_run(tmp_path):
    project = checkout(tmp_path)
    result = project.told("--profile", "slurm", "-n", "all")
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    plan = job_counts(output)
    assert plan["train_sft"] == plan["train_grpo"] == len(FIRM_TYPES) == 7
    assert "build_demo_model" not in plan
    jobs = output.split("\nrule ")
    for rule, gpu in (
        ("train_sft", True),
        ("train_grpo", True),
        ("generate_completions", True),
        ("build_windows", False),
    ):
        texts = [job for job in jobs if job.startswith(f"{rule}:")]
        assert texts
        assert all(("slurm_partition=gpu" in job and "gpu=1" in job) == gpu for job in texts), rule
    assert "has no slice for" in output, "without data the plan says so"
    real = project.told(
        "results/production/banks/windows.parquet", "--cores", "1", "--configfile", "config/config.yaml"
    )
    assert real.returncode != 0
    assert "has no slice for" in real.stdout + real.stderr


def test_unknown_settings_stop_before_anything_runs(tmp_path):
    project = checkout(tmp_path)
    result = project.told("-n", "--cores", "1", "--config", "sft_rank=8")
    assert result.returncode != 0
    assert "sft_rank" in result.stdout + result.stderr


@pytest.mark.slow
def test_the_policy_sees_the_exemplar(finished):
    """ms-swift's own rollout steps, drop the response and encode, on a GRPO row with an exemplar."""
    code = """
import json, sys
from swift.infer_engine import InferRequest, TransformersEngine
from workflow_scripts.holdings.texts.conversations import ThinkStyle, grpo_rows
from workflow_scripts.plumbing.files import read_jsonl
import pyarrow.parquet as pq
folder, model = sys.argv[1:]
sample = pq.read_table(f"{folder}/samples/grpo.parquet")
row = grpo_rows(read_jsonl(f"{folder}/prompts/grpo.jsonl"), sample, ThinkStyle("holding {holding_change}", 1, 4))[0]
engine = TransformersEngine(model, model_type="qwen2", template_type="qwen2_5")
InferRequest.remove_response(row["messages"])
encoded = engine.template.encode({"messages": row["messages"]})
print("ENCODED" + engine.template.safe_decode(encoded["input_ids"]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code, finished.results("banks"), finished.results("demo_model")],
        cwd=finished.root,
        capture_output=True,
        text=True,
        env=swift_environment(ModelSettings(str(finished.results("demo_model")))),
    )
    assert result.returncode == 0, result.stderr
    prompt = result.stdout.split("ENCODED")[1]
    assert "An example of a think block: <think>holding " in prompt
    assert prompt.rstrip().endswith("<|im_start|>assistant")
