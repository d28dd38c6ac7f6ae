"""Complete the test prompts of one firm type with one stage's model, or an adapter of the user's own, by ms-swift.

Steps: fingerprint of model, adapter, generation settings and versions → read the completions that
the store already has for these prompts → complete the missing rows in batches, each appended at
once → write all rows in the order of the dataset, raw text untouched. A killed job loses one batch.
"""

import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import (
    file_digest,
    json_digest,
    read_jsonl,
    write_json,
    write_jsonl,
)
from workflow_scripts.training.base_model import (
    ModelSettings,
    base_identity,
    model_identity,
)
from workflow_scripts.training.generation import (
    CACHE,
    GenerationSettings,
    complete,
    fill_cache,
    generation_conditions,
    loaded_engine,
    read_cache,
    without_answers,
)
from workflow_scripts.training.options import ADAPTER_FILES
from workflow_scripts.training.own_adapters import adapter_recipe
from workflow_scripts.training.store import alone_in, open_entry
from workflow_scripts.training.trainer import swift_environment


@dataclass(frozen=True)
class Settings:
    """The model, and how its completions are drawn."""

    seed: int
    model: ModelSettings
    generation: GenerationSettings


def main(args: Namespace) -> str:
    """Write the completions of every test row to `--out`, samples of a row one after the other.

    `--conditions` says under which conditions they were made.
    """
    settings, model, generation = args.settings, args.settings.model, args.settings.generation
    os.environ.update(swift_environment(model, LOG_LEVEL="WARNING", TQDM_DISABLE="1"))
    prompts = without_answers(read_jsonl(args.dataset, ("window_id", "messages")))
    digests = {prompt["window_id"]: json_digest(prompt) for prompt in prompts}
    adapter = None if args.adapter == "none" else args.adapter
    weights = Path(adapter) / ADAPTER_FILES[0] if adapter else None
    origin = {"model": model_identity(model.path), "adapter": file_digest(weights) if weights else None}
    conditions = generation_conditions(model, generation, settings.seed)
    identity = {"stage": "completions", "revision": model.hub_revision, **origin, **conditions}
    if adapter:
        identity["adapter_config"] = adapter_recipe(adapter)
    entry = open_entry(args.store, identity)
    wanted = [{**prompt, "sample": k} for prompt in prompts for k in range(generation.samples)]
    label = f"generate_completions {args.firm_type} {args.stage}"
    # Two processes that append to one cache would tear each other's lines.
    with alone_in(entry, label):
        done = read_cache(entry / CACHE)
        missing = [row for row in wanted if (digests[row["window_id"]], row["sample"]) not in done]
        speed = ""
        if missing:
            with loaded_engine(model, adapter, generation, entry) as engine:
                batches = complete(engine, missing, generation, settings.seed)
                speed = fill_cache(entry / CACHE, done, batches, digests, f"{label}: of {len(missing)} completed")
    write_jsonl(args.out, [done[digests[row["window_id"]], row["sample"]] for row in wanted])
    # What must be the same for stages that are compared: everything but the weights.
    conditions |= {
        "samples": generation.samples,
        "prompts": json_digest(sorted(digests.values())),
        "base_model": base_identity(model),
    }
    write_json(args.conditions, {"digest": json_digest(conditions), **conditions, **origin})
    return f"{label}: {len(missing)} completed, {len(wanted) - len(missing)} from the store{speed}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        dataset=cli.TEXT,
        adapter={"help": "folder of the adapter, or none"},
        settings=cli.settings_option(Settings),
        store=cli.TEXT,
        out=cli.TEXT,
        conditions=cli.TEXT,
    )
