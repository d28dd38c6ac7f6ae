"""Which version of the project is at work, for records that outlive it."""

import subprocess
import tomllib
from pathlib import Path


def project_version(folder: str | Path) -> str:
    """Version and commit of a checkout, such as `0.2.0+1a2b3c4d5e6f`; the version alone where git knows no commit.

    `.edited` stands behind the commit where a file that git knows has been edited since.
    """
    version = tomllib.loads((Path(folder) / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    edited = ".edited" if commit and _git(folder, "status", "--porcelain", "--untracked-files=no") else ""
    return f"{version}+{commit}{edited}" if commit else version


def _git(folder: str | Path, *words: str) -> str:
    """What git says, empty where there is no git, or no repository whose root the folder is."""
    if not (Path(folder) / ".git").exists():
        return ""
    try:
        result = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
