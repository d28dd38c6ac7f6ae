"""contract_holdings: does a completion obey the output contract? One of the published recipe's two rewards."""

import functools
from collections.abc import Sequence

from workflow_scripts.holdings.rewards.shared import Reward, parse


def contract_reward(
    completions: Sequence[str], holding_t: Sequence[float | None], target: str = "holding_delta", think: bool = True
) -> list[float]:
    """+1 where the completion obeys the output contract exactly and the bound holds, else -1.

    `think` is whether the contract asks for a think block; where it does not, one breaks it.

    >>> contract_reward(['<think></think><answer>{"holding_delta": 1.0}</answer>', "1.0"], [5.0, 5.0])
    [1.0, -1.0]
    """
    return [1.0 if parsed.valid else -1.0 for parsed in parse(completions, holding_t, target, think)]


REWARD = Reward(
    lambda settings, target: functools.partial(contract_reward, target=target), ("holding_t",), judges_form=True
)
