"""Rewards of one's own: registered as ms-swift's plugins are, and called alike in training, preflight and replay."""

import sys
import types

import numpy as np
import pytest

from workflow_scripts.holdings.rewards import rewards
from workflow_scripts.holdings.rewards.preflight import check_preflight, preflight_table
from workflow_scripts.holdings.rewards.rewards import RewardSettings, reads_label, replay, reward_columns
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.training.own_rewards import load_rewards

FILE = """
from swift.rewards import ORM, orms

def near(completions, holding_t, label_delta, **columns):
    return [-abs(float(text.split(": ")[1].split("}")[0]) - true) if text.endswith("</answer>") else -100.0
            for text, true in zip(completions, label_delta)]

class Brief(ORM):
    def __call__(self, completions, **columns):
        assert columns["messages"][0] and columns["trainer_state"] is None
        return [1 / (1 + len(text)) if text else None for text in completions]

async def later(completions, **columns):
    return [0.5] * len(completions)

orms.update(near=near, brief=Brief, later=later)
"""


class ORM:
    """As ms-swift's."""

    def __init__(self, args=None, **kwargs):
        self.args = args


@pytest.fixture
def orms(monkeypatch) -> dict:
    """ms-swift's table of rewards, and none of the user's own known yet."""
    module = types.ModuleType("swift.rewards")
    module.ORM, module.orms = ORM, {"accuracy": ORM}
    monkeypatch.setitem(sys.modules, "swift", types.ModuleType("swift"))
    monkeypatch.setitem(sys.modules, "swift.rewards", module)
    monkeypatch.setattr(rewards, "OWN_REWARDS", {})
    monkeypatch.setattr("workflow_scripts.training.own_rewards.OWN_REWARDS", rewards.OWN_REWARDS)
    return module.orms


def written(tmp_path, text: str = FILE) -> str:
    path = tmp_path / "my_rewards.py"
    path.write_text(text)
    return str(path)


def columns(n: int) -> dict:
    return {"holding_t": [5.0] * n, "label_delta": [1.0] * n, "messages": [[{"role": "user"}]] * n}


def test_functions_classes_and_coroutines_are_called_as_ms_swift_calls_them(orms, tmp_path):
    names = ["near", "brief", "later"]
    load_rewards([written(tmp_path)], names)
    for name in names:
        # What ms-swift does: build by the class, log under its name.
        assert orms[name](args=None).__class__.__name__ == name
    assert orms["near"](args="x")(["a: 3}</answer>"], trainer_state=None, **columns(1)) == [-2.0]
    settings = RewardSettings(names, {})
    assert replay("near", settings, ["a: 3}</answer>", "a: 1}</answer>", "x"], columns(3), 2).tolist() == [
        -2.0,
        0.0,
        -100.0,
    ]
    # None is left out of a sum by ms-swift, and of a mean here.
    np.testing.assert_array_equal(replay("brief", settings, ["abc", ""], columns(2), 8), [0.25, np.nan])
    assert replay("later", settings, ["", ""], columns(2), 8).tolist() == [0.5, 0.5]
    assert reward_columns(["near", "mse_holdings"], "holding_delta") == ["holding_t", "label_delta"]
    assert reads_label(["near"])


def test_the_preflight_judges_them(orms, tmp_path):
    load_rewards([written(tmp_path)], ["near"])
    rng = np.random.default_rng(0)
    rows = [
        {"holding_t": 9.0, "label_delta": float(change), "past_change": 1.0, "messages": [{}]}
        for change in rng.normal(0, 1, 20).round(2)
    ]
    settings = RewardSettings(["near"], {})
    table = preflight_table(rows, settings, [1.0], 4, 8, np.random.default_rng(1))
    check_preflight(table, ["near"])
    assert table.set_index(["policy", "reward"])["mean"]["oracle", "total"] == 0.0
    with pytest.raises(InputError, match="pay the oracle"):
        check_preflight(preflight_table(rows, settings, [-1.0], 4, 8, np.random.default_rng(1)), ["near"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import no_such_helper",
            "my_rewards.py: ModuleNotFoundError: No module named 'no_such_helper'; a file of rewards",
        ),
        ("1 / 0", "my_rewards.py: ZeroDivisionError"),
        ("def f(:", "my_rewards.py: SyntaxError"),
        (
            "from swift.rewards import orms\norms['mse_holdings'] = len",
            "mse_holdings is a reward of the workflow; regis",
        ),
        ("x = 1", "mine is no reward: .*my_rewards.py register none, and the workflow has contract_holdings, crps"),
        ("from swift.rewards import orms\norms['mien'] = len", "mine is no reward: .* register mien, and"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_the_remedy(orms, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_rewards([written(tmp_path, text)], ["mine", "mse_holdings"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return [1.0]", "mine gave 1 rewards for 2 completions"),
        ("return columns['label']", r"mine has failed with KeyError: 'label'; .* \(holding_t, label_delta, messages\)"),
        ("return ['good'] * 2", "mine has failed with ValueError"),
    ],
)
def test_a_reward_that_fails_says_which_and_what_it_was_given(orms, tmp_path, body, message):
    text = f"from swift.rewards import orms\ndef mine(completions, **columns):\n    {body}\norms['mine'] = mine\n"
    load_rewards([written(tmp_path, text)], ["mine"])
    with pytest.raises(InputError, match=message):
        replay("mine", RewardSettings(["mine"], {}), ["a", "b"], columns(2), 8)


def test_without_files_ms_swift_is_not_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "swift", None)
    load_rewards([], ["mse_holdings"])
