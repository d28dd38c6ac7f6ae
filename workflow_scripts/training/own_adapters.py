"""Adapters as they are used for completions: whole, on the model that they were trained on, and nothing beside them.

PEFT passes over weights of an adapter that the model has no place for: an adapter on another model than its own can
answer almost as the model without it, and its tables would be believed. So the two are compared before.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_doc import Doc
from annotated_types import MinLen

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import check_safetensors, json_digest, read_json
from workflow_scripts.plumbing.remembered_digests import content_digest
from workflow_scripts.training.base_model import ModelSettings, model_identity, model_options, weights
from workflow_scripts.training.options import ADAPTER_CONFIG, ADAPTER_FILES, ADAPTER_WEIGHTS
from workflow_scripts.training.store import MANIFEST

# Matrices of these modules may stand in the model's files under another name (tied ones, fused experts), or not at all.
RENAMED = ("lm_head", "embed_tokens", "experts")


@dataclass(frozen=True)
class AdapterSettings:
    """An adapter of one's own: another run's, a colleague's, a checkpoint."""

    path: Annotated[
        str,
        MinLen(1),
        Doc("Folder with adapter_model.safetensors and adapter_config.json; {firm_type} stands for the firm type."),
    ]
    base_model: Annotated[
        str,
        MinLen(1),
        Doc(
            "The model that it was trained on: a folder ({firm_type} as above), a name on the hub, or the word demo "
            "for this run's demo model. Of a GRPO adapter of the workflow that is the merged SFT model of its own run."
        ),
    ]
    revision: Annotated[
        str | None,
        Doc("Commit or tag of a base model on the hub; null takes model.revision where it is the run's own model."),
    ] = None
    model_type: Annotated[str | None, Doc("ms-swift's model type of the base model; null takes model.model_type.")] = (
        None
    )
    template: Annotated[str | None, Doc("ms-swift's chat template of the base model; null takes model.template.")] = (
        None
    )


def missing_files(folder: str | Path) -> list[str]:
    """Names of the adapter's files that the folder lacks."""
    return [name for name in ADAPTER_FILES if not (Path(folder) / name).is_file()]


def adapter_identity(folder: str | Path) -> str:
    """Digest of an adapter by the content of its two files, whatever else lies beside them."""
    return json_digest({name: content_digest(Path(folder) / name) for name in ADAPTER_FILES})


def adapter_recipe(folder: str | Path) -> str:
    """Digest of an adapter's configuration: its scaling changes every answer. Where its model lies, changes none."""
    content = read_json(Path(folder) / ADAPTER_CONFIG)
    return json_digest({name: value for name, value in content.items() if name != "base_model_name_or_path"})


def check_adapter(folder: str | Path, base: ModelSettings) -> None:
    """Raise InputError for an adapter that is not whole, or that was trained on another model than `base`.

    An adapter of the workflow knows its model by content (manifest). Any other names one: two names on the hub have to
    be the same, and two folders have the same content; a name against a folder can be the same model and is let pass.
    Where the base model is a folder, its weights need a place for each of the adapter's, of the same shape.
    """
    folder = Path(folder)
    if missing := missing_files(folder):
        raise InputError(
            f"{folder}: {', '.join(missing)} is not there; name the folder of a PEFT adapter in safetensors, such as "
            "adapters/sft of a run, or a checkpoint-N"
        )
    check_safetensors(folder / ADAPTER_WEIGHTS)
    stated = f"{folder}: it was trained on another model than {base.path}, its base_model"
    remedy = "state the model that it was trained on"
    if (folder / MANIFEST).is_file():
        manifest = read_json(folder / MANIFEST)
        if manifest["identity"]["model"] != model_identity(base.path):
            raise InputError(f"{stated} (its manifest names {manifest['start_model']}); {remedy}")
        trained_on = manifest["identity"].get("options", {}).get("model_revision", "")
        if trained_on != model_options(base).get("model_revision", ""):
            raise InputError(
                f"{folder}: it was trained on revision {trained_on or 'main'} of {base.path}, not on "
                f"{base.revision or 'main'}; state it as revision"
            )
    else:
        named = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path") or ""
        if _differ(named, base.path):
            raise InputError(f"{stated} ({ADAPTER_CONFIG} names {named}); {remedy}")
    if Path(base.path).is_dir() and (misfits := list(_misfits(folder, Path(base.path)))):
        raise InputError(
            f"{folder}: {len(misfits)} of its matrices do not fit {base.path}, such as {misfits[0]}; {remedy}"
        )


def _differ(named: str, stated: str) -> bool:
    """Whether two models are known to be different."""
    folders = [Path(one).is_dir() for one in (named, stated)]
    if all(folders):
        return model_identity(named) != model_identity(stated)
    # A path that is not here was a folder elsewhere; a name on the hub has two parts, or one.
    on_hub = bool(named) and not any(folders) and not Path(named).is_absolute() and len(Path(named).parts) <= 2
    return on_hub and named.lower() != stated.lower()


def _misfits(adapter: Path, base: Path) -> Iterator[str]:
    """LoRA matrices of the adapter for which the base model has no module, or one of another shape."""
    modules = {
        name.removesuffix(".weight"): shape
        for path in weights(base)
        for name, shape in _shapes(path).items()
        if name.endswith(".weight")
    }
    parts = {name: shape for name, shape in _shapes(adapter / ADAPTER_WEIGHTS).items() if ".lora_" in name}
    found = {name: name.removeprefix("base_model.model.").split(".lora_")[0] for name in parts}
    if not set(found.values()) & set(modules):
        # transformers calls the modules of some models otherwise than their files do.
        return
    for name, module in found.items():
        if module not in modules:
            if not any(name in module for name in RENAMED):
                yield f"{module}, which the model does not have"
        elif ".lora_A." in name and parts[name][-1] != modules[module][-1]:
            yield f"{module} with {parts[name][-1]} inputs, where the model has {modules[module][-1]}"
        elif ".lora_B." in name and parts[name][0] != modules[module][0]:
            yield f"{module} with {parts[name][0]} outputs, where the model has {modules[module][0]}"


def _shapes(path: Path) -> dict[str, list[int]]:
    """Shape of each tensor of floating numbers by the file's header alone; quantized ones are packed."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}
        return {name: part.get_shape() for name, part in parts.items() if part.get_dtype().startswith(("F", "BF"))}


@contextlib.contextmanager
def without_other_files(folder: str | None, links: Path) -> Iterator[str | None]:
    """The adapter as ms-swift may see it: links to its two files, made below `links` for the time of use.

    Beside a checkpoint lies args.json, which may name plugins. None stays None. `links` is deleted before and after.
    """
    if folder is None:
        yield None
        return
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir(parents=True)
    try:
        for name in ADAPTER_FILES:
            try:
                (links / name).symlink_to((Path(folder) / name).resolve())
            except OSError:
                # A file system without links.
                shutil.copyfile(Path(folder) / name, links / name)
        yield str(links)
    finally:
        shutil.rmtree(links, ignore_errors=True)
