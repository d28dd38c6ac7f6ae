"""Digest of a rule's code: its entry module and every project module that it imports.

A comment, a docstring, a type annotation, a `touch` or a fresh clone changes nothing; an edited statement does. That is
the `code` parameter of every Python rule, because Snakemake sees edits in imported modules neither
for `script:` nor for `shell:`.
"""

import ast
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from workflow_scripts.plumbing.remembered_digests import recall, remember

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "workflow_scripts"
# Below the folder in which the workflow runs. A plan reads here what it would need a third of its time to parse.
MEMORY = Path(".snakemake/code_digests.json")
# What else decides about a digest: how it is worked out here, and Python, whose syntax trees differ by version. Read
# when this code is, so that it is this code.
READER = hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()


def module_path(module: str, root: Path = ROOT) -> Path | None:
    """File of a module of the project below `root`, None for one that is not the project's."""
    if module != PACKAGE and not module.startswith(f"{PACKAGE}."):
        return None
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


class _WithoutAnnotations(ast.NodeTransformer):
    """Cut annotations off: they decide nothing at run time, and hold the bounds and the sentences of settings."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """An argument keeps its name."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function keeps its arguments and its body."""
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """A variable, or a field of a settings class, keeps its name and its value."""
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree


def _statements(path: Path) -> list[str]:
    """Digest of a module's own statements, and then the names that it imports, sorted."""
    source = path.read_bytes()
    key = hashlib.sha256(source).hexdigest()
    if key not in _known():
        _known()[key] = _read(source, path)
    return _known()[key]


def _read(source: bytes, path: Path) -> list[str]:
    """`_statements` of a module's text."""
    tree = ast.parse(source, filename=str(path))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"{path}: relative import in line {node.lineno}; write it absolute")
    text = ast.dump(_WithoutAnnotations().visit(_without_docstrings(tree)), include_attributes=False)
    return [hashlib.sha256(text.encode()).hexdigest(), *sorted(names)]


@functools.cache
def _known() -> dict[str, list[str]]:
    """What modules hold, by a digest of their bytes, as far as this or an earlier process like it has read them."""
    try:
        memory = json.loads(recall(MEMORY))
    except ValueError:
        return {}
    return memory["modules"] if isinstance(memory, dict) and memory.get("reader") == READER else {}


@functools.cache
def _parsed(module: str, root: Path) -> tuple[str, frozenset[str]]:
    """Digest of one module's own statements, and the project modules that it imports."""
    path = module_path(module, root)
    if path is None:
        raise ValueError(f"{module} is not a module of this project")
    digest, *names = _statements(path)
    return digest, frozenset(name for name in names if module_path(name, root) is not None)


def imported_modules(*modules: str, root: Path = ROOT) -> list[str]:
    """The modules and all project modules that they import, transitively, sorted."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(_parsed(module, root)[1])
    return sorted(seen)


@functools.cache
def digest_of(*modules: str, root: Path = ROOT) -> str:
    """SHA-256 over the docstring-stripped syntax trees of the modules and their imports."""
    known_before = len(_known())
    parts = [f"{module} {_parsed(module, root)[0]}" for module in imported_modules(*modules, root=root)]
    if len(_known()) > known_before:
        remember(MEMORY, json.dumps({"reader": READER, "modules": _known()}))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def code_of(
    *modules: str, further: Callable[[Any], Iterable[str]] | None = None, root: Path = ROOT
) -> Callable[[Any], str]:
    """`digest_of` as a params function, with words for the reasons of a rerun.

    `further` names modules that depend on the job's wildcards; `root` is where the jobs find the modules. The digest is
    worked out for planned jobs only: a job on a cluster plans just itself.
    """

    def code(wildcards: Any) -> str:
        digest = digest_of(*modules, *(further(wildcards) if further else ()), root=root)
        return f"code of {modules[0].rpartition('.')[2]} {digest[:16]}"

    return code
