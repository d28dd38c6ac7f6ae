"""Complete the test prompts of one firm type with one stage's model, through ms-swift's engine.

Steps: fingerprint of model, adapter, generation settings and versions → read the completions that
the store already has for these prompts → complete the missing rows in batches, each appended at
once → write all rows in the order of the dataset, raw text untouched. A killed job loses one batch.
"""

import json
import os
import sys
import time
from pathlib import Path

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import (
    check_safetensors,
    file_digest,
    json_digest,
    read_jsonl,
    write_json,
    write_jsonl,
)
from workflow_scripts.training.base_model import ModelSettings, check_model
from workflow_scripts.training.completions import (
    CACHE,
    GenerationSettings,
    build_engine,
    complete,
    engine_options,
    read_cache,
    request_options,
)
from workflow_scripts.training.store import alone_in, model_identity, open_entry, trainer_versions
from workflow_scripts.training.trainer import ADAPTER_FILES, swift_environment


def fill_cache(cache: Path, done: dict, missing: list[dict], digests: dict, adapter, args, label: str) -> str:
    """Complete the missing rows, append each batch to the cache at once and add it to `done`; returns the speed."""
    check_model(args.model)
    if adapter:
        check_safetensors(Path(adapter) / ADAPTER_FILES[0])
    engine = build_engine(args.model, adapter, args.settings)
    started, finished, tokens = time.monotonic(), 0, 0
    with cache.open("a", encoding="utf-8") as file:
        for batch in complete(engine, missing, args.settings, args.seed):
            for row in batch:
                digest = digests[row["window_id"]]
                file.write(json.dumps({"prompt": digest, **row}, ensure_ascii=False) + "\n")
                done[digest, row["sample"]] = row
            file.flush()
            os.fsync(file.fileno())
            finished += len(batch)
            tokens += sum(row["completion_tokens"] for row in batch)
            print(f"{label}: {finished}/{len(missing)}", file=sys.stderr, flush=True)
    return f", {tokens / (time.monotonic() - started):,.0f} tokens/s"


def main(args) -> str:
    """Write the completions of every test row to `--out`, samples of a row one after the other.

    `--conditions` says under which conditions they were made.
    """
    os.environ.update(swift_environment(args.model.path, LOG_LEVEL="WARNING", TQDM_DISABLE="1"))
    adapter = None if args.adapter == "none" else args.adapter
    rows = read_jsonl(args.dataset, ("window_id", "messages"))
    prompts = [
        {"window_id": row["window_id"], "messages": [m for m in row["messages"] if m["role"] != "assistant"]}
        for row in rows
    ]
    digests = {prompt["window_id"]: json_digest(prompt) for prompt in prompts}
    conditions = {
        "engine": engine_options(args.model) | {"revision": None},
        "request": request_options(args.settings, args.seed),
        # Padding changes sums in low precision, and batches share a random stream.
        "batch_size": args.settings.batch_size,
        "backend": args.settings.backend,
        "versions": trainer_versions(),
    }
    identity = {
        "stage": "completions",
        "model": model_identity(args.model.path),
        "revision": args.model.hub_revision,
        "adapter": file_digest(Path(adapter) / ADAPTER_FILES[0]) if adapter else None,
        **conditions,
    }
    entry = open_entry(args.store, identity)
    wanted = [{**prompt, "sample": k} for prompt in prompts for k in range(args.settings.samples)]
    label = f"generate_completions {args.firm_type} {args.stage}"
    # Two processes that append to one cache would tear each other's lines.
    with alone_in(entry, label):
        done = read_cache(entry / CACHE)
        missing = [row for row in wanted if (digests[row["window_id"]], row["sample"]) not in done]
        speed = fill_cache(entry / CACHE, done, missing, digests, adapter, args, label) if missing else ""
    write_jsonl(args.out, [done[digests[row["window_id"]], row["sample"]] for row in wanted])
    # What must be the same for stages that are compared: everything but the weights.
    conditions |= {"samples": args.settings.samples, "prompts": json_digest(sorted(digests.values()))}
    weights = {"model": identity["model"], "adapter": identity["adapter"]}
    write_json(args.conditions, {"digest": json_digest(conditions), **conditions, **weights})
    return f"{label}: {len(missing)} completed, {len(wanted) - len(missing)} from the store{speed}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        dataset=cli.TEXT,
        model=cli.settings_option(ModelSettings),
        adapter={"help": "folder of the adapter, or none"},
        settings=cli.settings_option(GenerationSettings),
        seed=cli.INTEGER,
        store=cli.TEXT,
        out=cli.TEXT,
        conditions=cli.TEXT,
    )
