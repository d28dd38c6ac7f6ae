"""What a config says about the completions that SFT imitates."""

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Ge, Le

from workflow_scripts.holdings.texts.numbers import MAX_DECIMALS


@dataclass(frozen=True)
class LabelSettings:
    """The completions that SFT imitates."""

    decimals: Annotated[
        int, Ge(0), Le(MAX_DECIMALS), Doc("Decimals of the SFT label; test labels are never rounded.")
    ] = 2
    think_template: Annotated[
        str,
        Doc(
            "Text of the think block; {x_change} and {x_direction} stand for the change of x from t-1 to t, x one of "
            "me, be, profit, Gat, beta, aum, outaum, holding, prc. An empty text leaves the block empty."
        ),
    ] = (
        "From t-1 to t: me {me_change}, be {be_change}, profit {profit_change}, Gat {Gat_change}, beta {beta_change}, "
        "price {prc_change}, holding {holding_change}."
    )
    grpo_exemplar: Annotated[
        bool, Doc("Close GRPO prompts with an example of a think block; test prompts never have one.")
    ] = False
