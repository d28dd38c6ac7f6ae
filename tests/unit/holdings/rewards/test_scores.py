"""Replayed rewards: mean and standard deviation, and the completions to look at, unpaid and worst ones apart."""

import numpy as np
import pytest

from workflow_scripts import replay_rewards
from workflow_scripts.holdings.rewards.rewards import RewardSettings
from workflow_scripts.holdings.rewards.scores import answered_rows, score_tables, summary_line
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_csv, write_jsonl


def say(number: float) -> str:
    return f'<think>x</think><answer>{{"holding_delta": {number}}}</answer>'


def rows(*labels) -> list[dict]:
    return [{"window_id": f"w{i}", "holding_t": 100.0, "label_delta": label} for i, label in enumerate(labels)]


TEXTS = [say(5), say(5), say(0), say(-5), "nothing", say(5)]
ROWS = rows(5.0, 5.0, 5.0, 5.0, 5.0, None)
# Right, right, one off, opposite, no number, no label: 1, 1, 0, -1, -1, 0.
SETTINGS = RewardSettings(["direction_holdings"], {})


def test_distribution_and_samples_by_hand():
    summary, zeros, worst = score_tables(TEXTS, ROWS, SETTINGS, 8)
    [row] = summary.to_dict("records")
    assert (row["count"], row["mean"], row["min"], row["max"], row["q50"]) == (6, 0.0, -1.0, 1.0, 0.0)
    assert row["std"] == pytest.approx(np.sqrt(4 / 5))
    assert row["zero_share"] == pytest.approx(1 / 3)
    assert zeros["window_id"].tolist() == ["w2", "w5"]
    # The worst are those that were punished; what earned nothing stands apart.
    assert worst["window_id"].tolist() == ["w3", "w4", "w0", "w1"]
    assert worst["completion"].tolist()[:2] == [say(-5), "nothing"]
    assert list(worst) == ["reward", "value", "window_id", "holding_t", "label_delta", "completion"]
    assert summary_line(summary) == "direction_holdings +0.00 ± 0.89 (6 completions, 33% zero)"


def test_no_kind_is_longer_than_can_be_read():
    _, zeros, worst = score_tables([say(0)] * 9 + [say(-5)] * 9, rows(*[5.0] * 18), SETTINGS, 4)
    assert (len(zeros), len(worst)) == (5, 5)
    _, zeros, worst = score_tables([say(5)], rows(5.0), RewardSettings(["contract_holdings"], {}), 4)
    assert (len(zeros), list(zeros)) == (0, list(worst))


def test_stages_can_be_compared_where_the_scale_is_not_their_own_errors():
    """Answers a thousand times as far off: mse_holdings pays the same, and says that it is scaled by them."""
    held = [row | {"holding_t": 1e4, "past_change": 5.0} for row in ROWS[:4]]
    settings = RewardSettings(["mse_holdings", "scaled_mae_holdings"], {})
    near, far = (score_tables([say(5 + k * e) for e in (0, 1, 2, 4)], held, settings, 4)[0] for k in (1, 1000))
    assert near["self_scaled"].tolist() == [True, False]
    assert far["mean"][0] == pytest.approx(near["mean"][0])
    assert far["mean"][1] < near["mean"][1] - 0.5
    assert summary_line(near).split(", scaled_mae")[0].endswith("0% zero, scaled by their own errors)")


def replayed(tmp_path, completions: list[dict], dataset: list[dict]) -> str:
    import argparse

    write_jsonl(tmp_path / "completions.jsonl", completions)
    write_jsonl(tmp_path / "dataset.jsonl", dataset)
    settings = replay_rewards.Settings(SETTINGS, completions_per_step=8)
    files = {name: tmp_path / f"{name}.csv" for name in ("out", "zero", "worst")}
    files |= {name: tmp_path / f"{name}.jsonl" for name in ("completions", "dataset")}
    return replay_rewards.main(argparse.Namespace(settings=settings, **files))


def test_any_file_of_completions_is_replayed_beside_its_dataset(tmp_path):
    """Several completions of a prompt, in any order, and prompts that nobody has completed."""
    answers = [{"window_id": f"w{i}", "completion": say(number)} for i, number in ((3, 5), (0, 5), (3, -5))]
    line = replayed(tmp_path, answers, rows(5.0, 5.0, 5.0, 5.0))
    assert line == (
        "replay_rewards: 2 of 4 prompts without a completion; direction_holdings +0.33 ± 1.15 (3 completions, 0% zero)"
    )
    worst = read_csv(tmp_path / "worst.csv")
    assert worst["window_id"].tolist() == ["w3", "w3", "w0"]
    assert read_csv(tmp_path / "out.csv")["mean"].tolist() == [pytest.approx(1 / 3)]
    assert len(read_csv(tmp_path / "zero.csv")) == 0


def test_completions_of_another_dataset_are_refused(tmp_path):
    with pytest.raises(InputError, match="1 of 1 completions belong to no row of the dataset, such as v9"):
        replayed(tmp_path, [{"window_id": "v9", "completion": ""}], rows(1.0))
    with pytest.raises(InputError, match="no completion to replay"):
        answered_rows([], rows(1.0))
    with pytest.raises(InputError, match="line 1 has no 'completion'"):
        replayed(tmp_path, [{"window_id": "w0", "response": ""}], rows(1.0))
