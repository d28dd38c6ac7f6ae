"""What machine this is, for manifests and for what needs a GPU."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path


def hardware() -> dict[str, object]:
    """Processor, its threads, and the GPUs as the driver names them."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    gpus = []
    if shutil.which(query[0]):
        result = subprocess.run(query, capture_output=True, text=True)
        gpus = result.stdout.strip().splitlines() if result.returncode == 0 else []
    return {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "gpus": gpus}


def has_gpu() -> bool:
    """Whether there is a GPU that torch may use: NVIDIA's, AMD's, or Apple's."""
    return bool(hardware()["gpus"]) or Path("/dev/kfd").exists() or sys.platform == "darwin"
