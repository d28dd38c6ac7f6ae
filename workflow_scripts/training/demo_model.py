"""The demo's base model: a tiny Qwen2 and its tokenizer, built and pretrained on the spot.

No weights are downloaded. The model is meant to be a *base* model: it knows the shape of the task
badly. Its corpus is a panel simulated with another law (no drift, weaker persistence) and other
quarters' draws than the run's, and its answers to a share of the last changes are malformed. What is left to
learn for SFT and GRPO: the drift of the firm type, the persistence, and the discipline of the contract.

Steps: train a Qwen2 tokenizer with the ChatML template; pretrain with a curriculum from
short prompts (last change only) to full ones; save as safetensors with a config that transformers and
ms-swift load as `qwen2`.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from workflow_scripts.holdings.panel.contract import FIRM_TYPES
from workflow_scripts.holdings.panel.simulation import SimulationSettings, oracle_delta, simulate_panel
from workflow_scripts.holdings.panel.slices import typed_table
from workflow_scripts.holdings.panel.stock_quarters import StockQuarters, stock_quarters
from workflow_scripts.holdings.texts.conversations import ThinkStyle, sft_rows
from workflow_scripts.holdings.texts.numbers import format_numbers
from workflow_scripts.holdings.texts.prompts import LAST_CHANGE, PromptSettings, build_prompts
from workflow_scripts.holdings.windows.history import attach_history
from workflow_scripts.holdings.windows.lags import lagged
from workflow_scripts.holdings.windows.managers import ManagerQuarters, attach_managers, manager_quarters
from workflow_scripts.holdings.windows.windows import build_windows
from workflow_scripts.plumbing.random_streams import random_stream
from workflow_scripts.training.demo_settings import DemoModelSettings

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Target of positions without loss. Only completions are learned: prompts are random numbers.
IGNORED = -100
# The usual 0.02 is made for wide models; at width 64 it costs thousands of steps before attention forms.
INITIALIZER_RANGE = 0.1
# The law of the corpus: the base model expects weaker persistence than the run's, and no drift.
BASE_PERSISTENCE, BASE_NOISE_SD, BASE_LABEL_NOISE_SD = 0.4, 0.5, 0.03
GOLDEN_RATIO = (1 + 5**0.5) / 2


@dataclass(frozen=True)
class CorpusStyle:
    """The form of prompts and completions, so that the base model knows the shape of the run's task."""

    prompts: PromptSettings
    think: ThinkStyle | None
    label_decimals: int


@dataclass(frozen=True)
class Example:
    """One conversation of the corpus: system and user text, and the completion to imitate."""

    system: str
    user: str
    completion: str


def chat_text(system: str, user: str) -> str:
    """The ChatML prompt up to the assistant's turn."""
    return f"{START}system\n{system}{END}\n{START}user\n{user}{END}\n{START}assistant\n"


def fixed_texts(examples: Sequence[Example]) -> list[str]:
    """What stands between numbers and line ends in at least one example of ten, most frequent first."""
    counts: Counter[str] = Counter()
    for example in examples:
        texts = (example.system, example.user, example.completion)
        # Sorted: the order of a set differs from process to process, and ties are broken by the order of arrival.
        counts.update(sorted({piece for text in texts for piece in re.findall(r"[^0-9\n]{2,}", text)}))
    return [piece for piece, count in counts.most_common() if count >= 0.1 * len(examples)]


def train_tokenizer(examples: Sequence[Example], vocabulary: int) -> Qwen2Tokenizer:
    """Qwen2's byte-level BPE trained on `examples`, with whole tokens for the fixed texts of the prompts.

    A Qwen2 tokenizer splits text by Qwen2's own rule, digit by digit in numbers, whatever a
    tokenizer.json says, so longer tokens have to be added tokens. They make prompts short. The line with
    the last change is one token for changes below ten: looking a number up by the label before it takes
    a model of this size far longer to learn than a demo has.
    """
    texts = [chat_text(e.system, e.user) + e.completion for e in examples]
    tokenizer = Qwen2Tokenizer().train_new_from_iterator(
        texts, vocabulary, new_special_tokens=[START, END], show_progress=False
    )
    changes = format_numbers(np.arange(-99, 100) / 10, 1)
    added = [*(f"{LAST_CHANGE} {change}\n" for change in changes), *fixed_texts(examples)]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in added])
    tokenizer.pad_token, tokenizer.eos_token, tokenizer.model_max_length = PAD, END, 2048
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def is_malformed(last_change: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Which answers of the corpus break the contract: those to a `share` of all values of the last change; shape (n,).

    The model reads the last change, rounded to a tenth of a million, as one token. If answers broke at random, the
    likeliest answer would still be a valid one, and greedy decoding would show no fault. The multiples of the golden
    ratio spread the values evenly over [0, 1).

    >>> is_malformed(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), share=0.4).tolist()
    [False, True, False, False, True]
    """
    return np.rint(10 * last_change) * GOLDEN_RATIO % 1 < share


def malform(completion: str, rng: np.random.Generator) -> str:
    """A completion that breaks the output contract in one of the ways of real base models.

    The first two: no think block, or no tags around it, where one is asked for; one, or other words, where none is.
    """
    think, has_think, answer = completion.rpartition("</think>")
    think = think.removeprefix("<think>")
    breaks = (
        lambda: answer if has_think else f"<think></think>{answer}",
        lambda: f"{think} {answer}" if has_think else f"The answer is {answer}",
        lambda: completion.replace("<answer>", "").replace("</answer>", ""),
        lambda: completion.replace("}", ""),
        lambda: completion + answer,
    )
    return breaks[rng.integers(len(breaks))]()


def _with_managers(sample: pa.Table, panel: pa.Table) -> pa.Table:
    stocks = StockQuarters(stock_quarters(lambda columns: [panel]))
    return attach_managers(sample, ManagerQuarters(manager_quarters([panel], stocks)), stocks)


def build_corpus(style: CorpusStyle, malformed_share: float, windows_per_type: int, seed: int) -> list[Example]:
    """Shuffled examples of all firm types, from panels that share no random stream with a run's."""
    rng = random_stream(seed, "demo_model")
    simulation = SimulationSettings(persistence=BASE_PERSISTENCE, noise_sd=BASE_NOISE_SD)
    n = style.prompts.history_quarters
    examples = []
    for firm_type in FIRM_TYPES:
        panel = typed_table(pa.concat_tables(simulate_panel(firm_type, 0.0, simulation, int(rng.integers(2**31)))))
        windows = build_windows(panel, n)
        usable = np.flatnonzero(~windows["zero_holding"].to_numpy())
        windows = windows.take(rng.permutation(usable)[:windows_per_type])
        sample = attach_history(windows, panel, firm_type, n)
        if style.prompts.manager_context:
            sample = _with_managers(sample, panel)
        # Labels follow the base law almost exactly: with its full noise the model would need far longer.
        held = sample["holding_t"].to_numpy()
        known = oracle_delta(held, sample[lagged("holding_t", 1)].to_numpy(), 0.0, BASE_PERSISTENCE)
        label = np.maximum(0.0, held + known + rng.normal(0, BASE_LABEL_NOISE_SD, len(held)))
        sample = sample.set_column(sample.column_names.index("holding_t1"), "holding_t1", pa.array(label))
        # Prices play no part in the base law, so that every target is the same change.
        for name, value in (("price_ratio", 1.0), ("split_ratio", np.nan)):
            sample = sample.append_column(name, pa.array(np.full(len(held), value)))
        prompts = build_prompts(sample, style.prompts)
        rows, _ = sft_rows(
            prompts, sample, style.prompts.target, style.label_decimals, style.think, style.prompts.answer
        )
        malformed = is_malformed(held - sample[lagged("holding_t", 1)].to_numpy(), malformed_share)
        for row, breaks in zip(rows, malformed, strict=True):
            system, user, completion = (message["content"] for message in row["messages"])
            if breaks:
                completion = malform(completion, rng)
            examples.append(Example(system, user, completion))
    return [examples[i] for i in rng.permutation(len(examples))]


def thin(example: Example, keep: float, rng: np.random.Generator) -> Example:
    """The same example with each prompt line kept with probability `keep`; the last change always is."""
    first, *lines = example.user.split("\n")
    kept = rng.random(len(lines)) < keep
    lines = [line for line, k in zip(lines, kept, strict=True) if k or line.startswith(LAST_CHANGE)]
    return replace(example, user="\n".join([first, *lines]))


def curriculum(corpus: Sequence[Example], settings: DemoModelSettings, seed: int) -> Callable[[int], list[Example]]:
    """Function step -> batch for `pretrain`: from the last change alone to prompts of all lines.

    The first tenth of the steps sees the last change alone, the last three tenths full prompts, the
    steps between a random share of the lines, so that the model cannot count on the number's place.
    Shorter prompts come in larger batches, at about the same tokens per step.
    """
    rng = random_stream(seed, "curriculum")
    position = 0

    def batch(step: int) -> list[Example]:
        nonlocal position
        progress = step / settings.steps
        keep = 0.0 if progress < 0.1 else 1.0 if progress > 0.7 else rng.random() * min(1.0, (progress - 0.1) / 0.3)
        size = int(settings.batch / (0.15 + 0.85 * keep))
        chosen = [corpus[(position + i) % len(corpus)] for i in range(size)]
        position += size
        return [thin(example, keep, rng) for example in chosen]

    return batch


def _batch(tokenizer: Qwen2Tokenizer, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Left-padded token ids and attention mask (batch, longest), targets (batch, longest completion)."""
    prompts = tokenizer([chat_text(e.system, e.user) for e in examples])["input_ids"]
    completions = tokenizer([e.completion + END for e in examples])["input_ids"]
    longest = max(len(p) + len(c) for p, c in zip(prompts, completions, strict=True))
    ids = torch.full((len(examples), longest), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    targets = torch.full((len(examples), max(map(len, completions))), IGNORED)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        start = longest - len(prompt) - len(completion)
        ids[row, start:] = torch.tensor(prompt + completion)
        mask[row, start:] = 1
        targets[row, targets.shape[1] - len(completion) :] = torch.tensor(completion)
    return ids, mask, targets


def pretrain(
    batches: Callable[[int], Sequence[Example]],
    tokenizer: Qwen2Tokenizer,
    settings: DemoModelSettings,
    seed: int,
    report: Callable[[str], None] = print,
) -> Qwen2ForCausalLM:
    """Train a fresh model; `batches` gives the examples of each step 0..steps-1."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden,
            intermediate_size=settings.feed_forward,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.heads,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            initializer_range=INITIALIZER_RANGE,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.08
    )
    report(f"model with {sum(p.numel() for p in model.parameters()):,} parameters, {settings.steps} steps")
    tokens, started = 0, time.monotonic()
    for step in range(settings.steps):
        ids, mask, targets = _batch(tokenizer, batches(step))
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        output = model(ids, mask, positions, logits_to_keep=targets.shape[1] + 1)
        logits = output.logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        tokens += int(mask.sum())
        if (step + 1) % 50 == 0 or step + 1 == settings.steps:
            rate = tokens / (time.monotonic() - started)
            report(f"step {step + 1}/{settings.steps}: loss {loss.item():.3f}, {rate:,.0f} tokens/s")
    return model.eval()


def make_repeatable(threads: int) -> None:
    """Fix what else the bytes of the model depend on: the number of threads, and torch's choice of kernels."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)


def save_model(model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer, folder: str | Path) -> None:
    """Write config, safetensors and tokenizer below `folder`."""
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
