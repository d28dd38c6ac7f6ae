"""What a config says about metrics and intervals."""

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class EvaluationSettings:
    """Constants of the metrics."""

    top_k: Annotated[
        float,
        Gt(0),
        Doc(
            "k of Recall, Precision and NDCG within a quarter: a number of windows, such as 50, or below 1 a share of "
            "the quarter's windows."
        ),
    ] = 0.1
    dead_band: Annotated[float, Ge(0), Doc("Changes of at most this share of holding_t count as flat.")] = 0.01
    log_floor: Annotated[
        float,
        Gt(0),
        Lt(1),
        Doc(
            "In log changes positions count at least this share of holding_t, because the log of a full exit is minus "
            "infinity."
        ),
    ] = 0.01


@dataclass(frozen=True)
class TrimSettings:
    """The debug table of metrics without the largest errors."""

    trim_percentile: Annotated[
        float, Gt(0), Le(100), Doc("Percentile of |error| above which the debug table leaves windows out.")
    ] = 95.0


@dataclass(frozen=True)
class InferenceSettings:
    """Confidence of the intervals."""

    confidence: Annotated[
        float, Gt(0), Lt(1), Doc("Confidence of the intervals; 1 - confidence is the size of tests.")
    ] = 0.95
