"""Training curves are the trainer's own numbers, and a training that went wrong is told."""

import re

import pytest

from workflow_scripts.holdings.report.training_curves import sick_signs, training_curve


def log(steps: int = 8, **values) -> list[dict]:
    """Entries of a healthy GRPO log; `values` gives functions of the step for single keys."""
    healthy = {
        "loss": lambda i: 0.1,
        "reward": lambda i: 0.1 * i,
        "reward_std": lambda i: 0.2,
        "frac_reward_zero_std": lambda i: 0.1,
        "kl": lambda i: 0.01 * i,
        "completions/mean_length": lambda i: 30.0,
        "completions/clipped_ratio": lambda i: 0.0,
        "rewards/contract_holdings/mean": lambda i: 0.9,
        "rewards/contract_holdings/std": lambda i: 0.1,
    }
    return [
        {"global_step/max_steps": f"{i}/{steps}", **{k: f(i) for k, f in {**healthy, **values}.items()}}
        for i in range(1, steps + 1)
    ]


def test_columns_are_those_of_the_log():
    curve = training_curve(log(3))
    assert curve["step"].tolist() == [1, 2, 3]
    assert curve["kl"].tolist() == [0.01, 0.02, 0.03]
    assert "reward_contract_holdings" in curve
    assert "entropy" not in curve
    assert sick_signs(training_curve(log())) == []


@pytest.mark.parametrize(
    ("values", "sign"),
    [
        ({"frac_reward_zero_std": lambda i: 0.8}, "all rewards are equal"),
        ({"kl": lambda i: 0.4 * i}, "KL divergence .* has grown to 3"),
        ({"completions/clipped_ratio": lambda i: 0.5}, "50% of the last completions are cut off"),
        ({"rewards/contract_holdings/mean": lambda i: 1 - 0.1 * i}, "obey the contract has fallen by 30%"),
        ({"reward": lambda i: -i}, "the reward has fallen"),
        ({"loss": lambda i: float("nan") if i > 6 else 1.0}, "no number in 2 steps, first in step 7"),
    ],
)
def test_signs(values, sign):
    signs = sick_signs(training_curve(log(**values)))
    assert len(signs) == 1
    assert re.search(sign, signs[0])


def test_a_rising_loss_of_sft():
    entries = [{"global_step/max_steps": f"{i}/4", "loss": float(i), "token_acc": 0.5} for i in range(1, 5)]
    assert sick_signs(training_curve(entries)) == ["the loss has risen from 1 to 4"]
    assert sick_signs(training_curve(entries[:1])) == []
