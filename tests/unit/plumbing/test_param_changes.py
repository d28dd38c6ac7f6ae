"""Why a job runs again, in a line."""

import json

from workflow_scripts.plumbing.param_changes import MOST_CHANGES, param_changes


def settings(**content) -> str:
    return repr(json.dumps(content))


def test_settings_are_told_by_name_and_value():
    before = [settings(seed=1, training={"beta": 0.02, "rewards": ["a", "b"]}), "'code of train_grpo 0123456789abcdef'"]
    now = [settings(seed=1, training={"beta": 0.1, "rewards": ["a"]}), "'code of train_grpo fedcba9876543210'"]
    assert param_changes(before, now) == (
        'training.beta: 0.02 -> 0.1; training.rewards: ["a", "b"] -> ["a"]; code of train_grpo'
    )


def test_a_setting_that_is_new_or_gone_and_a_value_that_is_no_setting():
    assert param_changes([settings(a=1, b=None)], [settings(a=1, c=2)]) == "b: null -> (none); c: (none) -> 2"
    assert param_changes(["'results/a'"], ["'results/b'"]) == "results/a -> results/b"
    assert param_changes([], ["'x'"]) == " -> x"
    assert param_changes(["'not { python"], ["5"]) == "'not { python -> 5", "whatever is recorded is shown"


def test_a_line_stays_short():
    """A template can have hundreds of characters, and another panel changes dozens of settings."""
    long = param_changes([settings(t="x" * 5000)], [settings(t="y" * 5000)])
    assert len(long) < 200
    before, now = ({f"k{i}": v for i in range(50)} for v in (1, 2))
    many = param_changes([settings(**before)], [settings(**now)])
    assert many.endswith(f"; and {50 - MOST_CHANGES} more")
