"""Forecasts of the change from completions and from baselines, one table per forecaster.

Completions are read leniently: a forecast is scored, whatever key it stands under. `valid_share` and `faults` say how
far they are from the output contract.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workflow_scripts.holdings.forecasts.quantiles import with_quantiles
from workflow_scripts.holdings.texts.answers import LEVELS, QUANTILES, Contract
from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.holdings.texts.quantile_rule import row_quantiles
from workflow_scripts.plumbing.errors import InputError

# Between the faults of a window's samples.
FAULT_SEPARATOR = "; "
EXAMPLES = 3


def prediction_table(window_ids: Sequence[str], holding_t: ArrayLike, predicted_delta: ArrayLike) -> pd.DataFrame:
    """Predictions of a numeric forecaster ($ million), in the columns of `summarize_samples`; it always answers."""
    delta, held = np.asarray(predicted_delta, float), np.asarray(holding_t, float)
    return pd.DataFrame(
        {
            "window_id": list(window_ids),
            "predicted_delta": delta,
            "predicted_tp1": held + delta,
            "mean_delta": delta,
            "spread_delta": np.nan,
            "samples": 1,
            "parsed": True,
            "parsed_share": 1.0,
            "valid_share": (delta >= -held).astype(float),
            "bound_share": (delta >= -held).astype(float),
            "truncated_share": 0.0,
            "faults": "",
        }
    )


def parse_samples(
    completions: Sequence[dict], test_rows: Sequence[dict], contract: Contract = Contract()
) -> pd.DataFrame:
    """What each completion says: one row per sample, by window in the order of the test rows.

    The `contract` is what the prompts ask for. A window may have several sampled completions, all windows equally many.
    Columns: window_id, holding_t and delta ($ million, of quantiles the median; delta is missing where no number could
    be read), the quantiles where these are asked for (missing where delta is), parsed, valid (obeys the output contract
    and its bound), bound (nothing is below the bound), truncated (cut at max_tokens), fault (empty without one),
    completion. InputError when the ids differ.
    """
    answers: dict[str, list[dict]] = {row["window_id"]: [] for row in test_rows}
    for row in completions:
        if row["window_id"] not in answers:
            raise InputError(f"completions and test rows do not have the same window_ids ({row['window_id']})")
        answers[row["window_id"]].append(row)
    sizes = {len(samples) for samples in answers.values()}
    if len(sizes) > 1 or 0 in sizes:
        raise InputError("completions and test rows do not have the same window_ids; generate them again")
    has_quantiles, unknown = contract.answer == "quantiles", [np.nan] * len(LEVELS)
    rows = []
    for row in test_rows:
        for sample in answers[row["window_id"]]:
            parsed = parse_completion(sample["completion"], row["holding_t"], contract, lenient=True)
            rows.append(
                {
                    "window_id": row["window_id"],
                    "holding_t": row["holding_t"],
                    "delta": np.nan if parsed.delta is None else parsed.delta,
                    **(dict(zip(QUANTILES, parsed.quantiles or unknown, strict=True)) if has_quantiles else {}),
                    "parsed": parsed.delta is not None,
                    "valid": parsed.valid,
                    "bound": parsed.bound,
                    "truncated": sample["finish_reason"] == "length",
                    "fault": parsed.fault,
                    "completion": sample["completion"],
                }
            )
    return pd.DataFrame(rows)


def summarize_samples(samples: pd.DataFrame) -> pd.DataFrame:
    """Predictions in $ million from the table of `parse_samples`: one row per window, in its order.

    Columns: window_id, predicted_delta (the median of the samples that could be parsed), predicted_tp1, mean_delta,
    spread_delta (their mean and standard deviation, the latter missing for fewer than two), samples, parsed (whether
    any was), shares of the samples: parsed_share, valid_share, bound_share, truncated_share; and faults, those of the
    samples that have one. A prediction below the bound is kept as it was written: evaluation must not repair a model.
    Also the quantiles (`answers.QUANTILES`): those that a completion says where quantiles are asked for, else, of
    several samples, those of the numbers that the median is of. InputError for several samples with quantiles each.
    """
    windows = samples.groupby("window_id", sort=False)
    median = windows["delta"].median()
    shares = windows[["parsed", "valid", "bound", "truncated"]].mean().add_suffix("_share")
    faults = samples[samples["fault"] != ""].groupby("window_id")["fault"].agg(FAULT_SEPARATOR.join)
    table = pd.DataFrame(
        {
            "predicted_delta": median,
            "predicted_tp1": windows["holding_t"].first() + median,
            "mean_delta": windows["delta"].mean(),
            "spread_delta": windows["delta"].std(),
            "samples": windows.size(),
            "parsed": windows["parsed"].any(),
            **{name: shares[name] for name in shares},
            "faults": faults.reindex(median.index, fill_value=""),
        }
    )
    table, number = table.reset_index(), len(samples) // max(len(windows), 1)
    if QUANTILES[0] in samples:
        if number > 1:
            raise InputError("several completions per window say quantiles each; generate one (generation.samples: 1)")
        return with_quantiles(table, samples[list(QUANTILES)].to_numpy(float))
    # All windows have equally many samples, one after the other.
    drawn = samples["delta"].to_numpy(float).reshape(-1, max(number, 1))
    return with_quantiles(table, row_quantiles(drawn)) if number > 1 else table


def fault_examples(samples: pd.DataFrame) -> pd.DataFrame:
    """The first EXAMPLES completions of each kind of fault, kinds in alphabetical order, of the same table.

    Columns: fault, window_id, parsed, completion.
    """
    found = samples[samples["fault"] != ""].sort_values("fault", kind="stable")
    return found.groupby("fault").head(EXAMPLES)[["fault", "window_id", "parsed", "completion"]]
