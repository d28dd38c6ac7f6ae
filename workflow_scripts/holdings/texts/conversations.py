"""ms-swift rows from prompts and labels: SFT, GRPO and test conversations."""

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.holdings.panel.contract import FEATURES
from workflow_scripts.holdings.texts.answers import MIDDLE, AnswerName, quantile_object
from workflow_scripts.holdings.texts.numbers import format_numbers, round_labels
from workflow_scripts.holdings.texts.quantile_rule import row_quantiles
from workflow_scripts.holdings.texts.targets import Target, TargetName, target_of
from workflow_scripts.holdings.windows.labels import label_arrays, past_change
from workflow_scripts.holdings.windows.lags import lagged
from workflow_scripts.plumbing.errors import InputError

# The key of the reference answer in test conversations: the position, which every window with a label has.
REFERENCE: TargetName = "holding_tp1"
# Features without a unit. Their changes are small: at the decimals of money most of them would read 0.
RATIOS = ("profit", "Gat", "beta")
# What a dataset has beside window_id and messages: whose window it is, labels and past in $ million, unrounded; null is
# unknown.
DATASET_COLUMNS = (
    "firm_type", "mgrno", "permno", "quarter", "label_delta", "label_tp1", "holding_t", "past_change", "label_active",
)  # fmt: skip
THINK_FIELDS = tuple(f"{name.removesuffix('_t')}_{what}" for name in FEATURES for what in ("change", "direction"))


@dataclass(frozen=True)
class ThinkStyle:
    """How think blocks are written: the template, the decimals of money and prices, and those of RATIOS."""

    template: str
    decimals: int
    ratio_decimals: int


def check_think_template(template: str) -> None:
    """Raise ValueError for a placeholder that is not one of THINK_FIELDS, or for a tag of the output contract."""
    for _, field, _, _ in string.Formatter().parse(template):
        if field is not None and field not in THINK_FIELDS:
            raise ValueError(f"think template: {{{field}}} is unknown; known: {', '.join(THINK_FIELDS)}")
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        if tag in template:
            raise ValueError(f"think template: {tag} is added by the workflow; leave it out")


def think_texts(sample: pa.Table, style: ThinkStyle) -> list[str]:
    """The template filled per window with the changes of the features from t-1 to t.

    `{me_change}` is a signed number, `{me_direction}` one of rose, fell, stayed, unknown.
    """
    check_think_template(style.template)
    values: dict[str, list[str]] = {}
    for name in FEATURES:
        change = sample[lagged(name, 0)].to_numpy() - sample[lagged(name, 1)].to_numpy()
        texts = format_numbers(change, style.ratio_decimals if name in RATIOS else style.decimals)
        short = name.removesuffix("_t")
        values[f"{short}_change"] = [
            f"+{t}" if c > 0 and t != "0" else t for t, c in zip(texts, change.tolist(), strict=True)
        ]
        direction = np.select([np.isnan(change), change > 0, change < 0], ["unknown", "rose", "fell"], "stayed")
        values[f"{short}_direction"] = direction.tolist()
    return [
        style.template.format_map({field: texts[i] for field, texts in values.items()}) for i in range(sample.num_rows)
    ]


def answer_text(target: str, said: str) -> str:
    """The answer block of the output contract; `said` is a number, or the object of quantiles.

    >>> answer_text("holding_delta", "-1.50")
    '<answer>{"holding_delta": -1.50}</answer>'
    """
    return f'<answer>{{"{target}": {said}}}</answer>'


def completion_text(think: str | None, target: str, said: str) -> str:
    """A whole completion that obeys the output contract; `think` is None where this has no think block."""
    block = "" if think is None else f"<think>{think}</think>"
    return f"{block}{answer_text(target, said)}"


def _answers(sample: pa.Table, target: Target) -> NDArray[np.float64]:
    """The true answers, unrounded; InputError for a window without one."""
    known = label_arrays(sample)
    change = _complete(known[target.label], sample, target)
    return known[target.answer_label] if target.answer_label else target.from_change(change, known["holding_t"])


def target_numbers(sample: pa.Table, target: str, decimals: int) -> list[str]:
    """True answers as text with exactly `decimals` decimals, never past the bound of the output contract.

    Raises InputError for a window without the label, which a target that needs prices can lack.
    """
    asked = target_of(target)
    lowest = asked.lowest(sample["holding_t"].to_numpy())
    return [f"{value:.{decimals}f}" for value in round_labels(_answers(sample, asked), lowest, decimals).tolist()]


def target_quantiles(sample: pa.Table, target: str, decimals: int) -> list[str]:
    """The quantiles to imitate as text (`quantile_object`), none below the bound; the median is as in `target_numbers`.

    There is one truth per window, so that its width has to come from elsewhere: from what no change was wrong by on
    this very sample. With r the quantiles of change / holding_t over its windows with a position, the quantile at level
    p is truth + holding_t * (r_p - r_50): the same share of every position. So the form, the place and a plausible
    width can be learnt; that one window is surer than another cannot.
    """
    asked = target_of(target)
    held, change = sample["holding_t"].to_numpy(), label_arrays(sample)[asked.label]
    relative = row_quantiles([change[held > 0] / held[held > 0]])[0]
    # An answer is the change plus what is known: both have the same width. Without a position there is none.
    width = np.nan_to_num(relative - relative[MIDDLE])
    answers = _answers(sample, asked)[:, None] + held[:, None] * width
    rounded = round_labels(answers, asked.lowest(held)[:, None], decimals).tolist()
    return [quantile_object(f"{number:.{decimals}f}" for number in row) for row in rounded]


def _rounded_to_no_change(sample: pa.Table, target: Target, decimals: int) -> int:
    """Windows with a change that `decimals` decimals of the answer would not show."""
    held = sample["holding_t"].to_numpy()
    stay = target.from_change(np.zeros(len(held)), held)
    moved = _answers(sample, target) - stay
    return int(((round_labels(moved, target.lowest(held) - stay, decimals) == 0) & (moved != 0)).sum())


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
    prompts: Sequence[dict[str, str]],
    sample: pa.Table,
    target: str,
    decimals: int,
    think: ThinkStyle | None,
    answer: AnswerName = "number",
) -> tuple[list[dict], dict[str, int]]:
    """Conversations to imitate, and the counts `rows` and `labels_rounded_to_zero`.

    `decimals` are the label's. An empty template leaves the think block empty; without `think` there is none. An
    `answer` of quantiles has the label as its median.
    """
    thinks = think_texts(sample, think) if think else [None] * sample.num_rows
    said = (target_numbers if answer == "number" else target_quantiles)(sample, target, decimals)
    rows = [
        {
            "window_id": prompt["window_id"],
            "messages": _messages(prompt, completion_text(thinks[i], target, said[i])),
        }
        for i, prompt in _paired(prompts, sample)
    ]
    return _with_columns(rows, sample), {
        "rows": len(rows),
        "labels_rounded_to_zero": _rounded_to_no_change(sample, target_of(target), decimals),
    }


def grpo_rows(
    prompts: Sequence[dict[str, str]],
    sample: pa.Table,
    exemplar: ThinkStyle | None = None,
    target: str = "holding_delta",
) -> list[dict]:
    """Prompts to answer; their columns reach the reward functions. InputError for a window without the target's label.

    With an `exemplar` an example of a think block closes the user message. In an assistant message at the end the
    policy would never see it, because ms-swift drops that before the rollout; in the prompt it does, and prompt tokens
    carry no loss.
    """
    exemplars = think_texts(sample, exemplar) if exemplar else None
    rows = []
    for i, prompt in _paired(prompts, sample):
        if exemplars:
            example = f"\nAn example of a think block: <think>{exemplars[i]}</think>"
            prompt = {**prompt, "user": prompt["user"] + example}
        rows.append({"window_id": prompt["window_id"], "messages": _messages(prompt)})
    asked = target_of(target)
    _complete(label_arrays(sample)[asked.label], sample, asked)
    return _with_columns(rows, sample)


def holdout_rows(prompts: Sequence[dict[str, str]], sample: pa.Table) -> list[dict]:
    """Test conversations, with the absolute target as reference answer.

    The assistant message is for readers and other tools; generation strips it.
    """
    numbers = format_numbers(sample["holding_t1"].to_numpy())
    rows = [
        {
            "window_id": prompt["window_id"],
            "messages": _messages(prompt, answer_text(REFERENCE, numbers[i])),
        }
        for i, prompt in _paired(prompts, sample)
    ]
    return _with_columns(rows, sample)


def forecast_rows(prompts: Sequence[dict[str, str]], sample: pa.Table) -> list[dict]:
    """Conversations of windows whose answer nobody knows yet: prompt, quarter, ids and holding_t ($ million)."""
    names = ("firm_type", "mgrno", "permno", "quarter", "holding_t")
    return [
        {
            "window_id": prompt["window_id"],
            "messages": _messages(prompt),
            **{name: sample[name][i].as_py() for name in names},
        }
        for i, prompt in _paired(prompts, sample)
    ]


def _complete(labels: NDArray[np.float64], sample: pa.Table, target: Target) -> NDArray[np.float64]:
    unknown = np.flatnonzero(np.isnan(labels))
    if len(unknown):
        first = sample["window_id"][int(unknown[0])].as_py()
        raise InputError(f"{len(unknown)} windows have no {target.name} ({first}); sample the windows again")
    return labels


def _with_columns(rows: list[dict], sample: pa.Table) -> list[dict]:
    """Rows in the sample's order with DATASET_COLUMNS: the same in every split, so that one call can load them all."""
    columns = {**label_arrays(sample), "past_change": past_change(sample)}
    arrays = [pa.array(columns[n], from_pandas=True) if n in columns else sample[n] for n in DATASET_COLUMNS]
    values = zip(*(array.to_pylist() for array in arrays), strict=True)
    return [{**row, **dict(zip(DATASET_COLUMNS, one, strict=True))} for row, one in zip(rows, values, strict=True)]
