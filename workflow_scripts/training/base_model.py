"""The base model: how it is named and loaded, what it is by content, and what it must not bring along.

ms-swift loads every model with `trust_remote_code=True` and reads `args.json` beside it, which may name plugins: code
of a model would run with the rights of the user. Unless the user trusts it, ms-swift therefore sees a folder of links
to the few files that make a model, and these are looked at before.
"""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_doc import Doc
from annotated_types import MinLen

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import check_safetensors, json_digest, read_json
from workflow_scripts.plumbing.remembered_digests import content_digest

WEIGHTS_INDEX = "model.safetensors.index.json"
# What a model consists of beside its weights: configuration, tokenizer, chat template. Everything else is ignored.
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
)
# An ordinary template is rendered within milliseconds; most of this memory is for the interpreter.
TEMPLATE_SECONDS = 5
TEMPLATE_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class ModelSettings:
    """The base model and how ms-swift loads it; empty texts leave the choice to ms-swift."""

    path: Annotated[
        str, MinLen(1), Doc("A folder, a name on the model hub, or the word demo: a tiny model built on the spot.")
    ] = "Qwen/Qwen2.5-7B-Instruct"
    revision: Annotated[
        str, Doc("Commit or tag of a model on the hub; an empty text takes its newest. Pin it for a paper.")
    ] = ""
    model_type: Annotated[str, Doc("ms-swift's model type; an empty text lets it guess.")] = "qwen2"
    template: Annotated[
        str, Doc("ms-swift's chat template; an empty text lets it guess. qwen3 rewrites think blocks.")
    ] = "qwen2_5"
    torch_dtype: Annotated[
        Literal["bfloat16", "float16", "float32"],
        Doc("Precision of weights and training; without a GPU float32 is the fast one."),
    ] = "bfloat16"
    device: Annotated[
        Literal["auto", "cpu"],
        Doc("auto takes a GPU where there is one, Apple's too; cpu never does, so that all machines do the same."),
    ] = "auto"
    trust_remote_code: Annotated[
        bool,
        Doc(
            "Whether the model may bring Python code of its own, which then runs with your rights. Otherwise a "
            "configuration that names code is refused, and other code never seen."
        ),
    ] = False

    @property
    def location(self) -> str:
        """Absolute path of a folder (ms-swift writes down what it is given), or the name on the hub."""
        return str(Path(self.path).resolve()) if Path(self.path).is_dir() else self.path

    @property
    def hub_revision(self) -> str:
        """The revision of a hub model; a folder, such as the merged SFT model, has none."""
        return "" if Path(self.path).is_dir() else self.revision


def device_map(model: ModelSettings) -> str | None:
    """Where ms-swift loads the weights; None leaves it to ms-swift: MPS, else CUDA, else the CPU."""
    return "cpu" if model.device == "cpu" else None


def model_options(model: ModelSettings) -> dict[str, Any]:
    """Model, template, precision and device as ms-swift options that training and export share."""
    options = {
        "device_map": device_map(model) or "",
        "model": model.location,
        "torch_dtype": model.torch_dtype,
        "model_type": model.model_type,
        "template": model.template,
        "model_revision": model.hub_revision,
    }
    return {name: value for name, value in options.items() if value}


def check_model(model: ModelSettings) -> None:
    """Raise InputError for a model with code of its own (unless trusted), a broken template, or missing weights.

    transformers runs code that a JSON file names under `auto_map`, and kernels that it names from a hub; weights in
    pickles (`*.bin`, `*.pt`) can carry code as well. Code that no file names is never seen by ms-swift
    (`without_foreign_files`). Of a hub model the small files are fetched for this; its weights are not looked at.
    """
    is_folder = Path(model.path).is_dir()
    folder = Path(model.path) if is_folder else _from_hub(model, SMALL_FILES)
    if not model.trust_remote_code:
        code = [
            f"{key} in {path.name}"
            for path in small_files(folder)
            if path.suffix == ".json"
            for key in sorted(_names_of_code(read_json(path)))
        ]
        if code:
            raise InputError(
                f"{model.path} brings code of its own ({', '.join(code)}), which ms-swift would run; read it, then set "
                "model.trust_remote_code to true, or take a model that transformers knows"
            )
    _check_template(model.path, folder)
    if is_folder:
        for path in weights(folder):
            check_safetensors(path)


def small_files(folder: Path) -> list[Path]:
    """The files of a model beside its weights."""
    return [folder / name for name in SMALL_FILES if (folder / name).is_file()]


def weights(folder: Path) -> list[Path]:
    """The safetensors that transformers would load; InputError without them, because it would then look for pickles."""
    names = _weight_names(folder)
    if missing := [name for name in names if not (folder / name).is_file()]:
        if not (folder / WEIGHTS_INDEX).is_file():
            raise InputError(f"{folder} holds no model.safetensors; convert its weights, pickled ones are not loaded")
        raise InputError(
            f"{folder / WEIGHTS_INDEX} names {', '.join(missing)}, which is not there; fetch the model again"
        )
    return [folder / name for name in names]


def _weight_names(folder: Path) -> list[str]:
    """Names of the weights by their index, or the one name without an index."""
    index = folder / WEIGHTS_INDEX
    if not index.is_file():
        return ["model.safetensors"]
    names = sorted(set(read_json(index).get("weight_map", {}).values()))
    strange = [name for name in names if Path(name).name != name or Path(name).suffix != ".safetensors"]
    if strange or not names:
        found = ", ".join(strange) or "no weights"
        raise InputError(f"{index} names {found}; it must name safetensors that lie beside it")
    return names


def model_files(folder: Path) -> list[Path]:
    """All files of a model, weights and their index included."""
    index = folder / WEIGHTS_INDEX
    return [*small_files(folder), *([index] if index.is_file() else []), *weights(folder)]


def model_identity(model: str) -> str:
    """Digest of a local model by content, or the name of one on a hub (`model.revision` pins its version).

    It covers the files of the model, and any code that a trusted one may bring. A `touch`, a README or a hub's `.cache`
    beside the weights changes nothing.
    """
    folder = Path(model)
    if not folder.is_dir():
        return model
    brought = ("*.py", "*.so", "*.tiktoken")
    more = sorted(path for pattern in brought for path in folder.rglob(pattern) if path.is_file())
    files = [*model_files(folder), *more]
    return json_digest({str(path.relative_to(folder)): content_digest(path) for path in files})


@contextlib.contextmanager
def without_foreign_files(model: ModelSettings, links: Path) -> Iterator[ModelSettings]:
    """The model as ms-swift may see it: a folder of links to `model_files`, made below `links` for the time of use.

    A model of the hub is fetched into the hub's cache first. A trusted model is left as it is. `links` is deleted
    before and after; two processes must not share it.
    """
    if model.trust_remote_code:
        yield model
        return
    folder = Path(model.path)
    if not folder.is_dir():
        small = (*SMALL_FILES, WEIGHTS_INDEX)
        folder = _from_hub(model, (*small, *_weight_names(_from_hub(model, small))))
    shutil.rmtree(links, ignore_errors=True)
    # ms-swift guesses the type of a model by its name.
    shown = links.resolve() / _name(model)
    shown.mkdir(parents=True)
    try:
        for path in model_files(folder):
            try:
                (shown / path.name).symlink_to(path.resolve())
            except OSError:
                # A file system without links.
                shutil.copyfile(path, shown / path.name)
        yield replace(model, path=str(shown), revision="")
    finally:
        shutil.rmtree(links, ignore_errors=True)


def _name(model: ModelSettings) -> str:
    """Name of a folder or of a hub model, also where it lies in the hub's cache (models--owner--name/snapshots/...)."""
    path = Path(model.location)
    return path.parents[1].name.split("--")[-1] if path.parent.name == "snapshots" else path.name


def _names_of_code(content: object) -> set[str]:
    """Keys of a JSON document, at any depth, that make transformers load code: classes and kernels."""
    if isinstance(content, list):
        return set().union(*map(_names_of_code, content))
    if not isinstance(content, dict):
        return set()
    found = {
        key
        for key, value in content.items()
        if key == "auto_map" or (key.strip("_").endswith("_implementation") and "/" in str(value))
    }
    return found.union(*map(_names_of_code, content.values()))


_RENDER = """
import contextlib, json, resource, signal, sys
from transformers.utils.chat_template_utils import render_jinja_template
templates, messages, seconds, memory = json.load(sys.stdin)
signal.alarm(seconds)
with contextlib.suppress(OSError, ValueError):  # a system that cannot limit it
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
for template in templates:
    render_jinja_template([messages], chat_template=template, add_generation_prompt=True, bos_token="", eos_token="")
"""


def _check_template(name: str, folder: Path) -> None:
    """Render the chat templates of a model once, in a process of its own: one can loop for ever or fill the memory."""
    templates = list(_templates(folder))
    if not templates:
        return
    messages = [{"role": role, "content": "text"} for role in ("system", "user")]
    result = subprocess.run(
        [sys.executable, "-c", _RENDER],
        input=json.dumps([templates, messages, TEMPLATE_SECONDS, TEMPLATE_BYTES]),
        capture_output=True,
        text=True,
    )
    if result.returncode == -signal.SIGALRM:
        raise InputError(f"{name}: its chat template takes more than {TEMPLATE_SECONDS} s for one short prompt")
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or [f"status {result.returncode}"])[-1]
        raise InputError(f"{name}: its chat template cannot be used for a system and a user message ({reason})")


def _templates(folder: Path) -> Iterator[str]:
    """The chat templates of a model, wherever transformers looks for them."""
    if (folder / "chat_template.jinja").is_file():
        yield (folder / "chat_template.jinja").read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        content = read_json(folder / name) if (folder / name).is_file() else {}
        template = content.get("chat_template") if isinstance(content, dict) else None
        if isinstance(template, str):
            yield template
        elif isinstance(template, list):
            # A tokenizer may have several, by name; the default one is used.
            yield from (one["template"] for one in template if one.get("name") == "default")


def _from_hub(model: ModelSettings, names: tuple[str, ...]) -> Path:
    """The folder of the hub's cache with the named files of a model, fetched where they are missing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model.path, revision=model.revision or None, allow_patterns=list(names)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"model.path: {model.path} is neither a folder nor available on the hub ({error}); fetch it where there "
            "is a network (docs/cluster.md)"
        ) from error


# In a merged model's folder: which adapter went into which model.
MERGED_ADAPTER = "merged_adapter.json"


def merge_record(model: ModelSettings, adapter_sha256: str) -> dict[str, str]:
    """What a merged model's folder says about where it comes from."""
    return {"adapter_sha256": adapter_sha256, "base_model": base_identity(model)}


def merged_adapter(model: str) -> str | None:
    """SHA-256 of the adapter that was merged into a start model, None where there is none."""
    path = Path(model) / MERGED_ADAPTER
    return read_json(path)["adapter_sha256"] if path.is_file() else None


def base_identity(model: ModelSettings) -> str:
    """Identity of the model below any number of merges: the model's own where nothing was merged into it.

    Of a model on the hub that is its name and its revision.
    """
    path = Path(model.path) / MERGED_ADAPTER
    record = read_json(path) if path.is_file() else {}
    revision = f"@{model.hub_revision}" if model.hub_revision else ""
    return record.get("base_model") or model_identity(model.path) + revision
