"""ms-swift rows from prompts and labels: SFT, GRPO and test conversations."""

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FEATURES
from workflow_scripts.holdings.texts.numbers import format_numbers, round_labels
from workflow_scripts.holdings.texts.targets import ACTIVE, LABELS, check_target
from workflow_scripts.holdings.windows.labels import label_arrays, past_change
from workflow_scripts.holdings.windows.lags import lagged
from workflow_scripts.plumbing.errors import InputError

THINK_FIELDS = tuple(f"{name.removesuffix('_t')}_{what}" for name in FEATURES for what in ("change", "direction"))


@dataclass(frozen=True)
class ThinkStyle:
    """How think blocks are written: the template, and the decimals of its numbers."""

    template: str
    decimals: int


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
    """Labels as text with exactly `decimals` decimals, never past the bound of the contract.

    Raises InputError for a window without the label, which active_delta can lack.
    """
    check_target(target)
    known = label_arrays(sample)
    if target == "holding_tp1":
        labels = np.round(known["label_tp1"], decimals)
    else:
        labels = round_labels(_complete(known[LABELS[target]], sample, target), known["holding_t"], decimals)
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
    change = ACTIVE if target == ACTIVE else "holding_delta"
    delta = label_arrays(sample)[LABELS[change]]
    rounded = np.array([float(number) for number in target_numbers(sample, change, decimals)])
    return rows, {"rows": len(rows), "labels_rounded_to_zero": int(((rounded == 0) & (delta != 0)).sum())}


def grpo_rows(
    prompts: Sequence[dict[str, str]],
    sample: pa.Table,
    exemplar: ThinkStyle | None = None,
    target: str = "holding_delta",
) -> list[dict]:
    """Prompts to answer, with the unrounded labels ($ million) that the reward functions receive.

    label_active, which a window can lack, is there only if it is the target; InputError if one lacks it then.

    With an `exemplar` an example of a think block closes the user message. ms-swift drops
    a trailing assistant message before the rollout, so there the policy would never see it; in the
    prompt it does, and prompt tokens carry no loss.
    """
    exemplars = think_texts(sample, exemplar.template, exemplar.decimals) if exemplar else None
    rows = []
    for i, prompt in _paired(prompts, sample):
        if exemplars:
            example = f"\nAn example of a think block: <think>{exemplars[i]}</think>"
            prompt = {**prompt, "user": prompt["user"] + example}
        rows.append({"window_id": prompt["window_id"], "messages": _messages(prompt)})
    if target == ACTIVE:
        _complete(label_arrays(sample)["label_active"], sample, target)
    return _with_labels(rows, sample, ("label_active",) if target == ACTIVE else ())


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
    return _with_labels(rows, sample, ("label_active",))


def _complete(labels: NDArray[np.float64], sample: pa.Table, target: str) -> NDArray[np.float64]:
    unknown = np.flatnonzero(np.isnan(labels))
    if len(unknown):
        first = sample["window_id"][int(unknown[0])].as_py()
        raise InputError(f"{len(unknown)} windows have no {target} ({first}); sample the windows again")
    return labels


def _with_labels(rows: list[dict], sample: pa.Table, more: Sequence[str]) -> list[dict]:
    """Add labels, holding_t and past_change ($ million, unrounded; null if unknown) to rows in the sample's order."""
    columns = {**label_arrays(sample), "past_change": past_change(sample)}
    names = ("label_delta", "label_tp1", "holding_t", "past_change", *more)
    lists = {name: pa.array(columns[name], from_pandas=True).to_pylist() for name in names}
    return [{**row, **{name: values[i] for name, values in lists.items()}} for i, row in enumerate(rows)]
