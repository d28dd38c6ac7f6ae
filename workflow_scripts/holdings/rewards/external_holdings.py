"""external_holdings: magnitude and direction on scales that follow the training; optional in the published recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_doc import Doc
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from workflow_scripts.holdings.rewards.shared import LABELLED, MIN_SCALE, Reward, finish, numbers, predicted_change
from workflow_scripts.holdings.texts.answers import Contract


@dataclass(frozen=True)
class ExternalSettings:
    """The constants of external_holdings; the defaults are the published recipe's."""

    ema_decay: Annotated[float, Ge(0), Lt(1), Doc("Decay of external_holdings' moving averages per call.")] = 0.9
    magnitude_weight: Annotated[float, Ge(0), Doc("Weight of the magnitude in external_holdings.")] = 0.6
    direction_weight: Annotated[float, Ge(0), Doc("Weight of the direction in external_holdings.")] = 0.4
    magnitude_threshold: Annotated[
        float, Gt(0), Doc("Huber threshold of external_holdings, in units of the moving mean absolute error.")
    ] = 1.5
    direction_slope: Annotated[float, Gt(0), Doc("Steepness of the direction in external_holdings.")] = 5.0
    direction_margin: Annotated[
        float, Doc("Signed size of the forecast, in moving mean changes, that earns 0 for its direction.")
    ] = 0.0


@dataclass
class ExternalReward:
    """0.6 * magnitude + 0.4 * direction, each in [-1, 1], on scales that follow the training.

    Scales are exponential moving averages over calls, decay lambda = 0.9, started by the first
    batch's mean: c_mag = 1.5 * EMA(|e|), c_dir = EMA(|true change|), both at least 1e-6.
    Magnitude: the Huber loss of e with threshold c_mag over its value at the threshold,
    2 * (1 - min(., 1)) - 1. Direction: 2 * sigmoid(5 * (predicted / c_dir * sign(true) - margin)) - 1.
    The averages live in the object: every process has its own, of the completions that it scores itself.
    `state` and `restore` let the plugin keep them with the checkpoints.
    """

    settings: ExternalSettings = field(default_factory=ExternalSettings)
    contract: Contract = field(default_factory=Contract)
    mean_error: float | None = None
    mean_change: float | None = None

    def __call__(
        self,
        completions: Sequence[str],
        holding_t: Sequence[float | None],
        true_change: Sequence[float | None],
    ) -> list[float]:
        """Rewards of a batch; updates the moving averages first."""
        s = self.settings
        predicted, true = predicted_change(completions, holding_t, self.contract), numbers(true_change)
        error = np.clip(np.abs(predicted - true), 0.0, 1e150)
        self.mean_error = self._averaged(self.mean_error, error)
        self.mean_change = self._averaged(self.mean_change, np.abs(true))
        threshold = s.magnitude_threshold * max(self.mean_error or 0.0, MIN_SCALE)
        # Huber over its value at the threshold c is (e/c)^2 below c; above, the minimum with 1 takes over.
        magnitude = 2.0 * (1.0 - np.minimum(error / threshold, 1.0) ** 2) - 1.0
        relative = np.clip(predicted / max(self.mean_change or 0.0, MIN_SCALE), -1e3, 1e3)
        slope = s.direction_slope * (relative * np.sign(true) - s.direction_margin)
        # tanh(z / 2) is 2 * sigmoid(z) - 1, without overflow.
        direction = np.tanh(slope / 2.0)
        return finish(s.magnitude_weight * magnitude + s.direction_weight * direction, predicted, true)

    def state(self) -> dict[str, float | None]:
        """The moving averages, as `restore` takes them."""
        return {"mean_error": self.mean_error, "mean_change": self.mean_change}

    def restore(self, state: Mapping[str, float | None]) -> None:
        """Go on from earlier moving averages."""
        self.mean_error, self.mean_change = state["mean_error"], state["mean_change"]

    def _averaged(self, mean: float | None, values: NDArray[np.float64]) -> float | None:
        values = values[~np.isnan(values)]
        if not len(values):
            return mean
        batch = float(values.mean())
        decay = self.settings.ema_decay
        return batch if mean is None else decay * mean + (1.0 - decay) * batch


REWARD = Reward(ExternalReward, LABELLED, ExternalSettings, self_scaled=True)
