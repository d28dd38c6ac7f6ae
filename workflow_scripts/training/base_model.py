"""The base model: how it is named and loaded, and what it must not bring.

ms-swift loads every model with `trust_remote_code=True`, so that Python files of a model would run with the rights of
the user. Models are therefore looked at before ms-swift sees them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import MinLen

from workflow_scripts.plumbing.errors import InputError
from workflow_scripts.plumbing.files import check_safetensors, read_json


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
        Literal["bfloat16", "float16", "float32"], Doc("Precision of weights and training; bfloat16 needs a GPU.")
    ] = "bfloat16"
    trust_remote_code: Annotated[
        bool,
        Doc(
            "Whether the model may bring Python code of its own, which then runs with your rights. Otherwise such a "
            "model is refused."
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


def model_options(model: ModelSettings) -> dict[str, object]:
    """Model, template and precision as ms-swift options that training and export share."""
    options = {
        "model": model.location,
        "torch_dtype": model.torch_dtype,
        "model_type": model.model_type,
        "template": model.template,
        "model_revision": model.hub_revision,
    }
    return {name: value for name, value in options.items() if value}


def check_model(model: ModelSettings) -> None:
    """Raise InputError for a model with code of its own (unless trusted), or a folder without safetensors.

    transformers runs code that a JSON file names under `auto_map`, and `custom_generate/generate.py`; weights in
    pickles (`*.bin`, `*.pt`) can carry code as well. Of a hub model JSON and Python files are fetched for this; its
    weights are not looked at.
    """
    is_folder = Path(model.path).is_dir()
    folder = Path(model.path) if is_folder else _hub_files(model)
    code = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.py"))
    code += [f"auto_map in {path.name}" for path in sorted(folder.glob("*.json")) if "auto_map" in _keys(path)]
    if code and not model.trust_remote_code:
        raise InputError(
            f"{model.path} brings code of its own ({', '.join(code)}), which ms-swift would run; read it, then set "
            "model.trust_remote_code to true, or take a model that transformers knows"
        )
    if is_folder:
        for path in _weights(folder):
            check_safetensors(path)


def _weights(folder: Path) -> list[Path]:
    """The safetensors that transformers would load; InputError without them, because it would then look for pickles."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return [folder / name for name in sorted(set(read_json(index)["weight_map"].values()))]
    if not (folder / "model.safetensors").is_file():
        raise InputError(f"{folder} holds no model.safetensors; convert its weights, pickled ones are not loaded")
    return [folder / "model.safetensors"]


def _keys(path: Path) -> set[str]:
    content = read_json(path)
    return set(content) if isinstance(content, dict) else set()


def _hub_files(model: ModelSettings) -> Path:
    """The folder of the hub's cache with the model's small files, fetched where they are missing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        # Names of weights are not fetched: they come with ms-swift's own download.
        return Path(snapshot_download(model.path, revision=model.revision or None, allow_patterns=["*.json", "*.py"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"model.path: {model.path} is neither a folder nor to be had from the hub ({error}); fetch it where there "
            "is a network (docs/cluster.md)"
        ) from error


# In a merged model's folder: which adapter went into it.
MERGED_ADAPTER = "merged_adapter.json"


def merged_adapter(model: str) -> str | None:
    """SHA-256 of the adapter that was merged into a start model, None where there is none."""
    path = Path(model) / MERGED_ADAPTER
    return read_json(path)["adapter_sha256"] if path.is_file() else None
