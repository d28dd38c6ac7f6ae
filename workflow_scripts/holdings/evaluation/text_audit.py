"""Leakage checks of one firm type: does anything that a forecaster sees or was fitted on come from after t?

Each check rebuilds texts or forecasts from data in which everything that must not matter is scrambled, and compares
them with what is in the files.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.evaluation.audit_checks import day_quarter, differ
from workflow_scripts.holdings.panel.contract import FEATURES, LABELS
from workflow_scripts.holdings.panel.pairs import pair_numbers
from workflow_scripts.holdings.panel.stock_quarters import PRICE_TOLERANCE, return_tolerance
from workflow_scripts.holdings.texts.conversations import REFERENCE, ThinkStyle, grpo_rows, holdout_rows, sft_rows
from workflow_scripts.holdings.texts.prompts import PromptSettings, build_prompts
from workflow_scripts.holdings.windows.history import attach_history
from workflow_scripts.holdings.windows.lags import lagged, sample_lags
from workflow_scripts.holdings.windows.managers import FACTS
from workflow_scripts.holdings.windows.splits import Period

# The columns of a sample that are dated t+1.
LABEL_SIDE = (*LABELS, "delta_sign", "prc_t1", "price_ratio", "split_ratio")


def _scrambled(values: NDArray[np.float64], rows: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Other positive numbers of the same size where `rows` holds, missing ones included."""
    known = np.nan_to_num(np.abs(values), nan=1.0)
    return np.where(rows, known * rng.uniform(1.5, 3.0, len(values)) + 1.0, values)


def scramble_after(panel: pa.Table, quarter: int, rng: np.random.Generator) -> pa.Table:
    """A panel (typed, with `quarter`) in which every value dated after `quarter` is another one.

    Features of later rows are changed; the label holding_t1 is dated one quarter after its row.
    """
    dates = panel["quarter"].to_numpy()
    for names, later in ((FEATURES, dates > quarter), (LABELS, dates >= quarter)):
        for name in names:
            values = pa.array(_scrambled(panel[name].to_numpy(), later, rng))
            panel = panel.set_column(panel.column_names.index(name), name, values)
    return panel


def scramble_labels(sample: pa.Table, rng: np.random.Generator) -> pa.Table:
    """A sample in which every column of LABEL_SIDE holds other values."""
    everywhere = np.ones(sample.num_rows, dtype=bool)
    for name in LABEL_SIDE:
        values = _scrambled(sample[name].to_numpy().astype(float), everywhere, rng)
        # What would set a window aside must not: the label has to be there to leak.
        values = np.full(len(values), np.nan) if name == "split_ratio" else values
        kind = sample.schema.field(name).type
        column = pa.array(values).cast(kind, safe=False)
        sample = sample.set_column(sample.column_names.index(name), name, column)
    return sample


def past_splits(sample: pa.Table, stocks: pa.Table) -> dict[str, NDArray[np.float64]]:
    """The columns `split_ratio_lag{k}` of a sample, looked up in `stock_quarters` by another way than the sample's."""
    permno, quarter, ratio = (stocks[name].to_numpy() for name in ("permno", "quarter", "split_ratio"))
    splits = np.flatnonzero(~np.isnan(ratio))
    known = dict(zip(zip(permno[splits].tolist(), quarter[splits].tolist(), strict=True), ratio[splits], strict=True))
    windows = list(zip(sample["permno"].to_pylist(), sample["quarter"].to_pylist(), strict=True))
    return {
        lagged("split_ratio", lag): np.array([known.get((stock, t - lag), np.nan) for stock, t in windows], dtype=float)
        for lag in sample_lags(sample)
        if lag
    }


def differing_splits(sample: pa.Table, stocks: pa.Table) -> list[str]:
    """window_ids with a split of the past that is not the stock's of that quarter, or that the window's prices deny.

    `stocks` is `stock_quarters` of the slice. The prices judge what made it, too: a ratio of shares after / before is
    there only where the price, which is known at t, fell or rose by about as much.
    """
    differs = np.zeros(sample.num_rows, dtype=bool)
    known = past_splits(sample, stocks)
    for lag in range(1, len(known) + 1):
        name = lagged("split_ratio", lag)
        found, before, after = (
            sample[column].to_numpy() for column in (name, lagged("prc", lag), lagged("prc", lag - 1))
        )
        differs |= differ(found, known[name])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio, moved = np.log(found), np.log(after / before)
        # A row's price may differ a little from the one that all holders' rows agree on.
        differs |= np.isfinite(moved) & (np.abs(moved + ratio) > return_tolerance(ratio) + 2 * PRICE_TOLERANCE)
    return sample["window_id"].filter(pa.array(differs)).to_pylist()


def samples_without_future(
    sample: pa.Table, panel: pa.Table, stocks: pa.Table, firm_type: str, rng: np.random.Generator
) -> Iterator[pa.Table]:
    """The sample, rebuilt quarter by quarter from a panel that is scrambled after that quarter.

    `panel` holds the rows of the sampled pairs, all features and labels (`read_history`), and `stocks` is
    `stock_quarters`, which gives the splits of the past. Facts about the manager, which other pairs' rows decide, are
    those of the sample (`baseline_audit.differing_facts` is about them). The columns dated t+1 are scrambled.
    """
    for name, values in past_splits(sample, stocks).items():
        sample = sample.set_column(sample.column_names.index(name), name, pa.array(values))
    known = [name for name in sample.column_names if name.startswith(lagged("split_ratio", ""))]
    history_quarters = len(sample_lags(sample))
    sample = scramble_labels(sample, rng)
    quarters = sample["quarter"].to_numpy()
    pairs_there, pairs = pair_numbers(panel, sample)
    for quarter in np.unique(quarters):
        rows = quarters == quarter
        chosen, theirs = sample.filter(pa.array(rows)), np.isin(pairs_there, pairs[rows])
        unknown = scramble_after(panel.filter(pa.array(theirs)), int(quarter), rng)
        rebuilt = attach_history(chosen, unknown, firm_type, history_quarters)
        for name in ("prc_t1", "price_ratio", "split_ratio", *known, *FACTS):
            rebuilt = rebuilt.append_column(name, chosen[name])
        yield rebuilt


def _texts(split: str, prompts: list[dict], sample: pa.Table, think: ThinkStyle | None) -> dict[str, tuple[str, ...]]:
    """By window_id what a model reads of a window: the messages of the split's dataset without the label."""
    if split == "sft" and think:
        # Any target does whose label is always there: the answer is cut off below.
        rows, _ = sft_rows(prompts, sample, REFERENCE, think.decimals, think)
    elif split == "grpo":
        rows = grpo_rows(prompts, sample, think)
    else:
        rows = holdout_rows(prompts, sample)
    return {row["window_id"]: visible(row["messages"]) for row in rows}


def visible(messages: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Contents of the messages; of an assistant's, what comes before the answer, which is the label."""
    return tuple(
        message["content"].split("<answer>")[0] if message["role"] == "assistant" else message["content"]
        for message in messages
    )


def differing_texts(
    split: str,
    dataset: Sequence[Mapping],
    samples: Iterable[pa.Table],
    settings: PromptSettings,
    think: ThinkStyle | None,
    tickers: Mapping[int, tuple[str, str]] | None,
) -> list[str]:
    """window_ids whose dataset row is not what the scrambled samples give; ids that only one side has are among them.

    `think` is how the think blocks of SFT, or the examples in GRPO prompts, are written; None for a split without any.
    """
    expected: dict[str, tuple[str, ...]] = {}
    for sample in samples:
        expected |= _texts(split, build_prompts(sample, settings, tickers), sample, think)
    found = {row["window_id"]: visible(row["messages"]) for row in dataset}
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def labels_in_text(dataset: Sequence[Mapping]) -> list[str]:
    """window_ids whose prompt names a label column or the answer itself: `label_`, `holding_t1`, `prc_t1`."""
    words = ("label_", *LABEL_SIDE)
    return [row["window_id"] for row in dataset if any(word in text for text in _prompt(row) for word in words)]


def _prompt(row: Mapping) -> tuple[str, ...]:
    return tuple(message["content"] for message in row["messages"] if message["role"] != "assistant")


def repeated_labels(samples: Mapping[str, pa.Table]) -> list[str]:
    """window_ids, that is (mgrno, permno, quarter), that occur more than once over all splits."""
    times = Counter(window_id for sample in samples.values() for window_id in sample["window_id"].to_pylist())
    return sorted(window_id for window_id, number in times.items() if number > 1)


def _id_quarter(window_id: str) -> tuple[int, int]:
    """Year and quarter t of a window, as its id ends with them."""
    year, quarter = map(int, window_id.rsplit("-", 1)[1].split("Q"))
    return year, quarter


def windows_outside_their_split(sample: pa.Table, period: Period) -> list[str]:
    """window_ids whose quarter t does not lie in their split's period, or is not that of the id.

    By year and quarter of each window alone: what made the splits must not vouch for them.
    """
    first = day_quarter(period.start) if period.start else (0, 0)
    last = day_quarter(period.end) if period.end else (9999, 4)
    outside = []
    for window_id, number in zip(sample["window_id"].to_pylist(), sample["quarter"].to_pylist(), strict=True):
        year, quarter = _id_quarter(window_id)
        if not first <= (year, quarter) <= last or number != 4 * year + quarter - 1:
            outside.append(window_id)
    return outside


def labels_in_next_split(sample: pa.Table, start: str) -> int:
    """Windows whose label's quarter t+1 is in or after the quarter of the next split's first day (YYYY-MM-DD)."""
    year, quarter = day_quarter(start)
    last_known = (year, quarter - 1) if quarter > 1 else (year - 1, 4)
    return sum(_id_quarter(window_id) >= last_known for window_id in sample["window_id"].to_pylist())


def identical_prompts(datasets: Mapping[str, Sequence[Mapping]]) -> dict[str, int]:
    """Per pair of splits, how many prompts of the later one also stand in the earlier one, word for word."""
    prompts = {name: [_prompt(row) for row in rows] for name, rows in datasets.items()}
    known = {name: set(texts) for name, texts in prompts.items()}
    names = list(datasets)
    return {
        f"{earlier} and {later}": sum(prompt in known[earlier] for prompt in prompts[later])
        for i, earlier in enumerate(names)
        for later in names[i + 1 :]
    }
