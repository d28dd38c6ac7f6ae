"""Jobs that the cluster has forgotten are told after some looks; silence and delays are none."""

from workflow_scripts.plumbing.lost_jobs import EVERY, watch


class Over(Exception):
    """Ends the loop that looks for ever."""


def looked(looks: list[tuple[list[str], set[str] | None]]) -> list[tuple[list[str], bool]]:
    """What is told in a row of looks, each with the jobs that are awaited and those that are known."""
    told, remaining = [], iter(looks)
    look = {}

    def wait(seconds: float) -> None:
        assert seconds == EVERY
        try:
            look["now"] = next(remaining)
        except StopIteration:
            raise Over from None

    try:
        watch(
            lambda: look["now"][0],
            lambda: look["now"][1],
            lambda lost, nothing_else: told.append((lost, nothing_else)),
            wait,
        )
    except Over:
        pass
    return told


def test_a_job_unknown_three_times_is_lost_and_told_once():
    assert looked([(["1", "2"], {"1"})] * 5) == [(["2"], False)]


def test_when_nothing_else_is_awaited_it_is_said():
    assert looked([(["1", "2"], {"1"})] * 3 + [(["2"], set())] * 2) == [(["2"], False)]
    assert looked([(["7", "8"], set())] * 3) == [(["7", "8"], True)]


def test_no_answer_and_looks_amid_a_query_say_nothing():
    assert looked([(["1"], None)] * 9) == []
    assert looked([([], set())] * 9) == []
    assert looked([(["1"], set()), ([], set()), (["1"], None), (["1"], set()), (["1"], set())]) == [(["1"], True)]


def test_a_job_that_is_seen_again_is_not_lost():
    assert looked([(["1"], set()), (["1"], set()), (["1"], {"1"}), (["1"], set()), (["1"], set())]) == []
