"""Which forecasters are compared with each other, and which comparisons a run is made for."""

from collections.abc import Sequence

from workflow_scripts.holdings.forecasts.baselines import BASELINES, NO_CHANGE
from workflow_scripts.holdings.forecasts.forecasters import own_forecasters
from workflow_scripts.holdings.forecasts.stages import STAGES, TRAINED_STAGES, stage_pairs


def forecaster_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """(baseline, candidate) for the forecasters of a run, whose `names` are given.

    The stages with each other, each with no-change, and the last one with every baseline; each of the user's own with
    no-change and with the last stage, or with every baseline where no stage is evaluated. Each pair more costs power,
    because the summary corrects for all of them.

    >>> forecaster_pairs(["no_change", "ridge", "sft", "mine"])
    [('no_change', 'sft'), ('ridge', 'sft'), ('no_change', 'mine'), ('mine', 'sft')]
    """
    baselines, stages = ([name for name in group if name in names] for group in (BASELINES, STAGES))
    own = own_forecasters(names)
    earlier, last = stages[:-1], stages[-1:]
    pairs = [
        *stage_pairs(stages),
        *((NO_CHANGE, stage) for stage in earlier),
        *((baseline, stage) for stage in last for baseline in baselines),
        *((NO_CHANGE, one) for one in own),
        *((one, stage) for stage in last for one in own),
    ]
    if not stages:
        pairs += [(baseline, one) for one in own for baseline in baselines if baseline != NO_CHANGE]
    return pairs


def combined_pairs(names: Sequence[str], best: str) -> list[tuple[str, str]]:
    """(baseline, candidate): what each model and each of the user's own may add to the baseline `best`.

    >>> combined_pairs(["no_change", "ridge", "base", "sft", "mine"], "ridge")
    [('ridge', 'base'), ('ridge', 'sft'), ('ridge', 'mine')]
    """
    models = [name for name in STAGES if name in names]
    return [(best, one) for one in (*models, *own_forecasters(names)) if best in names]


def primary_pairs(names: Sequence[str], best: str) -> list[tuple[str, str]]:
    """(baseline, candidate) of the questions that a run asks first, few, so that correcting for them costs little.

    Is the last stage better than no-change, than the baseline `best`, than the trained stage before it? Without a stage
    the first two are asked of each of the user's own forecasters.

    >>> primary_pairs(["no_change", "ridge", "base", "sft", "grpo"], "ridge")
    [('no_change', 'grpo'), ('ridge', 'grpo'), ('sft', 'grpo')]
    """
    stages = [name for name in STAGES if name in names]
    before = [name for name in stages[:-1] if name in TRAINED_STAGES][-1:]
    return [
        (rival, candidate)
        for candidate in stages[-1:] or own_forecasters(names)
        for rival in (NO_CHANGE, best, *before)
        if rival in names
    ]
