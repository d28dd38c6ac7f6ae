"""ms-swift external plugin: registers every reward of `holdings.rewards` under its own name.

The settings come from the JSON file that HOLDINGS_REWARD_SETTINGS names, because ms-swift refuses
command line flags that it does not know.
"""

import json
import os
from pathlib import Path

from swift.rewards import ORM, orms

from workflow_scripts.holdings.rewards import REWARD_COLUMNS, REWARDS, RewardSettings

SETTINGS = RewardSettings(**json.loads(Path(os.environ["HOLDINGS_REWARD_SETTINGS"]).read_text(encoding="utf-8")))


def _orm(name: str) -> type[ORM]:
    class HoldingsReward(ORM):
        def __init__(self, args=None, **kwargs):
            super().__init__(args, **kwargs)
            self.reward = REWARDS[name](SETTINGS)

        def __call__(self, completions, **columns):
            return self.reward(completions, *(columns[column] for column in REWARD_COLUMNS))

    # ms-swift logs a reward under its class name.
    HoldingsReward.__name__ = HoldingsReward.__qualname__ = name
    return HoldingsReward


orms.update({name: _orm(name) for name in REWARDS})
