"""Merge a stage's adapter into its start model with `swift export`, as the start of the next stage.

A rank-32 adapter cannot continue a rank-8 one, and from the merged model GRPO's KL term starts at 0 against the SFT
model. Steps: merge into a temporary folder → drop the trainer's args.json, which holds
absolute paths → rename. Fails when the export does; then no output is left.
"""

from argparse import Namespace
from pathlib import Path

from workflow_scripts.plumbing import cli
from workflow_scripts.plumbing.files import PART, check_safetensors, file_digest, whole_folder, write_json
from workflow_scripts.training.base_model import (
    MERGED_ADAPTER,
    ModelSettings,
    check_model,
    merge_record,
    model_options,
    without_foreign_files,
)
from workflow_scripts.training.options import ADAPTER_FILES
from workflow_scripts.training.store import alone_in, folder_size
from workflow_scripts.training.trainer import launch, run_swift, swift_environment


def main(args: Namespace) -> str:
    """Write the merged model to the folder `--out`."""
    check_model(args.settings)
    weights = Path(args.adapter) / ADAPTER_FILES[0]
    check_safetensors(weights)
    out = Path(args.out)
    label = f"merge_adapter {args.firm_type} {args.stage}"
    links = out.with_name(f".{out.name}.model{PART}")
    with (
        alone_in(out.parent, label),
        whole_folder(out) as temporary,
        without_foreign_files(args.settings, links) as model,
    ):
        options = {
            **model_options(model),
            # Beside a model or an adapter ms-swift would read args.json, which may name plugins.
            "load_args": False,
            "adapters": str(Path(args.adapter).resolve()),
            "merge_lora": True,
            "safe_serialization": True,
            "output_dir": str(temporary.resolve()),
        }
        run_swift(launch("export"), options, Path(args.export_log), swift_environment(model), label)
        (temporary / "args.json").unlink(missing_ok=True)
        write_json(temporary / MERGED_ADAPTER, merge_record(args.settings, file_digest(weights)))
    return f"{label}: {folder_size(out) / 1e6:,.1f} MB in {args.out}"


if __name__ == "__main__":
    cli.run(
        main,
        __doc__,
        firm_type=cli.TEXT,
        stage=cli.TEXT,
        settings=cli.settings_option(ModelSettings),
        adapter=cli.TEXT,
        export_log=cli.TEXT,
        out=cli.TEXT,
    )
