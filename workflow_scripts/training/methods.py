"""The ways to train a stage: ms-swift's command and class of options, and the settings that belong to it."""

from dataclasses import dataclass

from workflow_scripts.training.training_settings import GrpoSettings, LoraSettings


@dataclass(frozen=True)
class Method:
    """A method: the command `swift.cli.{command}`, the class of its options in `swift.arguments`, its settings."""

    command: str
    arguments: str
    settings: type[LoraSettings]


METHODS = {
    "sft": Method("sft", "SftArguments", LoraSettings),
    "grpo": Method("rlhf", "RLHFArguments", GrpoSettings),
}
