"""Training curves are the trainer's own numbers, and a training that went wrong is told."""

import re

import matplotlib.pyplot as plt
import pytest

from workflow_scripts.holdings.report.dictionary import column_of_data
from workflow_scripts.holdings.report.training_curves import COLUMNS, plot_training, sick_signs, training_curve


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


def test_every_column_is_described():
    """Those of a validation, too, which the run of docs/columns.md has not."""
    curve = training_curve(log(2, **dict.fromkeys(COLUMNS.values(), float)))
    assert {"step", *COLUMNS} <= set(curve)
    assert all(column_of_data(name)[1] for name in curve)


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


def validated(*losses: float) -> list[dict]:
    """A log of every second step, and a validation of every third, as ms-swift writes them."""
    trained = {i: {"loss": 2.0 - 0.1 * i, "learning_rate": 0.1} for i in range(2, 3 * len(losses) + 1, 2)}
    held = {3 * (i + 1): {"eval_loss": loss} for i, loss in enumerate(losses)}
    return [
        {"global_step/max_steps": f"{i}/99", **trained.get(i, {}), **held.get(i, {})} for i in sorted({*trained, *held})
    ]


def test_a_validation_between_two_logged_steps_is_no_broken_loss():
    curve = training_curve(validated(1.0, 0.9, 0.8))
    assert curve.set_index("step")["validation_loss"].dropna().to_dict() == {3: 1.0, 6: 0.9, 9: 0.8}
    assert sick_signs(curve) == []
    broken = [entry | ({"loss": float("nan")} if "loss" in entry else {}) for entry in validated(1.0, 0.9, 0.8)]
    assert "no number in 4 steps, first in step 2" in sick_signs(training_curve(broken))[0]


def test_a_validation_that_was_better_before_is_told():
    (sign,) = sick_signs(training_curve(validated(1.0, 0.5, 0.9)))
    assert sign.startswith("the validation's loss was best in step 6 (0.5) and is 0.9 at the end")
    rewards = log(4, eval_reward=lambda i: -0.5 + (i == 2))
    (sign,) = sick_signs(training_curve(rewards))
    assert "validation's reward was best in step 2 (0.5) and is -0.5" in sign


def test_the_figure_has_both_lines(tmp_path, monkeypatch):
    lines = {}
    close = plt.close

    def look(figure):
        for axes in figure.axes:
            lines[axes.get_title()] = {str(line.get_label()): list(line.get_xdata()) for line in axes.get_lines()}
        close(figure)

    monkeypatch.setattr(plt, "close", look)
    plot_training(training_curve(validated(1.0, 0.9)), "title", tmp_path / "sft")
    assert lines["loss"] == {"loss": [2, 4, 6], "validation loss": [3, 6]}
