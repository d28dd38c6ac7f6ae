"""ms-swift rows from prompts and labels: SFT, GRPO and test conversations."""

import string
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from workflow_scripts.holdings.contract import check_target
from workflow_scripts.holdings.errors import InputError
from workflow_scripts.holdings.history import lagged, past_change
from workflow_scripts.holdings.numbers import format_numbers, round_labels
from workflow_scripts.holdings.panel import FEATURES

THINK_FIELDS = tuple(f"{name.removesuffix('_t')}_{what}" for name in FEATURES for what in ("change", "direction"))


def check_think_template(template: str) -> None:
    """Raise ValueError for a placeholder that is not one of THINK_FIELDS, or for a contract tag."""
    for _, field, _, _ in string.Formatter().parse(template):
        if field is not None and field not in THINK_FIELDS:
            raise ValueError(f"think template: {{{field}}} is unknown; known: {', '.join(THINK_FIELDS)}")
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        if tag in template:
            raise ValueError(f"think template: {tag} is added by the workflow; leave it out")


def think_texts(sample: pa.Table, template: str, decimals: int) -> list[str]:
    """The template filled per window with the changes of the features from t-1 to t.

    `{me_change}` is a signed number, `{me_direction}` one of rose, fell, stayed, unknown.
    """
    check_think_template(template)
    values: dict[str, list[str]] = {}
    for name in FEATURES:
        change = sample[lagged(name, 0)].to_numpy() - sample[lagged(name, 1)].to_numpy()
        texts = format_numbers(change, decimals)
        short = name.removesuffix("_t")
        values[f"{short}_change"] = [
            f"+{t}" if c > 0 and t != "0" else t for t, c in zip(texts, change.tolist(), strict=True)
        ]
        direction = np.select([np.isnan(change), change > 0, change < 0], ["unknown", "rose", "fell"], "stayed")
        values[f"{short}_direction"] = direction.tolist()
    return [template.format_map({field: texts[i] for field, texts in values.items()}) for i in range(sample.num_rows)]


def answer_text(target: str, number: str) -> str:
    """The answer block of the contract.

    >>> answer_text("holding_delta", "-1.50")
    '<answer>{"holding_delta": -1.50}</answer>'
    """
    return f'<answer>{{"{target}": {number}}}</answer>'


def completion_text(think: str, target: str, number: str) -> str:
    """A whole completion that obeys the contract."""
    return f"<think>{think}</think>{answer_text(target, number)}"


def target_numbers(sample: pa.Table, target: str, decimals: int) -> list[str]:
    """Labels as text with exactly `decimals` decimals, never past the bound of the contract."""
    check_target(target)
    holding_t, holding_t1 = (sample[name].to_numpy() for name in ("holding_t", "holding_t1"))
    if target == "holding_delta":
        labels = round_labels(holding_t1 - holding_t, holding_t, decimals)
    else:
        labels = np.round(holding_t1, decimals)
    # Adding 0.0 turns -0.0 into 0.0, so that no label reads "-0.00".
    return [f"{value:.{decimals}f}" for value in (labels + 0.0).tolist()]


def _messages(prompt: dict[str, str], assistant: str | None = None) -> list[dict[str, str]]:
    messages = [{"role": "system", "content": prompt["system"]}, {"role": "user", "content": prompt["user"]}]
    return messages if assistant is None else [*messages, {"role": "assistant", "content": assistant}]


def _paired(prompts: Sequence[dict[str, str]], sample: pa.Table) -> list[tuple[int, dict[str, str]]]:
    """(row of the sample, prompt) by window_id, in the sample's order; InputError when they differ."""
    by_id = {prompt["window_id"]: prompt for prompt in prompts}
    ids = sample["window_id"].to_pylist()
    if len(by_id) != len(prompts) or set(by_id) != set(ids):
        raise InputError("prompts and sample do not have the same window_ids; rebuild the prompts")
    return [(row, by_id[window_id]) for row, window_id in enumerate(ids)]


def sft_rows(
    prompts: Sequence[dict[str, str]], sample: pa.Table, target: str, decimals: int, think_template: str
) -> tuple[list[dict], dict[str, int]]:
    """Conversations to imitate, and the counts `rows` and `labels_rounded_to_zero`.

    An empty `think_template` leaves the think block empty; the contract still asks for the block.
    """
    thinks = think_texts(sample, think_template, decimals)
    numbers = target_numbers(sample, target, decimals)
    rows = [
        {
            "window_id": prompt["window_id"],
            "messages": _messages(prompt, completion_text(thinks[i], target, numbers[i])),
        }
        for i, prompt in _paired(prompts, sample)
    ]
    delta = sample["holding_t1"].to_numpy() - sample["holding_t"].to_numpy()
    rounded = np.array([float(number) for number in target_numbers(sample, "holding_delta", decimals)])
    return rows, {"rows": len(rows), "labels_rounded_to_zero": int(((rounded == 0) & (delta != 0)).sum())}


def grpo_rows(
    prompts: Sequence[dict[str, str]], sample: pa.Table, exemplar_template: str = "", decimals: int = 2
) -> list[dict]:
    """Prompts to answer, with the unrounded labels ($ million) that the reward functions receive.

    With an `exemplar_template` an example of a think block closes the user message. ms-swift drops
    a trailing assistant message before the rollout, so there the policy would never see it; in the
    prompt it does, and prompt tokens carry no loss.
    """
    exemplars = think_texts(sample, exemplar_template, decimals) if exemplar_template else None
    rows = []
    for i, prompt in _paired(prompts, sample):
        if exemplars:
            example = f"\nAn example of a think block: <think>{exemplars[i]}</think>"
            prompt = {**prompt, "user": prompt["user"] + example}
        rows.append({"window_id": prompt["window_id"], "messages": _messages(prompt)})
    return _with_labels(rows, sample)


def holdout_rows(prompts: Sequence[dict[str, str]], sample: pa.Table) -> list[dict]:
    """Test conversations: the absolute target as reference answer, unrounded labels, quarter and ids.

    The assistant message is for readers and other tools; generation strips it.
    """
    numbers = format_numbers(sample["holding_t1"].to_numpy())
    rows = [
        {
            "window_id": prompt["window_id"],
            "messages": _messages(prompt, answer_text("holding_tp1", numbers[i])),
            **{name: sample[name][i].as_py() for name in ("firm_type", "mgrno", "permno", "quarter")},
        }
        for i, prompt in _paired(prompts, sample)
    ]
    return _with_labels(rows, sample)


def _with_labels(rows: list[dict], sample: pa.Table) -> list[dict]:
    """Add label_delta, label_tp1, holding_t, past_change ($ million, unrounded) to rows in the sample's order."""
    holding_t, holding_t1 = (sample[name].to_numpy() for name in ("holding_t", "holding_t1"))
    columns = {
        "label_delta": holding_t1 - holding_t,
        "label_tp1": holding_t1,
        "holding_t": holding_t,
        "past_change": past_change(sample),
    }
    lists = {name: values.tolist() for name, values in columns.items()}
    return [{**row, **{name: values[i] for name, values in lists.items()}} for i, row in enumerate(rows)]
