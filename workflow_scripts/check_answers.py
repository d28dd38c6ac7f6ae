"""Check that a stage gives the same greedy answers however it is loaded: adapter on its start model, merged, vLLM.

Steps: 20 test prompts, evenly over the dataset → complete them in each way that this machine can → compare texts and
forecasts → write them side by side. In bfloat16 differences are a warning: a merged model rounds its weights once more,
and two tokens of nearly equal probability can then change places. In float32 a merged model that answers otherwise than
its adapter is an error: one of them is not what was trained.
"""

import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.holdings.texts.answers import Contract
from workflow_scripts.holdings.texts.completions import parse_completion
from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import read_jsonl, write_csv
from workflow_scripts.training.answers import MERGED, VLLM, answers, differing, spread, ways
from workflow_scripts.training.base_model import ModelSettings, check_model
from workflow_scripts.training.generation import GenerationSettings, without_answers
from workflow_scripts.training.trainer import swift_environment

PROMPTS = 20


@dataclass(frozen=True)
class Settings:
    """The start model of the stage, how its completions are drawn, and what they must look like."""

    model: ModelSettings
    generation: GenerationSettings
    contract: Contract


def main(args: Namespace) -> str:
    """Write a row per window to `--out`: the completion of each way, and the change ($ million) read from it."""
    settings, model = args.settings, args.settings.model
    os.environ.update(swift_environment(model, LOG_LEVEL="WARNING", TQDM_DISABLE="1"))
    check_model(model)
    rows = spread(read_jsonl(args.dataset, ("window_id", "messages", "holding_t")), PROMPTS)
    prompts = without_answers(rows)
    held = {row["window_id"]: row["holding_t"] for row in rows}
    links = Path(f"{args.out}.model")
    texts = {
        way.name: answers(way, prompts, settings.generation, links) for way in ways(model, args.adapter, args.merged)
    }
    deltas = {
        name: {key: parse_completion(text, held[key], settings.contract).delta for key, text in found.items()}
        for name, found in texts.items()
    }
    columns: dict[str, list] = {f"{name}_text": [found[key] for key in held] for name, found in texts.items()}
    columns |= {f"{name}_delta": [found[key] for key in held] for name, found in deltas.items()}
    table = pd.DataFrame({"window_id": list(held), **columns})
    write_csv(args.out, table)
    label = f"check_answers {args.firm_type} {args.stage}"
    lines = []
    other_texts, other_deltas = differing(texts), differing(deltas)
    for name, windows in other_texts.items():
        moved = other_deltas[name]
        warning = "WARNING: " if windows else ""
        lines.append(
            f"{label}: {warning}{name} gives another text than the adapter on its start model for {len(windows)} of "
            f"{len(held)} prompts, another forecast for {len(moved)}{': ' if moved else ''}{', '.join(moved)}"
        )
    if model.torch_dtype == "float32" and other_texts[MERGED]:
        raise InputError("\n".join(lines) + "\nIn float32 they have to be the same; make the merged model again")
    absent = "" if VLLM in texts else "; vLLM is not installed here, or there is no GPU"
    return "\n".join([*lines, f"{label}: compared {', '.join(texts)}{absent}; see {args.out}"])


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        dataset=cli.TEXT,
        adapter=cli.TEXT,
        merged=cli.TEXT,
        settings=cli.settings_option(Settings),
        out=cli.TEXT,
    )
