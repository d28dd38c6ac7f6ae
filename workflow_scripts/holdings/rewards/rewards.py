"""The rewards by name, each in the module of its name: training, preflight and replays build and call them here.

A reward's module is found in this folder by its name, which ends with `_holdings`, and loaded when it is asked for: no
list has to name it, and an edit of one reward changes the code of no other. Its module has a function, a settings class
if it has constants, and `REWARD`.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.rewards.shared import LABEL, Reward
from workflow_scripts.holdings.texts.answers import AnswerName, Contract
from workflow_scripts.holdings.texts.targets import TARGETS, TargetName

# Rewards of the user's own; training/own_rewards.py puts them here.
OWN_REWARDS: dict[str, Reward] = {}
REWARD_NAMES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*_holdings.py")))


@dataclass(frozen=True)
class RewardSettings:
    """The rewards that a job uses, the constants of those that have some, and what the prompts ask for.

    `target`, `think` and `answer` are those of the contract. `plugins` are the files that register the user's own
    rewards among them.
    """

    names: Sequence[str]
    constants: Mapping[str, Mapping[str, Any]]
    target: TargetName = "holding_delta"
    think: bool = True
    plugins: Sequence[str] = ()
    answer: AnswerName = "number"

    @property
    def contract(self) -> Contract:
        """What a completion must look like."""
        return Contract(self.target, self.think, self.answer)


def module_of(name: str) -> str:
    """The module of a reward."""
    return f"workflow_scripts.holdings.rewards.{name}"


def modules_of(names: Sequence[str]) -> list[str]:
    """The modules of the workflow's own among the rewards, whose digests are part of a training's fingerprint."""
    return [module_of(name) for name in names if name in REWARD_NAMES]


def reward_of(name: str) -> Reward:
    """The reward of a name; ModuleNotFoundError for one that there is not."""
    return OWN_REWARDS[name] if name in OWN_REWARDS else importlib.import_module(module_of(name)).REWARD


def constants_of(name: str, section: object) -> dict[str, Any]:
    """The constants of a reward, taken from a settings object that has those of all rewards."""
    return {one.name: getattr(section, one.name) for one in fields(reward_of(name).settings)}


def build(name: str, settings: RewardSettings) -> Callable[..., list[float]]:
    """The function of a reward with its constants; one without an entry has its defaults."""
    reward = reward_of(name)
    return reward.build(reward.settings(**settings.constants.get(name, {})), settings.contract)


def _columns(name: str, target: str) -> list[str]:
    """Columns that a reward asks for; one of the user's own asks for none and is given all."""
    if name not in REWARD_NAMES:
        return []
    return [TARGETS[target].label if column == LABEL else column for column in reward_of(name).columns]


def reads_label(names: Sequence[str]) -> bool:
    """Whether one of the named rewards looks at the truth; one of the user's own is taken to do so."""
    return any(name not in REWARD_NAMES or LABEL in reward_of(name).columns for name in names)


def is_self_scaled(names: Sequence[str]) -> bool:
    """Whether one of the named rewards is scaled by errors that it scores; of the user's own nobody knows: False."""
    return any(name in REWARD_NAMES and reward_of(name).self_scaled for name in names)


def reward_columns(names: Sequence[str], target: str) -> list[str]:
    """The dataset columns that the named rewards need for a target."""
    return sorted({column for name in names for column in _columns(name, target)})


def score(
    reward: Callable[..., list[float]],
    name: str,
    completions: Sequence[str],
    columns: Mapping[str, Sequence],
    target: str,
) -> list[float]:
    """Call a built reward with its columns of a batch; one of the user's own takes all of them by their names."""
    if name not in REWARD_NAMES:
        return reward(completions, **columns)
    return reward(completions, *(columns[column] for column in _columns(name, target)))


def replay(
    name: str, settings: RewardSettings, completions: Sequence[str], columns: Mapping[str, Sequence], batch: int
) -> NDArray[np.float64]:
    """Rewards of completions, shape (n,), by one newly built reward in consecutive batches of `batch`."""
    reward = build(name, settings)
    parts = [
        score(
            reward,
            name,
            completions[i : i + batch],
            {key: column[i : i + batch] for key, column in columns.items()},
            settings.target,
        )
        for i in range(0, len(completions), batch)
    ]
    return np.concatenate([np.asarray(part, float) for part in parts])
