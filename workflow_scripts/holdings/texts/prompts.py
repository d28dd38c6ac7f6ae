"""Prompts: role, definition of the target, history blocks, output contract. Nothing dated after t."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import pyarrow as pa
from annotated_doc import Doc
from annotated_types import Ge, Le

from workflow_scripts.holdings.panel.contract import FACTORS
from workflow_scripts.holdings.texts.answers import LEVELS, QUANTILES, AnswerName, quantile_object
from workflow_scripts.holdings.texts.numbers import MAX_DECIMALS, format_numbers
from workflow_scripts.holdings.texts.targets import TARGETS, Target, TargetName, target_of
from workflow_scripts.holdings.windows.lags import history_lags, lagged
from workflow_scripts.holdings.windows.managers import TRADE_FACTS

ROLES = {
    "banks": "a bank",
    "households": "a household investor",
    "insurance_companies": "an insurance company",
    "investment_advisors": "an investment advisor",
    "mutual_funds": "a mutual fund",
    "pension_funds": "a pension fund",
    "other": "an institutional investor",
}
Identity = Literal["permno", "ticker", "hidden"]
IDENTITIES: tuple[Identity, ...] = get_args(Identity)

# In the order in which a block shows them.
BLOCK_FEATURES = (*FACTORS, "aum", "outaum", "holding_t", "prc")
# What the manager's other positions tell; a trade is defined as in `windows/managers.py`.
CONTEXT_COLUMNS = (*TRADE_FACTS, "held_quarters")
CONTEXT = """{manager data}
A trade is the change of the shares of a position over the shares before, from -1 (sold) to 1 (doubled or more).
other positions, t-1 to t: count=%s mean_trade=%s share_not_traded=%s share_sold=%s
all positions, all quarters to t: trades=%s mean_trade=%s
quarters that this position has been held: %s"""
# How the line with the change from t-1 to t begins.
LAST_CHANGE = "change of holding to t:"


@dataclass(frozen=True)
class PromptStyle:
    """What a prompt asks and shows."""

    target: Annotated[
        TargetName,
        Doc("The number to forecast: " + "; ".join(f"{one.name}, {one.meaning}" for one in TARGETS.values()) + "."),
    ] = "holding_delta"
    answer: Annotated[
        AnswerName,
        Doc(
            "How it is to be said: by one number, or by its quantiles at the levels .05, .1, .25, .5, .75, .9 and .95, "
            "which say how sure the model is."
        ),
    ] = "number"
    decimals: Annotated[int, Ge(0), Le(MAX_DECIMALS), Doc("At most this many decimals in a prompt's numbers.")] = (
        MAX_DECIMALS
    )
    identity: Annotated[
        Identity, Doc("How the stock is named: by permno, by ticker and company, or not at all (hidden).")
    ] = "permno"
    manager_context: Annotated[
        bool,
        Doc("Show what the manager did with his other positions until t, and with all before: what baselines see too."),
    ] = False


@dataclass(frozen=True)
class PromptSettings(PromptStyle):
    """The style, how many quarters of history a prompt shows, and whether it asks for a think block."""

    history_quarters: int = 4
    think: bool = True


def system_prompt(firm_type: str) -> str:
    """Role of the firm type; KeyError for one that is not in the panel contract."""
    return (
        f"You manage the stock portfolio of {ROLES[firm_type]}. From the last quarters of one position "
        "you forecast the next one."
    )


def block_name(lag: int) -> str:
    """`{t-3 data}` for lag 3, `{t data}` for lag 0."""
    return f"{{t-{lag} data}}" if lag else "{t data}"


def _block_template(lag: int) -> str:
    """A block with %s for the values of `BLOCK_FEATURES` and, but for the last block, of the change to the next."""
    lines = [
        block_name(lag),
        " ".join(f"{name}=%s" for name in FACTORS),
        "aum=%s outaum=%s",
        "holding=%s price=%s",
    ]
    if lag:
        lines.append(f"change of holding to {block_name(lag - 1)[1:-6]}: %s")
    return "\n".join(lines)


def _definition(target: Target) -> str:
    return (
        f"{target.name} is {target.meaning}: "
        f"{target.name} = {target.formula}, where holding = price x shares, in {target.unit}."
    )


def _contract(target: Target, settings: PromptSettings, holding_t: str) -> str:
    said, rule = "<number>", f"The number is in {target.unit}, in decimals, no scientific notation, and {target.bound}."
    if settings.answer == "quantiles":
        said = quantile_object([said] * len(LEVELS))
        *names, last = QUANTILES
        *percents, highest = (f"{100 * level:g}" for level in LEVELS)
        rule = (
            f"{', '.join(names)} and {last} are the quantiles of {target.name} at {', '.join(percents)} and {highest} "
            f"%: it is below {names[0]} with a probability of {percents[0]} %, and so on. None is below the one before "
            f"it. The numbers are in {target.unit}, in decimals, no scientific notation, and for each of them "
            f"{target.bound}."
        )
    answer = f'<answer>{{"{target.name}": {said}}}</answer>'
    form = f"one <think>...</think> block, then one {answer}" if settings.think else f"one {answer} and nothing else"
    return f"Reply with {form}. {rule}".replace("{holding_t}", holding_t)


def _manager_context(sample: pa.Table, decimals: int) -> list[str]:
    """What the manager did elsewhere, one text per window: the facts that are features of the baselines."""
    columns = [sample[name].to_numpy() for name in CONTEXT_COLUMNS]
    texts = (format_numbers(column, decimals) for column in columns)
    return [CONTEXT % row for row in zip(*texts, strict=True)]


def build_prompts(
    sample: pa.Table, settings: PromptSettings, tickers: Mapping[int, tuple[str, str]] | None = None
) -> list[dict[str, str]]:
    """One dict per sampled window, in order: window_id, system, user.

    `sample` is the table of `attach_history`, with manager_context that of `attach_managers`; `tickers` maps permno to
    (ticker, company) and is used with identity `ticker`, where a stock without an entry falls back to its permno. Only
    columns at lag >= 0 are read, so that nothing of t+1 can enter. Raises ValueError for unknown settings.
    """
    target = target_of(settings.target)
    if settings.identity not in IDENTITIES:
        raise ValueError(f"identity {settings.identity!r} is unknown; choose one of {', '.join(IDENTITIES)}")
    lags = history_lags(settings.history_quarters)
    holding = {lag: sample[lagged("holding_t", lag)].to_numpy() for lag in lags}
    blocks = []
    for lag in lags:
        values = [sample[lagged(name, lag)].to_numpy() for name in BLOCK_FEATURES]
        if lag:
            values.append(holding[lag - 1] - holding[lag])
        # One template for all rows: filling it is several times faster than joining a row's lines.
        template = _block_template(lag)
        texts = (format_numbers(column, settings.decimals) for column in values)
        blocks.append([template % row for row in zip(*texts, strict=True)])
    if settings.manager_context:
        blocks.append(_manager_context(sample, settings.decimals))
    intro = f"Forecast {target.name}.", _definition(target)
    stocks = stock_lines(sample["permno"].to_pylist(), settings.identity, tickers or {})
    # The bound is printed at full precision: it is a limit, not a description.
    contracts = [_contract(target, settings, bound) for bound in format_numbers(holding[0])]
    system = {firm_type: system_prompt(firm_type) for firm_type in set(sample["firm_type"].to_pylist())}
    keys = sample["window_id"].to_pylist(), sample["firm_type"].to_pylist()
    return [
        {"window_id": window_id, "system": system[firm_type], "user": "\n".join((*intro, *stock, *texts))}
        for window_id, firm_type, stock, *texts in zip(*keys, stocks, *blocks, contracts, strict=True)
    ]


def stock_lines(permnos: list[int], identity: str, tickers: Mapping[int, tuple[str, str]]) -> list[tuple[str, ...]]:
    """The line that names the stock, of each permno; none where the identity is hidden."""
    if identity == "hidden":
        return [()] * len(permnos)
    lines: list[tuple[str, ...]] = []
    for permno in permnos:
        if identity == "ticker" and permno in tickers:
            ticker, company = tickers[permno]
            lines.append((f"Ticker: {ticker} ({company})" if company else f"Ticker: {ticker}",))
        else:
            lines.append((f"Ticker: permno {permno}",))
    return lines
