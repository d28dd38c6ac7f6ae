"""What a config says about the import of one big file of holdings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import MinLen

from workflow_scripts.holdings.panel.contract import Day, FirmType, SourceColumn

Recipe = Annotated[str, MinLen(1)]


@dataclass(frozen=True)
class ImportSettings:
    """The source, where its columns differ from the recipes that are built in, and which rows are kept."""

    source: Annotated[str, MinLen(1), Doc("Stata .dta, .csv, .csv.gz, .parquet, or a folder of parquet files.")]
    columns: Annotated[
        Mapping[SourceColumn, Recipe | None],
        Doc(
            "Source column of a panel column, or a formula such as exp(LNme) or shares * abs(prc) / 1e6, where the "
            "built-in recipes do not fit; null where the source has none, and all values are then missing."
        ),
    ] = field(default_factory=dict)
    types: Annotated[
        Mapping[str, FirmType], Doc("Firm types of codes or labels beyond 0..6 and the names of the panel contract.")
    ] = field(default_factory=dict)
    delimiter: Annotated[
        Literal["comma", "semicolon", "tab", "bar"] | None,
        Doc("What separates the cells of a CSV; null takes what divides its header into most columns."),
    ] = None
    decimal: Annotated[
        Literal["point", "comma"] | None,
        Doc("Decimal mark of a CSV; null looks at its first rows, and takes the point where they leave a doubt."),
    ] = None
    missing: Annotated[
        Sequence[str],
        Doc("Texts that mean a missing value in a CSV, beyond an empty cell, NA, NaN, null and Stata's and SAS's `.`."),
    ] = ()
    start: Annotated[Day | None, Doc("First day whose quarter is kept; null keeps all.")] = None
    end: Annotated[Day | None, Doc("Last day whose quarter is kept; null keeps all.")] = None
    managers: Annotated[Sequence[int] | None, Doc("Ids of the managers to keep; null keeps all.")] = None
    stocks: Annotated[Sequence[int] | None, Doc("Ids of the stocks to keep; null keeps all.")] = None
