"""The runs of a rolling origin: one per test year with expanding training quarters, and one of all years."""

import pytest

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.settings.reading import read_config
from workflow_scripts.settings.roll_origins import overrides


def test_each_year_learns_what_came_before_it_and_nothing_later():
    config = {"run": "mine", "splits": {"sft": {"start": "2010-01-01"}}}
    runs = overrides(config, [2019, 2020, 2022], 2)
    assert [run["run"] for run in runs] == ["mine-2019", "mine-2020", "mine-2022", "mine"]
    assert runs[2]["splits"] == {
        "sft": {"start": "2010-01-01", "end": "2019-12-31"},
        "grpo": {"start": "2020-01-01", "end": "2021-12-31"},
        "test": {"start": "2022-01-01", "end": "2022-12-31"},
    }
    assert runs[3]["evaluation"] == {"rolling_runs": ["mine-2019", "mine-2020", "mine-2022"]}
    assert runs[3]["splits"]["test"] == {"start": "2019-01-01", "end": "2022-12-31"}
    for run in runs:
        read_config(run)


@pytest.mark.parametrize(
    ("config", "years", "said"),
    [
        ({"run": "mine"}, [2019], "at least two years"),
        ({"run": "mine"}, [2020, 2019], "ascending"),
        ({"run": "mine"}, [2019, 2019], "ascending"),
    ],
)
def test_what_cannot_be_rolled_is_refused(config, years, said):
    with pytest.raises(InputError, match=said):
        overrides(config, years, 2)


def test_a_run_does_not_put_itself_together():
    with pytest.raises(InputError, match="rolling_runs: mine is this run"):
        read_config({"run": "mine", "evaluation": {"rolling_runs": ["mine", "other"]}})
