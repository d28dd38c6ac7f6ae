"""contract_holdings: does a completion obey the output contract? One of the published recipe's two rewards."""

import functools
from collections.abc import Sequence

from workflow_scripts.holdings.rewards.shared import Reward, parse
from workflow_scripts.holdings.texts.answers import Contract


def contract_reward(
    completions: Sequence[str], holding_t: Sequence[float | None], contract: Contract = Contract()
) -> list[float]:
    """+1 where the completion obeys the output contract exactly and the bound holds, else -1.

    >>> contract_reward(['<think></think><answer>{"holding_delta": 1.0}</answer>', "1.0"], [5.0, 5.0])
    [1.0, -1.0]
    """
    return [1.0 if parsed.valid else -1.0 for parsed in parse(completions, holding_t, contract)]


REWARD = Reward(lambda settings, contract: functools.partial(contract_reward, contract=contract), ("holding_t",))
