"""The rewards by name, each in the module of its name: training, preflight and replays build and call them here.

A reward's module is found in this folder by its name, which ends with `_holdings`, and loaded when it is asked for: no
list has to name it, and an edit of one reward changes the code of no other. Its module has a function, a settings class
if it has constants, and `REWARD`.
"""

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.rewards.shared import LABEL, Reward
from workflow_scripts.holdings.texts.targets import TARGETS

REWARD_NAMES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*_holdings.py")))


@dataclass(frozen=True)
class RewardSettings:
    """The rewards that a job uses, the constants of those that have some, and what the prompts ask for.

    `target` is the number, `think` whether a think block comes before it.
    """

    names: Sequence[str]
    constants: Mapping[str, Mapping[str, Any]]
    target: str = "holding_delta"
    think: bool = True


def module_of(name: str) -> str:
    """The module of a reward, whose digest is part of a training's fingerprint."""
    return f"workflow_scripts.holdings.rewards.{name}"


def reward_of(name: str) -> Reward:
    """The reward of a name; ModuleNotFoundError for one that there is not."""
    return importlib.import_module(module_of(name)).REWARD


def constants_of(name: str, section: object) -> dict[str, Any]:
    """The constants of a reward, taken from a settings object that has those of all rewards."""
    return {one.name: getattr(section, one.name) for one in fields(reward_of(name).settings)}


def build(name: str, settings: RewardSettings) -> Callable[..., list[float]]:
    """The function of a reward with its constants; one without an entry has its defaults."""
    reward = reward_of(name)
    function = reward.build(reward.settings(**settings.constants.get(name, {})), settings.target)
    return functools.partial(function, think=settings.think) if reward.judges_form else function


def _columns(name: str, target: str) -> list[str]:
    return [TARGETS[target].label if column == LABEL else column for column in reward_of(name).columns]


def reads_label(names: Sequence[str]) -> bool:
    """Whether one of the named rewards looks at the truth."""
    return any(LABEL in reward_of(name).columns for name in names)


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
    """Call a built reward with its columns of a batch."""
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
