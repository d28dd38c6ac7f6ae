"""ms-swift external plugin: registers the rewards of a training under their own names.

The settings come from the JSON file that HOLDINGS_REWARD_SETTINGS names, because ms-swift refuses
command line flags that it does not know. Beside that file, a reward with moving averages keeps a log of them by
step and process, so that a resumed training goes on with those of its checkpoint.
"""

import json
import os
from pathlib import Path
from typing import Protocol, runtime_checkable

from swift.rewards import ORM, orms

from workflow_scripts.holdings.rewards.rewards import OWN_REWARDS, RewardSettings, build, score
from workflow_scripts.training.own_rewards import load_rewards

SETTINGS_FILE = Path(os.environ["HOLDINGS_REWARD_SETTINGS"])
SETTINGS = RewardSettings(**json.loads(SETTINGS_FILE.read_text(encoding="utf-8")))


@runtime_checkable
class StatefulReward(Protocol):
    """A reward that remembers earlier calls, such as one with moving averages."""

    def state(self) -> dict:
        """What it remembers, as `restore` takes it."""

    def restore(self, state: dict) -> None:
        """Go on from what an earlier process remembered."""


class AverageLog:
    """The moving averages of one process after every reward call, with the optimizer step of the call."""

    def __init__(self, name: str) -> None:
        self.path = SETTINGS_FILE.with_name(f"{name}.rank{os.environ.get('RANK', '0')}.jsonl")
        self.opened = False

    def open(self, reward: StatefulReward, step: int) -> None:
        """Before the first call: restore what was known at `step`, forget what a stopped run did after it."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        # A kill can cut the last line short; it is then later than any checkpoint.
        entries = [json.loads(line) for line in lines if line.endswith("}")]
        kept = [entry for entry in entries if entry["step"] < step]
        if kept:
            reward.restore(kept[-1])
        # No helper of the project: what this module imports is part of the fingerprint.
        self.path.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
        self.opened = True

    def append(self, reward: StatefulReward, step: int) -> None:
        """After a call: write the averages down at once."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **reward.state()}) + "\n")


def _orm(name: str) -> type[ORM]:
    class HoldingsReward(ORM):
        def __init__(self, args: object = None, **kwargs: object) -> None:
            super().__init__(args, **kwargs)
            self.reward = build(name, SETTINGS)
            self.log = AverageLog(name) if isinstance(self.reward, StatefulReward) else None

        # The columns have no type: an import of Any would change this module's code, and train GRPO again.
        def __call__(self, completions: list[str], **columns) -> list[float]:  # type: ignore[no-untyped-def]
            if self.log is None:
                return score(self.reward, name, completions, columns, SETTINGS.target)
            step = columns["trainer_state"].global_step
            if not self.log.opened:
                self.log.open(self.reward, step)
            before = self.reward.state()
            values = score(self.reward, name, completions, columns, SETTINGS.target)
            if "held_out" in columns:
                # A validation must change nothing of what the training goes on with.
                self.reward.restore(before)
            else:
                self.log.append(self.reward, step)
            return values

    # ms-swift logs a reward under its class name.
    HoldingsReward.__name__ = HoldingsReward.__qualname__ = name
    return HoldingsReward


# The user's own register themselves, and ms-swift builds and calls them as it does its own.
load_rewards(SETTINGS.plugins, SETTINGS.names)
orms.update({name: _orm(name) for name in SETTINGS.names if name not in OWN_REWARDS})
