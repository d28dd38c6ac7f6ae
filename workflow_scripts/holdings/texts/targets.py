"""What can be forecast, and the label columns that say what came true.

| target of a prompt | forecast | label column |
|---|---|---|
| holding_delta | change of the position | label_delta = holding_t1 - holding_t |
| holding_tp1 | next position | label_delta (a forecast is read as next position - holding_t) |
| active_delta | change at the price of t | label_active = holding_t1 * prc_t / prc_t1 - holding_t |

All $ million. The dollar change contains the stock's return; the active change is what the manager traded, valued at
the price of t (`windows/labels.py`).
"""

from typing import Literal, get_args

TargetName = Literal["holding_delta", "holding_tp1", "active_delta"]
LABELS: dict[TargetName, str] = {
    "holding_delta": "label_delta",
    "holding_tp1": "label_delta",
    "active_delta": "label_active",
}
TARGETS: tuple[TargetName, ...] = get_args(TargetName)
ACTIVE: TargetName = "active_delta"


def check_target(target: str) -> None:
    """Raise ValueError for a target that is not one of TARGETS."""
    if target not in TARGETS:
        raise ValueError(f"target {target!r} is unknown; choose one of {', '.join(TARGETS)}")
