"""The ways to train a stage: ms-swift's class of options for each, and our class of settings."""

from dataclasses import dataclass

from workflow_scripts.training.training_settings import GrpoSettings, LoraSettings


@dataclass(frozen=True)
class Method:
    """A method: the class of its options in `swift.arguments`, and of its settings."""

    arguments: str
    settings: type[LoraSettings]


METHODS = {
    "sft": Method("SftArguments", LoraSettings),
    "grpo": Method("RLHFArguments", GrpoSettings),
}
