"""What a config says about the demo's base model; apart from its making, which imports torch."""

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Ge, Gt, Le


@dataclass(frozen=True)
class DemoModelSettings:
    """Size and pretraining of the tiny model."""

    vocabulary: Annotated[int, Ge(300), Doc("Tokens of the byte-level BPE, fixed texts not counted.")] = 512
    hidden: Annotated[int, Ge(8), Doc("Width of the model.")] = 64
    layers: Annotated[int, Ge(1), Doc("Transformer layers.")] = 3
    heads: Annotated[int, Ge(1), Doc("Attention heads; they divide the width.")] = 4
    feed_forward: Annotated[int, Ge(8), Doc("Width of the feed-forward part.")] = 192
    steps: Annotated[int, Ge(1), Doc("Optimizer steps over all phases of the curriculum.")] = 300
    batch: Annotated[
        int, Ge(1), Doc("Examples per step with full prompts; shorter prompts come in larger batches.")
    ] = 24
    learning_rate: Annotated[float, Gt(0), Doc("Peak learning rate.")] = 4e-3
    malformed_share: Annotated[
        float, Ge(0), Le(1), Doc("Share of the last changes whose pretraining answers break the output contract.")
    ] = 0.4
    windows_per_type: Annotated[int, Ge(1), Doc("Windows per firm type in the corpus.")] = 2500
