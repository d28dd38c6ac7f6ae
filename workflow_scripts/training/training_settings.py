"""What a config says about trainings: LoRA and optimisation, and what GRPO adds. Names are ms-swift's.

The defaults are the published recipe's.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_doc import Doc
from annotated_types import Ge, Gt, Le, Lt, MinLen, Predicate

# Settings of ours that are no options of ms-swift.
OWN_SETTINGS = (
    "num_gpus", "max_dropped_share", "validation_share", "validation_quarters", "keep", "early_stopping", "tracking",
    "stall_minutes", "extra_args",
)  # fmt: skip


def is_steps_or_share(number: float) -> bool:
    """Whether a number is a share below 1, or a whole number of steps.

    >>> [is_steps_or_share(number) for number in (0.1, 25, 2.5)]
    [True, True, False]
    """
    return number < 1 or number == int(number)


@dataclass(frozen=True)
class LoraSettings:
    """LoRA fine-tuning of one stage, as ms-swift takes it."""

    lora_rank: Annotated[int, Ge(1), Doc("Rank of the LoRA matrices.")] = 8
    lora_alpha: Annotated[
        int, Ge(1), Doc("Numerator of the LoRA scaling: the update is multiplied by alpha / rank.")
    ] = 32
    target_modules: Annotated[str, MinLen(1), Doc("Modules that get LoRA matrices, in ms-swift's words.")] = (
        "all-linear"
    )
    learning_rate: Annotated[float, Gt(0), Doc("Peak learning rate.")] = 1e-4
    num_train_epochs: Annotated[float, Gt(0), Doc("Passes over the data.")] = 1.0
    max_steps: Annotated[int, Ge(-1), Doc("Optimizer steps; -1 leaves the number to num_train_epochs.")] = -1
    per_device_train_batch_size: Annotated[
        int, Ge(1), Doc("Samples (GRPO counts completions) per device and forward pass.")
    ] = 1
    gradient_accumulation_steps: Annotated[int, Ge(1), Doc("Forward passes per optimizer step.")] = 16
    max_length: Annotated[
        int, Ge(16), Doc("Longest sample (in GRPO: longest prompt) in tokens; longer ones are left out and counted.")
    ] = 2048
    save_steps: Annotated[
        float,
        Gt(0),
        Predicate(is_steps_or_share),
        Doc(
            "Optimizer steps between checkpoints, which are also those of the validation; below 1 a share of all steps."
        ),
    ] = 0.1
    logging_steps: Annotated[int, Ge(1), Doc("Optimizer steps between log lines.")] = 5
    warmup_ratio: Annotated[float, Ge(0), Le(1), Doc("Share of the steps in which the learning rate rises.")] = 0.05
    lr_scheduler_type: Annotated[
        Literal["cosine", "linear", "constant", "constant_with_warmup"],
        Doc("Shape of the learning rate after the warm-up."),
    ] = "cosine"
    gradient_checkpointing: Annotated[
        bool, Doc("Compute activations again in the backward pass: less memory for more time.")
    ] = True
    attn_impl: Annotated[
        str,
        Doc("Attention of transformers: sdpa, flash_attention_2, eager; an empty text leaves the choice to ms-swift."),
    ] = ""
    deepspeed: Annotated[
        str, Doc("ZeRO stage of ms-swift (zero2, zero3, ...; needs the package deepspeed); an empty text for none.")
    ] = ""
    num_gpus: Annotated[
        int,
        Ge(1),
        Doc("GPUs of a training job, each with a batch of its own; more than 1 start torch's distributed launcher."),
    ] = 1
    max_dropped_share: Annotated[
        float, Ge(0), Le(1), Doc("A training fails if a larger share of its samples is longer than max_length.")
    ] = 0.05
    validation_share: Annotated[
        float,
        Ge(0),
        Lt(1),
        Doc("Share of the samples, whole pairs of manager and stock, that is held out of the training to validate it."),
    ] = 0.0
    validation_quarters: Annotated[
        int, Ge(0), Doc("Or the last quarters of the stage's own split are held out; test quarters never are.")
    ] = 0
    keep: Annotated[
        Literal["last", "best"],
        Doc("Which checkpoint becomes the adapter: the last, or that of the best validation (loss; GRPO: reward)."),
    ] = "last"
    early_stopping: Annotated[
        int, Ge(0), Doc("The training ends after so many validations in a row without a new best one; 0 for never.")
    ] = 0
    tracking: Annotated[
        Literal["none", "tensorboard", "wandb", "trackio", "swanlab"],
        Doc("Where curves are sent while it trains; needs the package of that name, and its key in the environment."),
    ] = "none"
    stall_minutes: Annotated[
        float,
        Ge(0),
        Doc("A training that logs nothing for so long is ended, with its stacks in the trainer's log; 0 for never."),
    ] = 60.0
    extra_args: Annotated[
        dict[str, Any], Doc("Further options of ms-swift by name, checked against its own before a training is queued.")
    ] = field(default_factory=dict)


@dataclass(frozen=True)
class GrpoSettings(LoraSettings):
    """What GRPO adds; rewards and weights belong together, in order."""

    lora_rank: Annotated[int, Ge(1), Doc("Rank of the LoRA matrices.")] = 32
    lora_alpha: Annotated[
        int, Ge(1), Doc("Numerator of the LoRA scaling: the update is multiplied by alpha / rank.")
    ] = 128
    learning_rate: Annotated[float, Gt(0), Doc("Peak learning rate.")] = 1e-6
    per_device_train_batch_size: Annotated[int, Ge(1), Doc("Completions per device and forward pass.")] = 8
    gradient_accumulation_steps: Annotated[int, Ge(1), Doc("Forward passes per optimizer step.")] = 2
    logging_steps: Annotated[int, Ge(1), Doc("Optimizer steps between log lines.")] = 1
    num_generations: Annotated[int, Ge(2), Doc("Completions sampled per prompt.")] = 8
    max_completion_length: Annotated[int, Ge(1), Doc("Longest completion in tokens.")] = 512
    temperature: Annotated[float, Gt(0), Doc("Sampling temperature of the rollouts.")] = 0.9
    beta: Annotated[float, Ge(0), Doc("Weight of the KL divergence from the start model.")] = 0.02
    loss_type: Annotated[
        Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo"],
        Doc("How the losses of the tokens are clipped and averaged, in ms-swift's words (docs/recipes.md)."),
    ] = "grpo"
    scale_rewards: Annotated[
        Literal["group", "batch", "none", "gdpo"],
        Doc("Standard deviation that divides the advantages; gdpo divides each reward's by its own."),
    ] = "group"
    steps_per_generation: Annotated[
        int | None,
        Ge(1),
        Doc(
            "Forward passes that share one rollout; null for gradient_accumulation_steps, one update per rollout. A "
            "multiple of it gives that many updates, and only then is there anything to clip."
        ),
    ] = None
    epsilon: Annotated[
        float, Gt(0), Doc("How far the ratio to the policy that drew the rollout may move from 1 before it is clipped.")
    ] = 0.2
    epsilon_high: Annotated[
        float | None, Gt(0), Doc("The same upwards, null for epsilon; of the loss cispo, the cap of the ratio itself.")
    ] = None
    importance_sampling_level: Annotated[
        Literal["token", "sequence", "sequence_token"],
        Doc("Whether that ratio is one per token or one per completion (sequence, as in GSPO)."),
    ] = "token"
    dynamic_sample: Annotated[
        bool, Doc("Draw other prompts in place of those whose completions all earn the same (DAPO).")
    ] = False
    overlong_filter: Annotated[
        bool, Doc("Leave completions that were cut at max_completion_length out of the loss.")
    ] = False
    rewards: Annotated[list[str], MinLen(1), Doc("Reward functions, of the table in config/README.md.")] = field(
        default_factory=lambda: ["contract_holdings", "mse_holdings"]
    )
    reward_weights: Annotated[list[float], MinLen(1), Doc("One weight per reward, in the same order.")] = field(
        default_factory=lambda: [0.3, 0.7]
    )
    use_vllm: Annotated[
        bool, Doc("Rollouts by vLLM on the training GPU (needs the package vllm) instead of transformers.")
    ] = False
    vllm_gpu_memory_utilization: Annotated[float, Gt(0), Le(1), Doc("Share of the GPU's memory that vLLM takes.")] = 0.4
    sleep_level: Annotated[
        Literal[0, 1, 2], Doc("How much of that memory vLLM gives back while the weights are trained (2: all).")
    ] = 0
    offload_model: Annotated[bool, Doc("The trained model waits in main memory while vLLM draws.")] = False
    offload_optimizer: Annotated[bool, Doc("So does the optimizer.")] = False
    rollout_importance_sampling_mode: Annotated[
        Literal["none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"],
        Doc("Correction for the difference between vLLM's probabilities and the trainer's; none leaves it out."),
    ] = "none"
    structured_outputs: Annotated[
        bool, Doc("vLLM draws nothing but completions of the contract's form. Then that form is not learnt.")
    ] = False
    log_completions: Annotated[
        bool, Doc("Keep prompts and completions with their rewards in the store, and send them to wandb or swanlab.")
    ] = False
