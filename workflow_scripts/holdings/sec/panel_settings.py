"""What a config says about the panel that is made of the filings: files of the user's own, and what becomes a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Ge, Gt, Lt

from workflow_scripts.holdings.panel.simulation import MAX_ZERO_QUARTERS

Characteristic = Literal["me", "be", "profit", "Gat", "beta"]


@dataclass(frozen=True)
class SecPanelSettings:
    """Where types, tickers and company reports come from, and which positions become rows."""

    types: Annotated[
        str | None, Doc("CSV with cik, type; managers that it does not name get theirs by name and registration.")
    ] = None
    identifiers: Annotated[
        str | None,
        Doc(
            "Folder with cnsfails*.zip of the SEC's, its company_tickers.json, and CSV files with cusip and ticker or "
            "cik: what gives a CUSIP its ticker, and its company."
        ),
    ] = None
    fundamentals: Annotated[
        str | None,
        Doc("Folder of Financial Statement Data Sets (2010q2.zip), or a CSV of company reports (data/README.md)."),
    ] = None
    values: Annotated[
        str | None,
        Doc(
            "CSV with cusip or ticker, date and any of prc, me, be, profit, Gat, beta: where it has a value, that one "
            "counts."
        ),
    ] = None
    needed: Annotated[
        Sequence[Characteristic] | None,
        Doc(
            "What a stock must have in a quarter, else positions in it are outside assets; null means me and be where "
            "fundamentals is given, and nothing where not."
        ),
    ] = None
    exit_quarters: Annotated[
        int, Ge(0), Doc("Zero rows after a position that was sold, in quarters that the manager filed for.")
    ] = MAX_ZERO_QUARTERS
    households_below: Annotated[
        float | None,
        Gt(0),
        Doc("Managers whose aum has not yet reached this, $ million, are households; null leaves them as they are."),
    ] = None
    winsorise: Annotated[
        float | None,
        Gt(0),
        Lt(0.5),
        Doc(
            "Share of the stocks in each tail beyond which profit, Gat and beta are cut, at limits of the four "
            "quarters before; null cuts nothing."
        ),
    ] = None
    beta_quarters: Annotated[int, Ge(2), Doc("Quarterly returns that beta is estimated from, the last at t.")] = 20
    beta_min_quarters: Annotated[int, Ge(2), Doc("Fewer returns than this leave beta missing.")] = 12
    stale_quarters: Annotated[
        int, Ge(1), Doc("Quarters after its period's end in which a company report still counts.")
    ] = 6
