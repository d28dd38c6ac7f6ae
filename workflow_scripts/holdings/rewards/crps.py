"""The one score of a distribution that is told by its quantiles at LEVELS, for rewards and evaluation alike.

The CRPS is twice the integral of the pinball loss over the levels (Laio and Tamea 2007; Gneiting and Ranjan 2011), here
by trapezoids between LEVELS and the ends 0 and 1, where the loss is 0. The weights sum to 1, so that of a sure forecast
it is the absolute error. It is a proper score: who says what he believes cannot do better by saying something else
(Gneiting and Raftery 2007).
"""

import numpy as np
from numpy.typing import NDArray

from workflow_scripts.holdings.texts.answers import LEVELS

Array = NDArray[np.float64]
# Bounds of the levels between which a truth can fall.
EDGES = np.array([0.0, *LEVELS, 1.0])
_TRAPEZOIDS = (EDGES[2:] - EDGES[:-2]) / 2
WEIGHTS = _TRAPEZOIDS / _TRAPEZOIDS.sum()


def pinball(true: Array, quantiles: Array) -> Array:
    """Pinball loss at LEVELS, shape (n, levels), of truths (n,) and quantiles (n, levels); Koenker and Bassett 1978."""
    # Every run imports this module to read its settings, and the library loads SciPy, a tenth of a plan's time.
    import scoringrules

    return scoringrules.quantile_score(true[:, None], quantiles, np.array(LEVELS))


def crps(true: Array, quantiles: Array) -> Array:
    """CRPS, shape (n,), from truths (n,) and quantiles (n, levels) in one unit; of equal quantiles |error|."""
    return 2 * pinball(true, quantiles) @ WEIGHTS
