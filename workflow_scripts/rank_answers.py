"""Log-probabilities of given answers under one stage's model, or an adapter of the user's own: nothing is drawn.

Steps: fingerprint of model, adapter and versions → read what the store already has for these answers → one pass of the
model over each missing answer, each window appended at once → write all windows in the order of the file. The model is
loaded by ms-swift and read by its chat template, as for completions. A killed job loses one window.
"""

import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import file_digest, json_digest, read_jsonl, write_jsonl
from workflow_scripts.training.base_model import ModelSettings, model_identity
from workflow_scripts.training.generation import (
    CACHE,
    GenerationSettings,
    engine_options,
    fill_cache,
    generation_versions,
    loaded_engine,
    read_cache,
)
from workflow_scripts.training.likelihood import ranked_answers
from workflow_scripts.training.options import ADAPTER_FILES
from workflow_scripts.training.own_adapters import adapter_recipe
from workflow_scripts.training.store import alone_in, open_entry
from workflow_scripts.training.trainer import swift_environment


@dataclass(frozen=True)
class Settings:
    """The model, and how many answers it looks at at a time."""

    model: ModelSettings
    batch_size: int


def main(args: Namespace) -> str:
    """Write window_id and log_probabilities of every row of `--ranked` to `--out`."""
    model, batch_size = args.settings.model, args.settings.batch_size
    os.environ.update(swift_environment(model, LOG_LEVEL="WARNING", TQDM_DISABLE="1"))
    rows = [
        {name: row[name] for name in ("window_id", "messages", "answers")}
        for row in read_jsonl(args.ranked, ("window_id", "messages", "answers"))
    ]
    digests = {row["window_id"]: json_digest(row) for row in rows}
    adapter = None if args.adapter == "none" else args.adapter
    identity = {
        "stage": "rank_answers",
        "model": model_identity(model.path),
        "revision": model.hub_revision,
        "adapter": file_digest(Path(adapter) / ADAPTER_FILES[0]) if adapter else None,
        "adapter_config": adapter_recipe(adapter) if adapter else None,
        "engine": engine_options(model) | {"revision": None},
        # Padding changes sums in low precision.
        "batch_size": batch_size,
        "versions": generation_versions("transformers"),
    }
    entry = open_entry(args.store, identity)
    label = f"rank_answers {args.firm_type} {args.stage}"
    with alone_in(entry, label):
        done = read_cache(entry / CACHE)
        missing = [row for row in rows if (digests[row["window_id"]], 0) not in done]
        if missing:
            # vLLM gives no probabilities of texts that it has not drawn without keeping those of all tokens.
            with loaded_engine(model, adapter, GenerationSettings(batch_size=batch_size), entry) as engine:
                found = ranked_answers(engine, missing, batch_size)
                fill_cache(entry / CACHE, done, found, digests, f"{label}: of {len(missing)} ranked")
    names = ("window_id", "log_probabilities")
    write_jsonl(args.out, [{name: done[digests[row["window_id"]], 0][name] for name in names} for row in rows])
    return f"{label}: {len(missing)} ranked, {len(rows) - len(missing)} from the store"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        ranked=cli.TEXT,
        adapter={"help": "folder of the adapter, or none"},
        settings=cli.settings_option(Settings),
        store=cli.TEXT,
        out=cli.TEXT,
    )
