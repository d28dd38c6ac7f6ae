"""What ms-swift calls: rewards under their names, on the label of the target, with averages that survive a resume."""

import importlib
import json
import sys
import types
from types import SimpleNamespace

import pytest

from workflow_scripts.holdings.rewards.rewards import RewardSettings, build
from workflow_scripts.plumbing.files import read_jsonl, write_json
from workflow_scripts.training.trainer import REWARDS_PLUGIN

NAMES = ["direction_holdings", "external_holdings"]
CONSTANTS = {"direction_holdings": {"dead_band": 0.2}}


class ORM:
    """As ms-swift's."""

    def __init__(self, args=None, **kwargs):
        self.args = args


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Load the plugin as a trainer's process does, once for each process; gives the rewards that it registers."""
    monkeypatch.setenv("HOLDINGS_REWARD_SETTINGS", str(tmp_path / "reward_settings.json"))

    def load(names=NAMES, target="active_delta") -> dict:
        settings = {"names": names, "constants": CONSTANTS, "target": target}
        write_json(tmp_path / "reward_settings.json", settings)
        module = types.ModuleType("swift.rewards")
        module.ORM, module.orms = ORM, {}
        monkeypatch.setitem(sys.modules, "swift", types.ModuleType("swift"))
        monkeypatch.setitem(sys.modules, "swift.rewards", module)
        monkeypatch.delitem(sys.modules, REWARDS_PLUGIN, raising=False)
        importlib.import_module(REWARDS_PLUGIN)
        return {name: reward(args=None) for name, reward in module.orms.items()}

    yield load
    sys.modules.pop(REWARDS_PLUGIN, None)


def say(number: float) -> str:
    return f'<think>x</think><answer>{{"active_delta": {number}}}</answer>'


def columns(step: int) -> dict:
    """Columns of a batch as ms-swift passes them: the labels of both changes, which differ in their sign."""
    return {
        "holding_t": [5.0, 5.0],
        "label_delta": [-1.0, -1.0],
        "label_active": [1.0, 2.0],
        "past_change": [1.0, 1.0],
        "trainer_state": SimpleNamespace(global_step=step),
        "finish_reason": ["stop", "stop"],
    }


def test_rewards_are_registered_under_their_names_with_the_label_of_the_target(plugin):
    rewards = plugin()
    assert list(rewards) == NAMES
    # ms-swift logs a reward under the name of its class.
    assert [type(reward).__name__ for reward in rewards.values()] == NAMES
    batch = columns(0)
    # The dead band is a fifth of the position: 1 is flat, 2 is not.
    assert rewards["direction_holdings"]([say(2), say(2)], **batch) == [0.0, 1.0]
    expected = build("external_holdings", RewardSettings(NAMES, {}, "active_delta"))
    answers = [say(1), say(3)]
    assert rewards["external_holdings"](answers, **batch) == expected(answers, [5.0, 5.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("target", "errors"), [("active_delta", (1.0, 6.0)), ("holding_delta", (2.0, 2.0)), ("holding_tp1", (3.0, 13.0))]
)
def test_each_reward_pays_by_its_formula_on_the_label_of_its_target(plugin, target, errors):
    """All columns differ, so that one that is read in another's place changes the values. No code of the rewards'."""
    names = ["contract_holdings", "mse_holdings", "scaled_mse_holdings", "scaled_mae_holdings", "crps_holdings"]
    rewards = plugin(names, target)
    batch = {
        "holding_t": [5.0, 11.0],
        "label_delta": [1.0, -4.0],
        "label_tp1": [6.0, 7.0],
        "label_active": [2.0, 0.0],
        "past_change": [4.0, 3.0],
        "trainer_state": SimpleNamespace(global_step=0),
    }
    texts = [f'<think>x</think><answer>{{"{target}": {number}}}</answer>' for number in (3, -6)]
    # A position of -6 in place of a change to 5 is below the bound.
    assert rewards["contract_holdings"](texts, **batch) == [1.0, -1.0 if target == "holding_tp1" else 1.0]
    scale = errors[0] + 0.95 * (errors[1] - errors[0])
    by_batch, by_row = ([(e / s) ** 2 for e, s in zip(errors, scales, strict=True)]
                        for scales in ((scale, scale), (4.0, 3.0)))  # fmt: skip
    for name, squares in (("mse_holdings", by_batch), ("scaled_mse_holdings", by_row)):
        assert rewards[name](texts, **batch) == pytest.approx([1 - min(x, 4) / 2 for x in squares]), name
    assert rewards["scaled_mae_holdings"](texts, **batch) == pytest.approx([2 / (1 + x**0.5) - 1 for x in by_row])
    # Of one number: how far apart forecast and truth are when bent at three times the row's scale, 4 and 3.
    changes = [3.0 - 5.0, -6.0 - 11.0] if target == "holding_tp1" else [3.0, -6.0]
    true = batch["label_active" if target == "active_delta" else "label_delta"]
    bent = [[x / (3 * s + abs(x)) for x, s in zip(xs, (4.0, 3.0), strict=True)] for xs in (changes, true)]
    assert rewards["crps_holdings"](texts, **batch) == pytest.approx(
        [1 - abs(a - b) for a, b in zip(*bent, strict=True)]
    )


def test_averages_go_on_from_the_checkpoint(plugin, tmp_path):
    answers = [[say(number), say(-number)] for number in range(1, 6)]

    def score(reward, steps) -> list:
        return [reward(answers[step], **columns(step)) for step in steps]

    expected = score(plugin()["external_holdings"], range(5))
    # Killed after the call of step 3, amid the line of its averages; its newest checkpoint is that of 2 steps.
    log = tmp_path / "external_holdings.rank0.jsonl"
    log.unlink()
    score(plugin()["external_holdings"], range(4))
    log.write_text(log.read_text() + '{"step": 4, "mean_err')
    resumed = score(plugin()["external_holdings"], range(2, 5))
    assert resumed == expected[2:]
    assert [entry["step"] for entry in read_jsonl(log)] == list(range(5)), "every step once"


def test_each_process_keeps_its_own_averages(plugin, tmp_path, monkeypatch):
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        plugin()["external_holdings"]([say(int(rank)), say(2)], **columns(0))
    kept = [json.loads((tmp_path / f"external_holdings.rank{rank}.jsonl").read_text()) for rank in (0, 1)]
    assert kept[0]["mean_error"] == 0.5
    assert kept[1]["mean_error"] == 0.0


def test_a_validation_leaves_the_averages_as_they_were(plugin, tmp_path):
    """Otherwise how often a training is validated would change its rewards, and what a resume goes on with."""
    reward = plugin()["external_holdings"]
    texts = [say(1.0), say(4.0)]
    reward(texts, **columns(0))
    before, lines = reward.reward.state(), (tmp_path / "external_holdings.rank0.jsonl").read_text()
    values = reward([say(9.0), say(-4.0)], **columns(1), held_out=[True, True])
    assert len(values) == 2
    assert reward.reward.state() == before
    assert (tmp_path / "external_holdings.rank0.jsonl").read_text() == lines
