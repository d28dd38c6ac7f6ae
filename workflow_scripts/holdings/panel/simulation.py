"""A simulated panel with a known law, so that a reader sees what a perfect forecast would score.

The law: a manager trades, valued at the price of t,

    active_delta = drift[firm_type] + persistence * (holding(t) - holding(t-1)) + noise,

noise ~ N(0, noise_sd^2), in $ million, floored so that the position stays >= 0. Then the price moves what he holds:

    holding(t+1) = (holding(t) + active_delta) * price(t+1) / price(t).

He follows the last change of the position's value, its price gain included, so that the last two positions say all
that can be known. The stock's log return is symmetric around zero and nobody can forecast it: it makes the dollar
change noisier than the active change. It is far smaller than a real one (`return_sd`), because the demo's tiny model is
trained on dollar changes and would learn nothing beside real returns.

Positions enter with lognormal (heavy-tailed) sizes at any quarter; one below `exit_below` is sold off with
probability `exit_probability` a quarter; zero rows follow an exit for up to 11 quarters, and after a quarter without a
row the pair may come back; single rows are lost (gaps); factors are missing at random. Prices and factors belong to the
stock and are the same for all firm types. Factors carry no information about the change.

Because the noise is symmetric, `oracle_delta` is the conditional median of the active change (sell-offs aside), hence
the forecast of it with the least expected absolute error. Log returns are symmetric, too, so that it is the median of
the dollar change but for the product of noise and return, which is small beside both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from annotated_doc import Doc
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import ArrayLike, NDArray

from workflow_scripts.holdings.panel.contract import FACTORS
from workflow_scripts.holdings.panel.quarters import quarter_starts
from workflow_scripts.plumbing.random_streams import random_stream

Array = NDArray[np.float64]
MAX_ZERO_QUARTERS = 11
# Managers are drawn in blocks, so that a panel of any size needs the memory of one block.
BLOCK_MANAGERS = 1000


@dataclass(frozen=True)
class SimulationSettings:
    """Size and law of the simulated panel; money in $ million per quarter."""

    managers: Annotated[int, Ge(1), Doc("Managers per firm type.")] = 40
    stocks: Annotated[int, Ge(1), Doc("Stocks that all firm types share.")] = 60
    stocks_per_manager: Annotated[int, Ge(1), Doc("Stocks that a manager ever holds.")] = 15
    first_year: Annotated[int, Ge(1900), Le(2200), Doc("First year of the panel.")] = 2010
    last_year: Annotated[int, Ge(1900), Le(2200), Doc("Last year of the panel, included.")] = 2021
    persistence: Annotated[float, Gt(-1), Lt(1), Doc("Share of the last change that returns in the next.")] = 0.8
    noise_sd: Annotated[
        float, Gt(0), Doc("Standard deviation of the part of a change that nobody can forecast, $ million.")
    ] = 0.2
    return_sd: Annotated[
        float,
        Ge(0),
        Le(0.15),
        Doc("Standard deviation of a stock's log return per quarter; of real stocks about 0.15."),
    ] = 0.0025
    exit_below: Annotated[float, Ge(0), Doc("Positions below this, $ million, may be sold off.")] = 1.5
    exit_probability: Annotated[float, Ge(0), Le(1), Doc("Probability per quarter that such a position is sold.")] = 0.2
    gap_probability: Annotated[float, Ge(0), Le(1), Doc("Share of the rows that are lost.")] = 0.01
    missing_probability: Annotated[float, Ge(0), Le(1), Doc("Share of the factors' values that are missing.")] = 0.03

    @property
    def quarters(self) -> NDArray[np.int32]:
        """Ids of all quarters, first to last."""
        return np.arange(4 * self.first_year, 4 * self.last_year + 4, dtype=np.int32)


def oracle_delta(holding_t: ArrayLike, holding_lag1: ArrayLike, drift: float, persistence: float) -> NDArray:
    """Conditional median of the active change ($ million) under the law; shape (n,).

    >>> oracle_delta([10.0, 0.1], [9.0, 1.1], drift=-0.2, persistence=0.4).tolist()
    [0.2, -0.1]
    """
    holding_t, holding_lag1 = np.asarray(holding_t, float), np.asarray(holding_lag1, float)
    return np.maximum(drift + persistence * (holding_t - holding_lag1), -holding_t)


def simulate_stocks(settings: SimulationSettings, seed: int) -> dict[str, Array]:
    """Price ($) and factors of every stock and quarter, arrays of shape (quarters, stocks)."""
    rng = random_stream(seed, "stocks")
    shape = (len(settings.quarters), settings.stocks)
    # Heavy-tailed as returns are; a t distribution with 5 degrees of freedom has a variance of 5/3.
    log_return = np.clip(rng.standard_t(5, shape) / np.sqrt(5 / 3), -6, 6) * settings.return_sd
    price = np.exp(np.log(rng.uniform(10, 150, shape[1])) + np.cumsum(log_return, axis=0))
    shares_outstanding = np.exp(rng.normal(6.0, 1.0, shape[1]))  # million
    me = price * shares_outstanding
    stocks = {
        "prc": price,
        "me": me,
        "be": me * np.exp(rng.normal(-0.8, 0.5, shape[1]) + rng.normal(0, 0.05, shape)),
        "profit": rng.normal(0.25, 0.15, shape[1]) + rng.normal(0, 0.03, shape),
        "Gat": rng.normal(0.08, 0.12, shape),
        "beta": rng.normal(1.0, 0.3, shape[1]) + rng.normal(0, 0.04, shape),
    }
    for factor in FACTORS:
        stocks[factor] = np.where(rng.random(shape) < settings.missing_probability, np.nan, stocks[factor])
    return stocks


def simulate_panel(firm_type: str, drift: float, settings: SimulationSettings, seed: int) -> Iterator[pa.Table]:
    """One slice by the panel contract, sorted by (mgrno, permno, date), in blocks of whole managers.

    `drift` is the firm type's constant in the law. The same seed gives the same bytes, and a firm
    type's slice depends on no other's.
    """
    stocks = simulate_stocks(settings, seed)
    for first in range(0, settings.managers, BLOCK_MANAGERS):
        managers = np.arange(first, min(first + BLOCK_MANAGERS, settings.managers))
        rng = random_stream(seed, "positions", firm_type, *([str(first)] if first else []))
        yield _simulate_managers(firm_type, drift, settings, stocks, managers, rng)


def _simulate_holdings(price: Array, drift: float, settings: SimulationSettings, rng: np.random.Generator) -> Array:
    """Positions by the law of the module's docstring, $ million, shape (quarters, pairs); NaN where there is no row.

    `price` is that of each pair's stock, shape (quarters, pairs).
    """
    n_quarters, n_pairs = price.shape
    gross_return = np.vstack([np.ones(n_pairs), price[1:] / price[:-1]])
    typical_change = drift / (1 - settings.persistence)
    change_sd = settings.noise_sd / np.sqrt(1 - settings.persistence**2)

    # State of each pair: absent until `entry`, held, or sold with `zeros` zero rows still to come.
    entry = np.where(rng.random(n_pairs) < 0.6, 0, rng.integers(1, n_quarters, n_pairs))
    held, zero_row = np.zeros(n_pairs, dtype=bool), np.zeros(n_pairs, dtype=bool)
    zeros = np.zeros(n_pairs, dtype=int)
    holding, change = np.zeros(n_pairs), np.zeros(n_pairs)
    holdings = np.full((n_quarters, n_pairs), np.nan)
    for t in range(n_quarters):
        noise = rng.normal(0, settings.noise_sd, n_pairs)
        moved = np.maximum(0.0, holding + drift + settings.persistence * change + noise) * gross_return[t]
        sold = (moved < settings.exit_below) & (rng.random(n_pairs) < settings.exit_probability)
        moved[sold] = 0.0
        change = np.where(held, moved - holding, change)
        holding = np.where(held, moved, 0.0)
        exits = held & (holding == 0)
        had_zero_row, zero_row = zero_row, exits | (~held & (zeros > 0))
        zeros = np.where(exits, rng.integers(0, MAX_ZERO_QUARTERS, n_pairs), np.maximum(zeros - 1, 0))
        held &= ~exits
        size = rng.lognormal(3.0, 1.0, n_pairs) + 2.0
        first_change = rng.normal(typical_change, change_sd, n_pairs)
        # A quarter without a row lies between a zero row and a return: 0 -> size would not be the law's change.
        returns = (t > entry) & (rng.random(n_pairs) < 0.15) & ~zero_row & ~had_zero_row
        enters = ~held & ((entry == t) | returns)
        holding, change = np.where(enters, size, holding), np.where(enters, first_change, change)
        held |= enters
        holdings[t] = np.where(held | zero_row, holding, np.nan)
    holdings[rng.random(holdings.shape) < settings.gap_probability] = np.nan
    return holdings


def _simulate_managers(
    firm_type: str,
    drift: float,
    settings: SimulationSettings,
    stocks: dict[str, Array],
    managers: NDArray[np.intp],
    rng: np.random.Generator,
) -> pa.Table:
    """The rows of some managers: their positions with labels, the managers' assets and the stocks' columns."""
    per_manager = min(settings.stocks_per_manager, settings.stocks)
    stock = np.concatenate([np.sort(rng.choice(settings.stocks, per_manager, replace=False)) for _ in managers])
    manager = np.repeat(np.arange(len(managers)), per_manager)
    holdings = _simulate_holdings(stocks["prc"][:, stock], drift, settings, rng)
    inside = np.array([np.bincount(manager, np.nan_to_num(row), minlength=len(managers)) for row in holdings])
    outside = (inside + 10.0) * np.exp(rng.normal(-0.5, 0.3, inside.shape))
    # A row for every cell (quarter, pair) that is there.
    pair, t = np.nonzero(~np.isnan(holdings.T))
    following = np.vstack([holdings[1:], np.full((1, len(stock)), np.nan)])
    rows = {
        "type": pa.repeat(firm_type, len(t)),
        "mgrno": managers[manager[pair]] + 1,
        "permno": (stock[pair] + 10001).astype(np.int64),
        "date": quarter_starts(settings.quarters[t]),
        "holding_t": holdings[t, pair],
        "holding_t1": following[t, pair],
        **{name: stocks[name][t, stock[pair]] for name in FACTORS},
        "aum": (inside + outside)[t, manager[pair]],
        "outaum": outside[t, manager[pair]],
        "prc": stocks["prc"][t, stock[pair]],
    }
    return pa.table(rows)
