"""Rewards of one's own in the real ms-swift: trained with, tried before, replayed; and a replay of any completions."""

import pandas as pd
import pytest

from tests.project import Project, copy_of, tiny_config
from workflow_scripts.plumbing.files import read_json, read_jsonl, write_jsonl

MINE = """
from swift.rewards import ORM, orms

def brief(completions, holding_t, label_delta, **columns):
    assert len(completions) == len(holding_t) == len(label_delta) == len(columns["window_id"])
    return [1 / (1 + len(text)) for text in completions]

class Sometimes(ORM):
    def __call__(self, completions, **columns):
        return [0.0 if "<answer>" in text else None for text in completions]

orms.update(brief=brief, sometimes=Sometimes)
"""


def config_with(file: str = "my_rewards.py", **changes) -> dict:
    return tiny_config(
        firm_types=["banks"],
        rewards={"plugins": [file]},
        grpo={"rewards": ["contract_holdings", "mse_holdings", "brief"], "reward_weights": [0.3, 0.7, 0.1]},
        evaluation={"score_rewards": ["brief", "sometimes", "mse_holdings"]},
        **changes,
    )


TARGETS = [f"results/tiny/banks/{name}" for name in ("adapters/grpo/manifest.json", "evaluation/rewards_base.csv")]


@pytest.fixture(scope="module")
def trained(finished, tmp_path_factory) -> Project:
    project = copy_of(finished, tmp_path_factory.mktemp("rewards"))
    (project.root / "my_rewards.py").write_text(MINE)
    result = project.run(config_with(), *TARGETS)
    assert result.returncode == 0, result.stdout + result.stderr
    return project


@pytest.mark.slow
def test_grpo_trains_with_them_and_the_preflight_tries_them(trained):
    log = read_jsonl(trained.results("banks/adapters/grpo/training_log.jsonl"))
    for entry in log:
        parts = [entry[f"rewards/{name}/mean"] for name in ("contract_holdings", "mse_holdings", "brief")]
        assert 0 < parts[2] <= 1
        assert entry["reward"] == pytest.approx(0.3 * parts[0] + 0.7 * parts[1] + 0.1 * parts[2], abs=1e-4)
    preflight = pd.read_csv(trained.results("banks/preflight/grpo.csv")).set_index(["policy", "reward"])["mean"]
    assert preflight["empty", "brief"] == 1.0
    assert preflight["oracle", "brief"] < 0.1
    assert len(read_json(trained.results("banks/adapters/grpo/manifest.json"))["identity"]["rewards"]["settings"]
               ["plugins"][0]) == 64  # fmt: skip


@pytest.mark.slow
def test_they_are_replayed_and_the_log_has_mean_and_standard_deviation(trained):
    table = pd.read_csv(trained.results("banks/evaluation/rewards_base.csv")).set_index("reward")
    texts = [row["completion"] for row in read_jsonl(trained.results("banks/completions/base.jsonl"))]
    paid = pd.Series([1 / (1 + len(text)) for text in texts])
    assert table.loc["brief", ["mean", "std"]].tolist() == pytest.approx([paid.mean(), paid.std()])
    # None is no reward: those completions are not counted.
    answered = sum("<answer>" in text for text in texts)
    assert table.loc["sometimes", "count"] == answered
    zeros = pd.read_csv(trained.results("banks/evaluation/zero_rewards_base.csv"))
    assert (zeros["reward"] == "sometimes").sum() == min(answered, 5)
    log = trained.results("logs/score_rewards/banks.base.log").read_text()
    assert f"brief {paid.mean():+.2f} ± {paid.std():.2f} (16 completions, 0% zero)" in log


@pytest.mark.slow
def test_they_count_by_content(trained):
    """A touch and another place change nothing; another statement queues preflight, training and replay."""
    path = trained.root / "my_rewards.py"
    path.touch()
    assert trained.plan(config_with(), *TARGETS) == {}
    path.write_text(MINE.replace("1 / (1 +", "2 / (1 +"))
    plan = trained.plan(config_with(), *TARGETS)
    path.write_text(MINE)
    assert (plan["preflight_rewards"], plan["train_grpo"], plan["score_rewards"]) == (1, 1, 1)
    assert "train_sft" not in plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "brief, sometimes is no reward: my_rewards.py register none"),
        ("import helper_beside_it", "ModuleNotFoundError: No module named 'helper_beside_it'"),
        (None, "rewards.plugins: my_rewards.py does not exist"),
    ],
)
def test_what_cannot_be_a_reward_is_told_before_the_first_job(edited, text, message):
    if text:
        (edited.root / "my_rewards.py").write_text(text)
        (edited.root / "helper_beside_it.py").write_text("")
    result = edited.told(*edited.arguments(config_with(run="other")))
    assert result.returncode == 1
    assert message in result.stderr
    assert not (edited.root / "results/other/banks").exists(), "no job was begun"


@pytest.mark.slow
def test_any_completions_are_replayed_by_one_command(edited):
    """Another run's, and some that were edited by hand: half of the prompts, one of them twice."""
    rows = read_jsonl(edited.results("banks/completions/sft.jsonl"))[:8]
    truth = {row["window_id"]: row for row in read_jsonl(edited.results("banks/datasets/test.jsonl"))}
    right = [
        row | {"completion": f'<answer>{{"holding_delta": {truth[row["window_id"]]["label_delta"]:.6f}}}</answer>'}
        for row in rows
    ]
    write_jsonl(edited.root / "edited.jsonl", [*right, right[0]])
    replay = {"completions": "edited.jsonl", "dataset": "results/tiny/banks/datasets/test.jsonl"}
    config = tiny_config(replay=replay, evaluation={"score_rewards": ["scaled_mse_holdings", "contract_holdings"]})
    result = edited.run(config, "replay_rewards")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 of 16 prompts without a completion; scaled_mse_holdings +1.00 ± 0.00 (9 completions, 0% zero)" in (
        edited.results("logs/replay_rewards.log").read_text()
    )
    table = pd.read_csv(edited.results("replay/rewards.csv")).set_index("reward")
    # The right number without a think block.
    assert table.loc["contract_holdings", ["count", "mean"]].tolist() == [9, -1.0]
    assert edited.plan(config, "replay_rewards") == {}
    write_jsonl(edited.root / "edited.jsonl", right)
    assert edited.plan(config, "replay_rewards") == {"replay_rewards": 1}
