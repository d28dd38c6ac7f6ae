"""Log-probabilities of given answers under a model as ms-swift loads it, by its own chat template."""

from collections.abc import Iterator, Sequence
from typing import Any

# Of a label that carries no loss, in ms-swift and torch.
IGNORED = -100


def log_probabilities(engine: Any, messages: list[dict], answers: Sequence[str], batch_size: int) -> list[float]:
    """ln p(answer | messages) of each answer, shape (answers,).

    `engine` is ms-swift's of the backend transformers, whose template must be in the mode train. What SFT would learn
    of the conversation counts: the answer with what the template closes it by, and nothing before it.
    """
    turns = [{"messages": [*messages, {"role": "assistant", "content": answer}]} for answer in answers]
    encoded = [engine.template.encode(turn) for turn in turns]
    return [
        value
        for start in range(0, len(encoded), batch_size)
        for value in _batch(engine, encoded[start : start + batch_size])
    ]


def _batch(engine: Any, encoded: list[dict]) -> list[float]:
    import torch

    longest = max(len(row["input_ids"]) for row in encoded)
    ids = torch.full((len(encoded), longest), engine.template.tokenizer.pad_token_id)
    labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
    for row, one in enumerate(encoded):
        start = longest - len(one["input_ids"])
        ids[row, start:], labels[row, start:], mask[row, start:] = (
            torch.tensor(one["input_ids"]),
            torch.tensor(one["labels"]),
            1,
        )
    # Logits of all tokens of long prompts would fill a GPU: those before the first answer are not computed.
    learnt = (labels != IGNORED).any(dim=0).nonzero()
    kept = longest - int(learnt[0])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    with torch.inference_mode():
        on_device = {name: value.to(engine.model.device) for name, value in inputs.items()}
        logits = engine.model(**on_device, logits_to_keep=kept + 1).logits[:, :-1].float()
    targets = labels[:, -kept:].to(logits.device)
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return (-each.view_as(targets).sum(dim=1)).tolist()


def ranked_answers(engine: Any, rows: Sequence[dict], batch_size: int) -> Iterator[list[dict]]:
    """One row at a time: window_id, sample (0), log_probabilities of its answers, completion_tokens (0: none is drawn).

    `rows` have window_id, messages and answers.
    """
    engine.template.set_mode("train")
    for row in rows:
        found = log_probabilities(engine, row["messages"], row["answers"], batch_size)
        yield [{"window_id": row["window_id"], "sample": 0, "log_probabilities": found, "completion_tokens": 0}]
