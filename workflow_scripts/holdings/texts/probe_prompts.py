"""Questions that tell what a model knows from what it remembers, on a part of the test windows.

Each probe changes or withholds one thing of the run's own prompts, by the same builder, and asks for nothing else:

- scale: all amounts of money, prices included, times a factor of the window, as in another currency;
- identity: the stock is named where the run hides it, and hidden where the run names it;
- recall: no history, only stock, manager and quarter, and the question for the position itself;
- reidentification: the history without a name, and the question for the stock.

`probe_answers.py` has the probe that asks for nothing: it looks at the probabilities of given answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import pyarrow as pa
from annotated_doc import Doc
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FEATURES
from workflow_scripts.holdings.panel.quarters import quarter_labels
from workflow_scripts.holdings.texts.conversations import RATIOS, REFERENCE, answer_text
from workflow_scripts.holdings.texts.prompts import ROLES, Identity, PromptSettings, build_prompts, stock_lines
from workflow_scripts.holdings.texts.targets import TARGETS
from workflow_scripts.holdings.windows.lags import lagged, sample_lags

SCALE, IDENTITY, RECALL, REIDENTIFICATION = ASKED = ("scale", "identity", "recall", "reidentification")
# What is counted in dollars, a share's price included: all of them times one factor is the same window in another
# currency.
MONEY = tuple(name for name in FEATURES if name not in RATIOS)
Tickers = Mapping[int, tuple[str, str]]


@dataclass(frozen=True)
class ProbeSettings:
    """What tells knowing from remembering: the target probe."""

    windows: Annotated[int, Ge(2), Doc("Test windows per firm type that are probed, at most.")] = 300
    largest_factor: Annotated[
        float, Gt(1), Doc("Amounts of money are multiplied by factors between 1 / this and this.")
    ] = 8.0
    answers: Annotated[int, Ge(2), Doc("Answers among which the true one is ranked, itself included.")] = 10
    digit_span: Annotated[
        float,
        Gt(0),
        Lt(1),
        Doc(
            "How far apart answers may lie that differ in their last digits, as a share of the window's mean past "
            "|change|: so near that nobody can tell them apart who has not seen the true one."
        ),
    ] = 0.05
    close: Annotated[
        float, Gt(0), Lt(1), Doc("A position counts as recalled if the answer is off by at most this share of it.")
    ] = 0.1


def probed_rows(n: int, limit: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows of at most `limit` of `n` windows, drawn without replacement, in their order."""
    return np.sort(rng.permutation(n)[:limit])


def factors(n: int, largest: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Log-uniform factors from 1 / largest to largest, shape (n,)."""
    return np.exp(rng.uniform(-1, 1, n) * np.log(largest))


def in_another_currency(sample: pa.Table, factor: NDArray[np.float64]) -> pa.Table:
    """The sample with all MONEY of its history times the factor of each window, shape (n,); labels stay in dollars."""
    for lag in sample_lags(sample):
        for name in (lagged(feature, lag) for feature in MONEY):
            place = sample.column_names.index(name)
            sample = sample.set_column(place, name, pa.array(sample[name].to_numpy() * factor))
    return sample


def other_identity(identity: Identity, tickers: Tickers | None) -> Identity:
    """How the stock is named in the identity probe: hidden where the run names it, else by ticker if there are any."""
    if identity != "hidden":
        return "hidden"
    return "ticker" if tickers else "permno"


def probe_rows(
    sample: pa.Table, factor: NDArray[np.float64], settings: PromptSettings, tickers: Tickers | None = None
) -> list[dict]:
    """Rows to complete: window_id (the window's own and the probe), window, probe, identity, stock, factor, holding_t,
    messages.

    `sample` is that of the test windows, with labels, which no text shows; `factor`, shape (n,), of the scale probe.
    identity is how the prompt names the stock, stock the right answer to a reidentification; holding_t is in the
    currency of the prompt, and 0 where the answer is a position and not a change.
    """
    stocks = stock_names(sample["permno"].to_pylist(), tickers)
    held = sample["holding_t"].to_numpy()
    unchanged, none = np.ones(len(held)), np.zeros(len(held))
    renamed = replace(settings, identity=other_identity(settings.identity, tickers))
    scaled = build_prompts(in_another_currency(sample, factor), settings, tickers)
    asked: dict[str, tuple] = {
        SCALE: (settings.identity, scaled, factor, factor * held),
        IDENTITY: (renamed.identity, build_prompts(sample, renamed, tickers), unchanged, held),
        RECALL: ("ticker" if tickers else "permno", _recall_prompts(sample, tickers), unchanged, none),
        REIDENTIFICATION: ("hidden", _reidentification_prompts(sample, settings, tickers), unchanged, none),
    }
    return [
        {
            "window_id": f"{prompt['window_id']}/{probe}",
            "window": prompt["window_id"],
            "probe": probe,
            "identity": identity,
            "stock": stock,
            "factor": times,
            "holding_t": holding,
            "messages": [{"role": role, "content": prompt[role]} for role in ("system", "user")],
        }
        for probe, (identity, prompts, *numbers) in asked.items()
        for prompt, stock, times, holding in zip(prompts, stocks, *(one.tolist() for one in numbers), strict=True)
    ]


def _recall_prompts(sample: pa.Table, tickers: Tickers | None) -> list[dict[str, str]]:
    """Stock, manager and quarter t+1 in words; the answer is read as a `holding_tp1`."""
    position = TARGETS[REFERENCE]
    permnos, quarters = sample["permno"].to_pylist(), quarter_labels(sample["quarter"].to_numpy() + 1)
    keys = sample["window_id"].to_pylist(), sample["firm_type"].to_pylist(), sample["mgrno"].to_pylist()
    return [
        {
            "window_id": window_id,
            "system": "You know the quarterly holdings that institutional investors report on Form 13F.",
            "user": "\n".join(
                [
                    f"How large was this position at the end of {quarter}? Answer from memory.",
                    f"Manager: {ROLES[firm_type]}, number {mgrno} (CIK or mgrno)",
                    *stock,
                    f"{position.name} is the position at the end of {quarter}, price x shares, in {position.unit}.",
                    f"Reply with one {answer_text(position.name, '<number>')} and nothing else. The number is in "
                    f"{position.unit}, in decimals, no scientific notation.",
                ]
            ),
        }
        for window_id, firm_type, mgrno, quarter, stock in zip(
            *keys, quarters, stock_lines(permnos, "ticker", tickers or {}), strict=True
        )
    ]


def _reidentification_prompts(
    sample: pa.Table, settings: PromptSettings, tickers: Tickers | None
) -> list[dict[str, str]]:
    """The blocks of the hidden prompt under the question which stock this is; the answer is a ticker or a permno."""
    hidden = build_prompts(sample, replace(settings, identity="hidden"))
    name = "ticker" if tickers else "permno"
    question = f"These are quarters of an institution's position in one US stock. Which stock is it? Name its {name}."
    contract = f'Reply with one <answer>{{"stock": "<{name}>"}}</answer> and nothing else.'
    # The first two lines say what to forecast, the last one how.
    return [prompt | {"user": "\n".join([question, *prompt["user"].split("\n")[2:-1], contract])} for prompt in hidden]


def stock_names(permnos: list[int], tickers: Tickers | None) -> list[str]:
    """What the right answer of a reidentification is: the ticker of a stock that has one, else its permno."""
    return [tickers[permno][0] if tickers and permno in tickers else str(permno) for permno in permnos]
