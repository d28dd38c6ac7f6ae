"""The user's own rewards: files that register functions or classes in ms-swift's `orms`, as its own plugins do.

Training, preflight and replay load them by the same function. A file is all of a reward: no folder is added to Python's
path, so that a helper beside it cannot be imported, and its bytes are what a fingerprint covers.

No import here but what a training of GRPO may depend on.
"""

import asyncio
import importlib.util
import inspect
import os
from collections.abc import Callable, Sequence

from workflow_scripts.holdings.rewards.rewards import OWN_REWARDS, REWARD_NAMES
from workflow_scripts.holdings.rewards.shared import Reward
from workflow_scripts.plumbing.errors import InputError


def load_rewards(paths: Sequence[str], names: Sequence[str]) -> None:
    """Run the files `paths` and make what they register known to `holdings/rewards`, and to ms-swift by its name.

    InputError for a file that cannot be run, for a name that the workflow has itself, and for one of `names` that
    nobody registers. Nothing happens without files.
    """
    if not paths:
        return
    # ms-swift would log the folder of its cache and more.
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    from swift.rewards import ORM, orms

    for number, path in enumerate(paths):
        before = dict(orms)
        _run(path, f"own_rewards_{number}")
        for name in [name for name, found in orms.items() if before.get(name) is not found]:
            if name in REWARD_NAMES:
                raise InputError(f"{path}: {name} is a reward of the workflow; register yours under another name")
            found = orms[name]
            # ms-swift logs a reward under the name of its class.
            body = {} if inspect.isclass(found) else {"__call__": staticmethod(found)}
            orms[name] = type(name, (found if inspect.isclass(found) else ORM,), body)
            OWN_REWARDS[name] = Reward(_builder(path, name, orms[name]), ())
    unknown = [name for name in names if name not in REWARD_NAMES and name not in OWN_REWARDS]
    if unknown:
        raise InputError(
            f"{', '.join(unknown)} is no reward: {', '.join(paths)} register {', '.join(OWN_REWARDS) or 'none'}, and "
            f"the workflow has {', '.join(REWARD_NAMES)}"
        )


def _run(path: str, module_name: str) -> None:
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: is no Python file; rewards.plugins names files that end with .py")
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception as error:
        raise InputError(
            f"{path}: {type(error).__name__}: {error}; a file of rewards imports installed packages alone, and "
            "registers its rewards by `from swift.rewards import orms`, orms['my_reward'] = my_reward"
        ) from error


def _builder(path: str, name: str, cls: type) -> Callable[..., Callable[..., list[float]]]:
    """How a reward is built where ms-swift does not do it: in preflight and replay."""

    def build(settings: object, target: str) -> Callable[..., list[float]]:
        reward = cls(args=None)

        def call(completions: Sequence[str], **columns: object) -> list[float]:
            try:
                values = reward(completions, trainer_state=None, **columns)
                values = asyncio.run(values) if inspect.iscoroutine(values) else values
                # ms-swift leaves a reward that is None out of the sum.
                values = [float("nan") if value is None else float(value) for value in values]
            except Exception as error:
                raise InputError(
                    f"{path}: {name} has failed with {type(error).__name__}: {error}; it is called with the "
                    f"completions and, by their names, lists of the dataset's columns ({', '.join(columns)}) and "
                    "trainer_state"
                ) from error
            if len(values) != len(completions):
                raise InputError(f"{path}: {name} gave {len(values)} rewards for {len(completions)} completions")
            return values

        return call

    return build
