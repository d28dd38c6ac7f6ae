"""Which forecasters are compared with each other."""

from workflow_scripts.holdings.forecasts.baselines import BASELINES
from workflow_scripts.holdings.forecasts.stages import STAGES, stage_pairs

*_EARLIER, _LAST = STAGES
# The stages with each other, each with no-change, and the last one with every baseline. Each pair more costs power,
# because the summary corrects for all of them.
PAIRS = (
    *stage_pairs(),
    *(("no_change", stage) for stage in _EARLIER),
    *((baseline, _LAST) for baseline in BASELINES),
)
