"""What rewards are worth in ms-swift itself: the values by its own call, its advantages, and the step that it takes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from workflow_scripts.holdings.rewards.preflight import DEAD_BELOW, group_shares
from workflow_scripts.plumbing.code_digest import ROOT
from workflow_scripts.plumbing.files import read_jsonl, write_json, write_jsonl
from workflow_scripts.training.base_model import ModelSettings
from workflow_scripts.training.trainer import swift_environment

# As the trainer does it: external plugin, dataset loader, one object per reward, samples from rows, score, advantages.
SCRIPT = """
import json, sys
import torch
from swift.dataset import load_dataset
from swift.rewards import orms
from swift.rl_core.advantage import compute_advantages
from swift.rl_core.data import GRPOSample
from swift.rl_core.grpo_algorithm import score_completions
from swift.utils import import_external_file

plugin, dataset, given = sys.argv[1:]
given = json.loads(given)
import_external_file(plugin)
loaded, _ = load_dataset([dataset], num_proc=1, remove_unused_columns=False)
samples = []
for i, answer in given["answers"]:
    sample = GRPOSample.from_row(loaded[i])
    sample.messages = [*sample.messages, {"role": "assistant", "content": answer}]
    samples.append(sample)
rewards = score_completions(samples, [orms[name](args=None) for name in given["names"]], None, False, "cpu")
spread = torch.tensor([[s * 2**0.5, 0.0] for s in given["deviations"]]).view(-1, 1)
advantages, _ = compute_advantages(spread, torch.ones(1), 2)
print("RESULT" + json.dumps([rewards.tolist(), advantages.view(-1, 2)[:, 0].tolist()]))
"""
# All columns differ, so that a value says which of them was read. The active change is the target.
ROWS = [
    {"holding_t": 10.0, "label_delta": 3.0, "label_tp1": 13.0, "label_active": 1.0, "past_change": 2.0},
    {"holding_t": 40.0, "label_delta": -5.0, "label_tp1": 35.0, "label_active": -4.0, "past_change": 0.1},
]


def say(number: float | str) -> str:
    return f'<think>.</think><answer>{{"active_delta": {number}}}</answer>'


# Row and answer; the third and the last are below the bound, and the last but one is none.
ANSWERS = [(0, say(1)), (0, say(3)), (0, say(-11)), (1, say("-4.4")), (1, "none"), (1, say(-41))]
ERRORS = [0, 2, 12, 0.4, None, 37]
NAMES = ["contract_holdings", "mse_holdings", "scaled_mse_holdings", "scaled_mae_holdings", "direction_holdings",
         "crps_holdings"]  # fmt: skip
DEVIATIONS = [1.0, 1e-3, 1.1e-4, 0.9e-4, 1e-6]


def expected() -> np.ndarray:
    """By the formulas, with nothing of the workflow's."""
    known = np.array([np.nan if error is None else error for error in ERRORS], float)
    # Linear interpolation between the two largest of five: 12 + 0.8 * 25.
    batch_scale = 12 + 0.8 * 25
    # Past change 2 of the first row; of the second the floor, a hundredth of the position.
    row_scale = np.array([2, 2, 2, 0.4, 0.4, 0.4])
    silent = np.isnan(known)

    def squared(scale) -> np.ndarray:
        return np.where(silent, -1, 2 * (1 - np.minimum((known / scale) ** 2, 4) / 4) - 1)

    def bent(change) -> np.ndarray:
        return np.array(change) / (3 * row_scale + np.abs(change))

    return np.array(
        [
            [1, 1, -1, 1, -1, -1],
            squared(batch_scale),
            squared(row_scale),
            np.where(silent, -1, 2 / (1 + known / row_scale) - 1),
            [1, 1, -1, 1, -1, 1],
            np.where(silent, -1, 1 - np.abs(bent([1, 3, -11, -4.4, 0, -41]) - bent([1, 1, 1, -4, -4, -4]))),
        ]
    ).T


def test_ms_swift_pays_by_the_formulas(tmp_path):
    """A label column that is swapped, in the plugin or on the way through ms-swift's dataset, changes a value here."""
    messages = [{"role": "user", "content": "What next?"}]
    write_jsonl(
        tmp_path / "grpo.jsonl", [row | {"window_id": f"w{i}", "messages": messages} for i, row in enumerate(ROWS)]
    )
    settings = {"names": NAMES, "constants": {}, "target": "active_delta"}
    write_json(tmp_path / "reward_settings.json", settings)
    given = {"answers": ANSWERS, "names": NAMES, "deviations": DEVIATIONS}
    plugin = ROOT / "workflow_scripts/training/rewards_plugin.py"
    environment = swift_environment(
        ModelSettings(str(tmp_path)), HOLDINGS_REWARD_SETTINGS=str(tmp_path / "reward_settings.json")
    )
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, plugin, tmp_path / "grpo.jsonl", json.dumps(given)],
        capture_output=True, text=True, cwd=tmp_path, env=environment | {"MODELSCOPE_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rewards, advantages = json.loads(result.stdout.split("RESULT")[1])
    np.testing.assert_allclose(rewards, expected(), atol=1e-6)
    # The first of two answers that are s * sqrt(2) apart is s / sqrt(2) above their mean: s / (s + 1e-4) is left of it.
    left = np.array(advantages) * np.sqrt(2)
    assert left == pytest.approx([s / (s + 1e-4) for s in DEVIATIONS], rel=1e-3)
    paid = np.array([[s * np.sqrt(2), 0.0] for s in DEVIATIONS])
    dead = group_shares(paid, np.array([[0.0, 1.0]] * len(paid)))["dead_groups"]
    assert dead == np.mean(left < DEAD_BELOW) == 0.4, "the preflight's rule is ms-swift's division"


# Paid by the length of the completion, or all alike.
MINE = """
from swift.rewards import orms

orms["longer"] = lambda completions, **columns: [float(len(text)) for text in completions]
orms["equal"] = lambda completions, **columns: [0.5] * len(completions)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("reward", "moves"), [("longer", True), ("equal", False)])
def test_a_step_moves_the_weights_where_rewards_of_a_group_differ(training, tmp_path, reward, moves):
    """A new adapter is 0, by its second matrices; one step of GRPO changes them, but not where all earn the same."""
    (tmp_path / "mine.py").write_text(MINE)
    grpo = training("grpo", max_steps=1, warmup_ratio=0)
    settings = json.loads(grpo.command[grpo.command.index("--settings") + 1])
    settings["training"] |= {"rewards": [reward], "reward_weights": [1.0]}
    settings["rewards"] |= {"names": [reward], "constants": {}, "plugins": [str(tmp_path / "mine.py")]}
    grpo.finish("--settings", json.dumps(settings))
    (step,) = read_jsonl(tmp_path / "adapter/training_log.jsonl")
    assert (step["reward_std"] > 0) == moves, "otherwise the test asks nothing"
    weights = load_file(tmp_path / "adapter/adapter_model.safetensors")
    second = [abs(matrix).max() for name, matrix in weights.items() if "lora_B" in name]
    assert second
    assert all(value > 0 for value in second) if moves else not any(second)
