"""The Markdown pages as a reader meets them: their links, headings and commands."""

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from workflow_scripts.plumbing.code_digest import ROOT

# What a command begins with, before its arguments.
PROGRAMS = ("make", "snakemake", "python", "python3", "pip", "hf", "source", "export", "less", "squeue", "scancel",
            "sbatch", "tail", "rsync", "cp")  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command of a page: its words, variables set before it left out."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        words = shlex.split(self.text, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []


def pages() -> list[str]:
    """The names of all pages that git knows or would add."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return sorted(name for name in listed if (ROOT / name).is_file() and not name.startswith("tests/"))


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return re.findall(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^[ ]*```.*?^[ ]*```", "", text, flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[Command]:
    """Every line of a block without a language, and every inline code that begins with a program and has arguments."""
    text = text_of(page)
    lines = [
        line.strip()
        for language, content in blocks(text)
        if not language
        for line in content.replace("\\\n", " ").splitlines()
    ]
    inline = [one.replace("\n", " ") for one in re.findall(r"`([^`]+)`", prose(text))]
    begins = re.compile(rf"(\w+=\S+ )*(\.venv/bin/)?({'|'.join(PROGRAMS)}) \S")
    found = [line for line in lines if line] + [one for one in inline if begins.match(one)]
    return [Command(page, one) for one in dict.fromkeys(found)]


def anchors(page: str) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", prose(text_of(page)), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def links(page: str) -> list[str]:
    """The targets of a page's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(text_of(page))))


def target_of(page: str, link: str) -> tuple[Path, str]:
    """File and heading that a link inside the project leads to."""
    path, _, heading = link.partition("#")
    return (ROOT / page).parent / path if path else ROOT / page, heading
