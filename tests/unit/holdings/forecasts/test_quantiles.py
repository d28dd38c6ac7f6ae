"""Quantiles of samples and of residuals: as defined, of the numbers that were read, and never from a test label."""

from argparse import Namespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.holdings.forecasts.test_baselines import sample, simulated  # noqa: F401  (a fixture)
from workflow_scripts import predict_baselines
from workflow_scripts.holdings.evaluation.baseline_audit import differing_bands
from workflow_scripts.holdings.evaluation.distributions import has_distribution
from workflow_scripts.holdings.evaluation.text_audit import scramble_labels
from workflow_scripts.holdings.forecasts.baselines import BASELINES, baseline_forecasts
from workflow_scripts.holdings.forecasts.predictions import parse_samples, summarize_samples
from workflow_scripts.holdings.forecasts.quantiles import BAND, BAND_SHARE, with_quantiles
from workflow_scripts.holdings.forecasts.residual_bands import residual_bands, residual_quantiles
from workflow_scripts.holdings.texts.answers import LEVELS, QUANTILES, Contract
from workflow_scripts.holdings.texts.quantile_rule import row_quantiles
from workflow_scripts.plumbing.errors import InputError


def test_names_and_levels():
    assert QUANTILES == ("q05", "q10", "q25", "q50", "q75", "q90", "q95")
    assert set(BAND) <= set(LEVELS)
    assert BAND[1] - BAND[0] == pytest.approx(BAND_SHARE)


def test_by_hand_and_as_numpy_defines_them():
    assert row_quantiles([[4.0, 1.0, 2.0, 3.0, 5.0]])[0].tolist() == pytest.approx([1, 1, 1.5, 3, 4.5, 5, 5])
    assert row_quantiles([[2.0, np.nan, np.nan]])[0].tolist() == [2.0] * 7
    assert np.isnan(row_quantiles([[np.nan, np.nan]])).all()
    assert np.isnan(row_quantiles(np.empty((1, 0)))).all()
    values = np.random.default_rng(0).normal(size=(50, 33))
    expected = np.quantile(values, LEVELS, axis=1, method="weibull").T
    np.testing.assert_allclose(row_quantiles(values), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("number", [19, 99])
def test_a_truth_drawn_as_the_samples_falls_below_a_quantile_as_often_as_it_says(number):
    """The usual definition 7 would hold a truth below its 5 % quantile in 9.5 % of the cases of 19 samples."""
    draws = np.random.default_rng(number).normal(size=(40_000, number + 1))
    below = (draws[:, :1] <= row_quantiles(draws[:, 1:])).mean(axis=0)
    assert below == pytest.approx(LEVELS, abs=0.008)


def test_predictions_have_the_quantiles_of_the_samples_that_were_read():
    """The rule of the median: a number that could be read counts, also below the bound; others do not."""
    answers = {"w0": [1.0, 3.0, None, 2.0], "w1": [None, None, None, -99.0], "w2": [None] * 4}
    texts = [
        {"window_id": name, "completion": "?" if x is None else f'<answer>{{"holding_delta": {x}}}</answer>',
         "finish_reason": "stop"}
        for name, row in answers.items() for x in row
    ]  # fmt: skip
    test = [{"window_id": name, "holding_t": 10.0} for name in answers]
    table = summarize_samples(parse_samples(texts, test, Contract(think=False))).set_index("window_id")
    assert table.loc["w0", list(QUANTILES)].tolist() == [1, 1, 1, 2, 3, 3, 3]
    assert table.loc["w1", list(QUANTILES)].tolist() == [-99.0] * 7
    assert table.loc["w2", list(QUANTILES)].isna().all()
    assert table["mean_delta"].tolist()[:2] == [2.0, -99.0]
    assert (table["q50"].dropna() == table["predicted_delta"].dropna()).all()


def test_one_greedy_completion_is_no_distribution():
    test = [{"window_id": "w0", "holding_t": 10.0}]
    text = [{"window_id": "w0", "completion": '<answer>{"holding_delta": 1}</answer>', "finish_reason": "stop"}]
    assert not set(QUANTILES) & set(summarize_samples(parse_samples(text, test, Contract(think=False))))


def test_predictions_have_the_quantiles_that_an_answer_says():
    """The median is the forecast; what is no distribution is sure of it, and silence has none, greedy or not."""
    said = {
        "w0": '{"q05": -3, "q10": -2, "q25": -1, "q50": 1, "q75": 2, "q90": 3, "q95": 4}',
        "w1": '{"q05": 4, "q10": 3, "q25": 2, "q50": 1, "q75": 0, "q90": -1, "q95": -2}',
        "w2": '{"q05": 4, "q10": 3}',
        "w3": "-2",
    }
    texts = [
        {"window_id": name, "completion": f'<answer>{{"holding_delta": {text}}}</answer>', "finish_reason": "stop"}
        for name, text in said.items()
    ]
    test = [{"window_id": name, "holding_t": 2.5} for name in said]
    contract = Contract(think=False, answer="quantiles")
    table = summarize_samples(parse_samples(texts, test, contract)).set_index("window_id")
    assert table["predicted_delta"].tolist() == pytest.approx([1.0, 1.0, np.nan, -2.0], nan_ok=True)
    assert table["predicted_tp1"].tolist() == pytest.approx([3.5, 3.5, np.nan, 0.5], nan_ok=True)
    assert table.loc["w0", list(QUANTILES)].tolist() == [-3, -2, -1, 1, 2, 3, 4]
    assert table.loc["w1", list(QUANTILES)].tolist() == [1.0] * 7
    assert table.loc["w2", list(QUANTILES)].isna().all()
    assert table.loc["w3", list(QUANTILES)].tolist() == [-2.0] * 7
    assert table["parsed"].tolist() == [True, True, False, True]
    assert table["bound_share"].tolist() == [0.0, 1.0, 0.0, 1.0], "-3 is less than a full exit"
    assert table["valid_share"].tolist() == [0.0] * 4
    assert has_distribution(table), "so that the stage is scored"
    with pytest.raises(InputError, match="several completions per window say quantiles each"):
        summarize_samples(parse_samples(texts * 2, test, contract))


def test_bands_by_hand():
    """Relative residuals of no-change are 0.1, -0.5 and 0.2; a window without a position counts in none of them."""
    later = sample([10, 10, 10, 10, 11.0], [5, 5, 5, 4, 2.0], [7, 7, 7, 10, 12.0], [1, 1, 1, 0, 3.0])
    residuals = residual_quantiles(later, {"no_change": np.zeros(4)}, "holding_delta")
    assert residuals["no_change"].tolist() == pytest.approx([-0.5, -0.5, -0.5, 0.1, 0.2, 0.2, 0.2])
    test = sample([8, 8, 8, 100, 0.0], [6, 3, 3, 0, 0.0])
    bands = residual_bands(test, {"no_change": np.array([-60.0, 0.5])}, residuals)["no_change"]
    assert bands[0].tolist() == pytest.approx([-100, -100, -100, -50, -40, -40, -40]), "not below a full exit"
    # Without a position the window's mean is the scale, 3, and no position can be sold.
    assert bands[1].tolist() == pytest.approx([0, 0, 0, 0.8, 1.1, 1.1, 1.1])


def test_no_window_to_learn_a_residual_from_gives_no_band():
    later = sample([10, 10, 10, 0, 11.0])
    residuals = residual_quantiles(later, {"no_change": np.zeros(1)}, "holding_delta")
    assert np.isnan(residuals["no_change"]).all()


def predictions(folder, parts: dict[str, pa.Table], later: str = "grpo") -> dict[str, pd.DataFrame]:
    """The tables that predict_baselines writes for these windows; `later` are those whose residuals make the bands."""
    folder.mkdir()
    for split, table in parts.items():
        pq.write_table(table, folder / f"{split}.parquet")
    files = [folder / f"{name}.csv" for name in (*BASELINES, "oracle")]
    settings = predict_baselines.Settings("holding_delta", predict_baselines.Law(0.0, 0.9))
    predict_baselines.main(
        Namespace(
            train=[folder / f"{split}.parquet" for split in ("sft", "grpo")],
            later=folder / f"{later}.parquet",
            test=folder / "test.parquet",
            firm_type="banks",
            settings=settings,
            out=files,
        )
    )
    return {path.stem: pd.read_csv(path) for path in files}


@pytest.fixture(scope="module")
def parts(simulated) -> dict[str, pa.Table]:  # noqa: F811
    train, test = simulated
    early = train["quarter"].to_numpy() < 4 * 2016
    return {"sft": train.filter(early), "grpo": train.filter(~early), "test": test}


def test_no_test_label_moves_a_band(parts, tmp_path):
    """All labels of the test sample are others, and every byte of the baselines' tables is the same."""
    plain = predictions(tmp_path / "plain", parts)
    scrambled = scramble_labels(parts["test"], np.random.default_rng(1))
    assert not np.equal(scrambled["holding_t1"].to_numpy(), parts["test"]["holding_t1"].to_numpy()).any()
    for name, table in predictions(tmp_path / "other", parts | {"test": scrambled}).items():
        pd.testing.assert_frame_equal(table, plain[name], check_exact=True)
        assert not table[list(QUANTILES)].isna().any(axis=None), name


def test_the_audit_catches_bands_of_other_residuals(parts, tmp_path):
    """Those of the test windows themselves, planted beside the forecasts, which are not touched."""
    tables = predictions(tmp_path / "plain", parts)
    baselines = {name: tables[name] for name in BASELINES}
    rng = np.random.default_rng(0)
    assert differing_bands(parts, parts, "holding_delta", baselines, rng) == []
    test = parts["test"]
    forecast = {"ridge": baselines["ridge"]["predicted_delta"].to_numpy()}
    leaky = residual_bands(test, forecast, residual_quantiles(test, forecast, "holding_delta"))
    planted = baselines | {"ridge": with_quantiles(baselines["ridge"], leaky["ridge"])}
    assert differing_bands(parts, parts, "holding_delta", planted, rng) == ["ridge"]


def test_bands_come_from_windows_that_the_forecast_was_not_fitted_on(parts, tmp_path):
    """The residuals are those of a fit on the SFT sample, on the GRPO sample; the trees' own fit is closer."""
    tables = predictions(tmp_path / "plain", parts)
    held = parts["test"]["holding_t"].to_numpy()
    truth = parts["grpo"]["holding_t1"].to_numpy() - parts["grpo"]["holding_t"].to_numpy()
    earlier = baseline_forecasts(parts["sft"], parts["grpo"], "holding_delta")
    for name in BASELINES:
        relative = (truth - earlier[name]) / parts["grpo"]["holding_t"].to_numpy()
        expected = np.quantile(relative, LEVELS, method="weibull")
        centre = tables[name]["predicted_delta"].to_numpy()
        bands = np.maximum(centre[:, None] + held[:, None] * expected, -held[:, None])
        np.testing.assert_allclose(tables[name][list(QUANTILES)], bands, rtol=1e-9, atol=1e-9)
    # The windows that are drawn as the test windows are, and no other, make the width.
    sampled = parts["grpo"].slice(0, 30)
    again = predictions(tmp_path / "sampled", parts | {"sample": sampled}, "sample")["no_change"]
    relative = sampled["holding_t1"].to_numpy() / sampled["holding_t"].to_numpy() - 1
    expected = np.maximum(held[:, None] * np.quantile(relative, LEVELS, method="weibull"), -held[:, None])
    np.testing.assert_allclose(again[list(QUANTILES)], expected, rtol=1e-9, atol=1e-9)
    # What is known of the law narrows the band.
    width = {name: ((table["q90"] - table["q10"]) / held).mean() for name, table in tables.items()}
    assert width["oracle"] < 0.8 * width["no_change"]
