"""What each figure shows: its title, what to see in it, and a text for who cannot see it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """Title; what to see; how the figure looks, in words."""

    title: str
    text: str
    alt: str


CAPTIONS = {
    "answer": Caption(
        "The model beside its rivals",
        "Right of the line is a smaller error than that of no change; 0.1 is a tenth less. The bars are intervals: "
        "where one crosses the line, the forecaster may be no better than no change. The difference between two "
        "points has an interval of its own, which the sentences above give.",
        "Points with intervals, by firm type: skill of the models and of the best baseline against no change",
    ),
    "differences": Caption(
        "The runs beside the one that they are compared with",
        "The line is that run. Left of it in the first panel is a smaller error, in per cent of its error; right of it "
        "in the second a better ranking. Where an interval crosses the line, no difference is shown.",
        "Points with intervals, by firm type: difference of each run's error and RankIC from those of one run",
    ),
    "curve": Caption(
        "Skill over the grid",
        "Above the dotted line is better than no change. A line that still rises at its right end says that more would "
        "help; the intervals are each point's own, and the differences between runs stand in the tables.",
        "Lines with intervals, by firm type: skill against no change over a setting on a logarithmic axis",
    ),
    "skill": Caption(
        "All forecasters",
        "Above the line is better than no change. The upper panel is the headline; in the lower one a few giant "
        "positions decide. An arrow stands for a skill outside the panel.",
        "Points with intervals, by firm type: skill of every forecaster, above of the active change, below of the "
        "dollar change",
    ),
    "metrics_by_quarter": Caption(
        "Skill and ranking by quarter",
        "A model that is better in one quarter alone was lucky or met an unusual quarter: look for lines that stay "
        "above 0.",
        "Lines over the test quarters: skill and relative RankIC of the models and the best baseline",
    ),
    "ic_by_quarter": Caption(
        "Correlation by quarter",
        "Bars are quarters, the dashed line is their mean, the band its interval: a band that holds 0 shows no "
        "correlation.",
        "Bars by quarter: correlation of forecast and truth of each forecaster, with mean and band",
    ),
    "metrics_by_size": Caption(
        "Skill by size of the position",
        "Does a forecaster live on small or on giant positions? 1 is the tenth with the smallest positions.",
        "Lines over the ten size groups of positions: skill of the models and the best baseline",
    ),
    "forecast_truth": Caption(
        "Forecasts against truth",
        "On the dashed line a forecast is right. A slope of 1 is perfect; below 1 the forecasts are too bold. A "
        "vertical streak at 0 is a model that says no change to everything.",
        "Hexagons by number of windows: true change against forecast change, a panel per forecaster",
    ),
    "residuals": Caption(
        "Errors",
        "Narrower is better, and left and right of 0 should look alike: a hump on one side is a bias.",
        "Step lines: how many windows have which error, near 0 on the left and all on the right",
    ),
    "pit": Caption(
        "Where truths fall in the forecast distribution",
        "Flat at 1 is calibrated. High at both ends: the distributions are too narrow; high in the middle: too wide.",
        "Histograms of the probability integral transform, a panel per forecaster",
    ),
    "reliability": Caption(
        "Reliability of the quantiles",
        "On the dashed line as many truths lie below a quantile as its level says.",
        "Share of truths at or below each quantile against its level, with intervals",
    ),
    "distributions": Caption(
        "Width and coverage of the 80 % band",
        "The best band is the narrowest of those on the dashed line; below it a band holds too little.",
        "Points with intervals: coverage of the 80 % band against its mean width, one per forecaster",
    ),
    "coverage": Caption(
        "From asked to valid",
        "How many answers are left at each step. What gets lost counts as a forecast of no change.",
        "Bars: share of the answers that were not cut off, could be read, kept the bound and the contract, by model",
    ),
    "training": Caption(
        "Training curves",
        "The loss should fall and the reward rise; a KL divergence that grows without end, or groups in which all "
        "rewards are equal, are signs of a sick training. Rewards that are scaled by the errors that they score do "
        "not say whether errors shrink.",
        "Lines over the training steps: loss, token accuracy and, of GRPO, rewards, KL divergence and length",
    ),
}
