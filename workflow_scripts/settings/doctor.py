"""Is this machine ready for a run? A line per check: ok, warn or fail, what, what was found, and the remedy.

`python -m workflow_scripts.settings.doctor --configfile FILE` looks at Python, the packages, the settings, GPU, vLLM,
SLURM, the disk, the model and the panel. It reads headers and no data, asks no network, and changes nothing. Status 1
where a line fails. Nothing but Python's own modules is imported before the packages have been looked at: where one is
missing, that is a line, too.
"""

import argparse
import contextlib
import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workflow_scripts.plumbing.errors import InputError

if TYPE_CHECKING:
    from workflow_scripts.settings.config import Config

OK, WARN, FAIL = "ok", "warn", "fail"
ROOT = Path(__file__).parents[2]
LOCK, GPU_LOCK = "requirements.lock", "requirements-gpu.lock"
PYTHONS = ((3, 11), (3, 13))
INSTALL = "make install"
GB = 1e9
# Free space under which no run should begin, and for each firm type the adapters, completions and tables.
LEAST, PER_TYPE = 2 * GB, 0.5 * GB
SECONDS = 5


class Finding(NamedTuple):
    """What a check found; what is not ok has a remedy, which messages of the workflow's own end with."""

    state: str
    what: str
    found: str
    remedy: str = ""


def line(finding: Finding) -> str:
    """A finding as it is printed.

    >>> line(Finding(WARN, "disk", "9 GB free", "make room"))
    'warn  disk      9 GB free -> make room'
    """
    remedy = f" -> {finding.remedy}" if finding.remedy else ""
    return f"{finding.state:<4}  {finding.what:<8}  {finding.found}{remedy}"


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Iterator[Finding]:
    """The versions that the packages of the lock are there for."""
    found = f"{version[0]}.{version[1]} ({sys.executable})"
    good = PYTHONS[0] <= version <= PYTHONS[1]
    yield Finding(OK if good else FAIL, "Python", found, "" if good else f"make PYTHON=python3.12 {INSTALL[5:]}")


def _installed(package: str) -> str | None:
    """Version of a package without its local build tag, such as torch's +cpu; None where it is not installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package).partition("+")[0]
    return None


def check_packages(root: Path = ROOT) -> Iterator[Finding]:
    """What is installed against the lock: that with vLLM where vLLM is installed."""
    lock = root / (GPU_LOCK if _installed("vllm") else LOCK)
    if not lock.is_file():
        yield Finding(WARN, "packages", f"no {lock.name} in {root}", "take the file from the repository")
        return
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    there = {name: _installed(name) for name, _ in pins}
    missing = [name for name, _ in pins if there[name] is None]
    other = [f"{name} {there[name]}, not {version}" for name, version in pins if there[name] not in (None, version)]
    if missing:
        yield Finding(FAIL, "packages", f"{len(missing)} missing: {_some(missing)}", INSTALL)
    if other:
        yield Finding(WARN, "packages", f"{len(other)} of another version: {_some(other)}", INSTALL)
    if not missing and not other:
        yield Finding(OK, "packages", f"the {len(pins)} of {lock.name}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def settings_of_files(paths: list[str]) -> "Config":
    """The checked settings of config files, a later one over those before it; InputError in the workflow's words."""
    from workflow_scripts.settings.config_files import read_content
    from workflow_scripts.settings.reading import read_config

    return read_config(read_content(paths))


def check_gpu(config: "Config") -> Iterator[Finding]:
    """The GPU as the driver and as torch see it, against what the model needs."""
    import torch

    from workflow_scripts.training.hardware import hardware

    model = config.model
    if model.device == "cpu":
        yield Finding(OK, "GPU", "not used: model.device is cpu")
        return
    gpus = hardware()["gpus"]
    assert isinstance(gpus, list)
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        yield Finding(OK, "GPU", f"{torch.cuda.device_count()} x {name}, torch {torch.__version__}")
    elif gpus:
        build = f"torch {torch.__version__} is built for CUDA {torch.version.cuda or '(none)'}"
        remedy = "update the driver" if torch.version.cuda else "install torch for CUDA (README.md, docs/cluster.md)"
        yield Finding(FAIL, "GPU", f"{gpus[0]}, but torch cannot use it: {build}", remedy)
    elif torch.backends.mps.is_available():
        yield Finding(WARN, "GPU", "Apple's, on which nobody has tried this", "set model.device: cpu for a small model")
    elif model.torch_dtype == "float32":
        yield Finding(OK, "GPU", "none; float32 trains on the CPU")
    else:
        remedy = (
            "run the jobs on a cluster (docs/cluster.md), or take a small model with device: cpu, torch_dtype: float32"
        )
        state = WARN if shutil.which("sbatch") else FAIL
        yield Finding(state, "GPU", f"none here, and model.torch_dtype {model.torch_dtype} needs one", remedy)


def check_vllm(config: "Config") -> Iterator[Finding]:
    """vLLM, where a setting uses it; that it is installed there is checked with the settings."""
    uses = ["generation.backend"] * (config.generation.backend == "vllm") + ["grpo.use_vllm"] * config.grpo.use_vllm
    version = _installed("vllm")
    if not uses:
        yield Finding(OK, "vLLM", "not used" + (f" ({version} is installed)" if version else ""))
    else:
        yield Finding(OK, "vLLM", f"{version}, used by {' and '.join(uses)}")


def check_slurm(config: "Config", root: Path = ROOT) -> Iterator[Finding]:
    """The partitions that the cluster profile names, where this is a login node."""
    if not shutil.which("sbatch"):
        yield Finding(OK, "SLURM", "none here; only --profile slurm needs it")
        return
    import yte  # type: ignore[import-untyped]

    profile = yte.process_yaml((root / "profiles/slurm/config.yaml").read_text(encoding="utf-8"), require_use_yte=True)
    parts = [profile["default-resources"], *profile["set-resources"].values()]
    named = sorted({part["slurm_partition"] for part in parts if part.get("slurm_partition")})
    command = ["sinfo", "--noheader", "--format=%R"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if result.returncode:
        yield Finding(WARN, "SLURM", f"sinfo says: {_last(result.stderr)}", "only --profile slurm needs it")
        return
    there = sorted(set(result.stdout.split()))
    if missing := [name for name in named if name not in there]:
        remedy = "export SLURM_CPU_PARTITION and SLURM_GPU_PARTITION, or edit profiles/slurm/config.yaml"
        yield Finding(WARN, "SLURM", f"no partition {', '.join(missing)}; there are {', '.join(there)}", remedy)
    else:
        yield Finding(OK, "SLURM", f"partitions {', '.join(named)}")


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["nothing"])[-1]


def check_disk(config: "Config", folder: Path = Path()) -> Iterator[Finding]:
    """Free space where results go. A model that GRPO starts from is merged once per firm type."""
    from workflow_scripts.settings.uses import needed_stages, start_stage
    from workflow_scripts.training.base_model import weights

    free = shutil.disk_usage(folder).free
    types = len(config.firm_types)
    merged = any(start_stage(config, stage) != "base" for stage in needed_stages(config))
    base = Path(config.model.path)
    size = sum(path.stat().st_size for path in weights(base)) if merged and base.is_dir() else 0
    needed = max(LEAST, types * (PER_TYPE + size))
    found = f"{free / GB:,.0f} GB free, about {needed / GB:,.0f} GB needed"
    if merged and not size and config.model.path != "demo":
        found += f" and {types} times the size of {config.model.path}"
    good = free >= needed
    remedy = "" if good else "make room, link results/ to a larger disk, or take fewer firm_types"
    yield Finding(OK if good else FAIL, "disk", found, remedy)


def check_model(config: "Config") -> Iterator[Finding]:
    """The model as the run would check it; of one on the hub what the cache of this machine has."""
    from workflow_scripts.settings.checks import check_models

    path = config.model.path
    if path == "demo":
        yield Finding(OK, "model", "demo: built by the run")
        return
    try:
        check_models(config, [("base", config.firm_types[0])])
    except InputError as error:
        if Path(path).is_dir():
            yield Finding(FAIL, "model", str(error))
        else:
            remedy = f"hf download {path}, where there is a network (docs/cluster.md)"
            yield Finding(WARN, "model", f"{path} is not in this machine's cache: the run would fetch it", remedy)
    else:
        yield Finding(OK, "model", path)


def check_panel(config: "Config") -> Iterator[Finding]:
    """The files that the settings name, and of slices the columns and their types; no row is read."""
    from workflow_scripts.holdings.panel.slices import panel_schema
    from workflow_scripts.settings.checks import missing_inputs
    from workflow_scripts.settings.config import MADE_PANELS

    if faults := missing_inputs(config):
        yield from (Finding(FAIL, "panel", fault) for fault in faults)
    elif config.panel in MADE_PANELS:
        yield Finding(OK, "panel", f"{config.panel}: the run makes it")
    else:
        for name in config.firm_types:
            panel_schema(Path(config.panel) / f"{name}.parquet")
        yield Finding(OK, "panel", f"{config.panel}: columns of {', '.join(config.firm_types)}")


CHECKS: dict[str, Callable[["Config"], Iterator[Finding]]] = {
    "GPU": check_gpu,
    "vLLM": check_vllm,
    "SLURM": check_slurm,
    "disk": check_disk,
    "model": check_model,
    "panel": check_panel,
}


def guarded(what: str, findings: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; where it cannot be made, that is one, and the others go on."""
    try:
        yield from findings()
    except InputError as error:
        yield Finding(FAIL, what, str(error))
    except ImportError as error:
        yield Finding(FAIL, what, f"cannot be looked at: {error}", INSTALL)
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding(FAIL, what, f"cannot be looked at: {error}", "mend that, then look again")


def examine(paths: list[str]) -> Iterator[Finding]:
    """All findings; those that need settings only where these can be read."""
    yield from guarded("Python", check_python)
    yield from guarded("packages", check_packages)
    configs: list[Config] = []

    def settings() -> Iterator[Finding]:
        configs.append(settings_of_files(paths))
        yield Finding(OK, "settings", " ".join(paths))

    yield from guarded("settings", settings)
    for config in configs:
        for what, check in CHECKS.items():
            yield from guarded(what, functools.partial(check, config))


def main() -> None:
    """Print the findings as they come; status 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", nargs="+", default=["config/demo.yaml"], help="the run's settings")
    args = parser.parse_args()
    # A look must not wait for a network.
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    states = []
    for finding in examine(args.configfile):
        states.append(finding.state)
        print(line(finding), flush=True)
    sys.exit(FAIL in states)


if __name__ == "__main__":
    main()
