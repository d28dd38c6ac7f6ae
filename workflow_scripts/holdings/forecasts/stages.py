"""Which forecasters are compared with each other."""

from workflow_scripts.holdings.forecasts.baselines import BASELINES

# The stages with each other, each with no-change, and the last one with every baseline. Each pair more costs power,
# because the summary corrects for all of them.
PAIRS = (
    ("base", "sft"),
    ("sft", "grpo"),
    ("base", "grpo"),
    ("no_change", "base"),
    ("no_change", "sft"),
    *((baseline, "grpo") for baseline in BASELINES),
)
