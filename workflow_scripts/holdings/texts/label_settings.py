"""What a config says about the completions that SFT imitates."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Ge, Le

from workflow_scripts.holdings.texts.numbers import MAX_DECIMALS


@dataclass(frozen=True)
class LabelSettings:
    """The completions that SFT imitates."""

    decimals: Annotated[
        int,
        Ge(0),
        Le(MAX_DECIMALS),
        Doc("Decimals of the SFT label, and of money and prices in a think block; test labels are never rounded."),
    ] = 2
    think: Annotated[
        Literal["template", "none"],
        Doc(
            "What stands before the answer, in prompts, SFT data and the contract of rewards and evaluation: template, "
            "a think block, filled from think_template in SFT data; none, nothing: then a think block breaks the "
            "contract."
        ),
    ] = "template"
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
    ratio_decimals: Annotated[
        int, Ge(0), Le(MAX_DECIMALS), Doc("Decimals of the changes of profit, Gat and beta in a think block.")
    ] = 4
    grpo_exemplar: Annotated[
        bool,
        Doc("Close GRPO prompts with an example of a think block, which carries no loss; test prompts never have one."),
    ] = False
